"""Waves and passes told to Prometheus and to the log."""

from datetime import timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from autoscaler.core.decision import (
    Decision,
    Outcome,
    RefusalKind,
    Verdict,
    Why,
)
from autoscaler.core.model import InstanceShape, InstanceType, Market
from autoscaler.core.resources import Resources
from autoscaler.errors import AwsError, KubernetesError
from autoscaler.metrics import Metrics
from autoscaler.publish.calls import CacheState, count_aws_call, count_caches, count_events, count_kubernetes_call
from autoscaler.publish.numbers import count_blind, count_error, count_pass, count_removed, count_wave
from autoscaler.publish.publisher import Publisher
from autoscaler.publish.report import PassReport, WaveReport
from tests.builders import NOW, group, instance, node, policy
from tests.publish.telling import (
    ANCHORS,
    WEB_1,
    WEB_2,
    answer,
    crisis,
    launch,
    objections,
    world,
)


def figures(metrics: Metrics) -> dict[str, float]:
    """Samples that are not 0, by name and label values."""
    return {
        " ".join((one.name, *one.labels.values())).rstrip(): one.value
        for family in metrics.collect()
        for one in family.samples
        if one.value
    }


class TestNumbers:
    def test_a_wave_is_counted_by_answer_and_class(self) -> None:
        metrics = Metrics()
        gpus = InstanceShape(
            instance_type=InstanceType("p3.2xlarge"), capacity=Resources({"cpu": 8000, "nvidia.com/gpu": 1})
        )
        seen = world(
            group("spot-a"),
            group("od-a", market=Market.ON_DEMAND, shapes=(gpus,)),
            policy=policy({30: ["spot"], 20: ["other"], 10: ["od"]}),
        )
        results = (
            answer(launch(count=3), 1, RefusalKind.NO_CAPACITY),
            answer(launch("od-a", count=2), 2),
            answer(launch(), 0, RefusalKind.LIMIT),
            answer(launch("gone"), 1),
        )
        count_wave(metrics, WaveReport(snapshot=seen, decision=Decision(at=NOW), results=results))
        found = figures(metrics)
        assert found["priority_autoscaler_launch_calls_total spot-a partial NoCapacity"] == 1
        assert found["priority_autoscaler_launch_calls_total spot-a refused Limit"] == 1
        assert found["priority_autoscaler_launch_calls_total od-a launched"] == 1
        assert found["priority_autoscaler_launched_nodes_total on-demand"] == 2
        assert found["cluster_autoscaler_scaled_up_nodes_total nvidia.com/gpu"] == 2
        assert found["cluster_autoscaler_failed_scale_ups_total placeholder-cannot-be-fulfilled"] == 1
        assert found["cluster_autoscaler_failed_node_creations_total placeholder-cannot-be-fulfilled"] == 2
        assert found["cluster_autoscaler_failed_scale_ups_total cloudProviderError"] == 1
        assert found["priority_autoscaler_fallback_depth_tiers_sum"] == 1, "od-a is one tier of groups below spot-a"
        assert found["cluster_autoscaler_last_activity scaleUp"] == NOW.timestamp()

    def test_a_pass_says_how_things_stand(self) -> None:
        metrics = Metrics(per_group=True)
        booting, late, alive = instance("i-1"), instance("i-2", since=NOW - timedelta(hours=1)), instance("i-3")
        seen = world(
            group("spot-a", instances=(booting, late, alive)),
            group("spot-b", suspended=frozenset({"Launch"})),
            nodes=[node(of=alive), node(ready=False), node(ready=False, created=NOW, was_ready=False)],
            policy=policy(max_nodes_total=15),
        )
        count_pass(
            metrics,
            PassReport(
                last=WaveReport(snapshot=seen, decision=crisis()),
                waves=2,
                phases={"plan": 0.2, "act": 0.3},
                reaction=0.12,
            ),
        )
        found = figures(metrics)
        expected = {
            "cluster_autoscaler_nodes_count ready": 1,
            "cluster_autoscaler_nodes_count unready": 1,
            "cluster_autoscaler_nodes_count notStarted": 1,
            "cluster_autoscaler_nodes_count unregistered": 1,
            "cluster_autoscaler_nodes_count longUnregistered": 1,
            "cluster_autoscaler_unschedulable_pods_count unschedulable": 3,
            "cluster_autoscaler_max_nodes_count": 15,
            "cluster_autoscaler_cluster_cpu_current_cores": 3 * 3.92,
            "cluster_autoscaler_node_group_target_count spot-a": 3,
            "cluster_autoscaler_node_group_healthiness spot-a": 1,
            "priority_autoscaler_upcoming_nodes": 2,
            "priority_autoscaler_pods launch": 2,
            "priority_autoscaler_objections TooSmall": 1,
            "priority_autoscaler_pass_waves_sum": 2,
            "priority_autoscaler_pass_phase_seconds_sum plan": 0.2,
            "cluster_autoscaler_function_duration_seconds_sum main": 0.5,
            "cluster_autoscaler_function_duration_seconds_sum scaleUp": 0.5,
            "cluster_autoscaler_cluster_safe_to_autoscale": 1,
            "priority_autoscaler_wake_to_launch_seconds_sum": 0.12,
            "priority_autoscaler_passes_total done": 1,
        }
        assert {name: found.get(name) for name in expected} == pytest.approx(expected)
        assert "cluster_autoscaler_node_group_healthiness spot-b" not in found
        assert "priority_autoscaler_objections InBackoff" not in found, "they are served"

    def test_a_limit_that_holds_pods_back_is_counted_once_a_pass(self) -> None:
        metrics = Metrics()
        fate = Verdict(outcome=Outcome.WAITING, objections=objections(spot_a=[Why.CORES_TOTAL]))
        report = WaveReport(snapshot=world(), decision=Decision(at=NOW, verdicts={WEB_1: fate, WEB_2: fate}))
        count_pass(metrics, PassReport(last=report))
        assert figures(metrics)["cluster_autoscaler_skipped_scale_events_count up CpuResourceLimit"] == 1

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (KubernetesError(500, "", "down"), "apiCallError"),
            (AwsError("Throttling", "slow"), "cloudProviderError"),
            (KeyError("x"), "internalError"),
        ],
    )
    def test_a_failed_pass_is_counted_by_where_it_failed(self, error: Exception, kind: str) -> None:
        metrics = Metrics()
        count_error(metrics, error)
        assert figures(metrics)[f"cluster_autoscaler_errors_total {kind}"] == 1

    def test_a_pass_that_could_not_be_made_is_not_safe(self) -> None:
        metrics = Metrics()
        count_pass(metrics, PassReport(last=WaveReport(snapshot=world(), decision=Decision(at=NOW))))
        count_blind(metrics)
        found = figures(metrics)
        assert found["priority_autoscaler_passes_total not-ready"] == 1
        assert "cluster_autoscaler_cluster_safe_to_autoscale" not in found

    def test_removed_instances_are_counted_by_reason(self) -> None:
        metrics = Metrics()
        count_removed(metrics, "NoNode")
        count_removed(metrics, "Surplus")
        found = figures(metrics)
        assert found["cluster_autoscaler_old_unregistered_nodes_removed_count"] == 1
        assert found["priority_autoscaler_surplus_nodes_returned_total"] == 1


class TestCalls:
    def test_a_refusal_for_capacity_is_an_answer(self) -> None:
        metrics = Metrics()
        for refusal in (
            None,
            RefusalKind.NO_CAPACITY,
            RefusalKind.THROTTLED,
            RefusalKind.NO_ANSWER,
            RefusalKind.UNKNOWN,
        ):
            count_aws_call(metrics, "LaunchInstances", refusal, 0.5)
        found = figures(metrics)
        assert found["priority_autoscaler_api_calls_total aws answered"] == 2
        assert found["priority_autoscaler_api_calls_total aws error"] == 1
        assert found["priority_autoscaler_api_throttles_total aws server"] == 1
        assert found["cluster_autoscaler_aws_request_duration_seconds_count LaunchInstances error"] == 2
        assert found["cluster_autoscaler_aws_request_duration_seconds_count LaunchInstances timeout"] == 1

    @pytest.mark.parametrize(
        ("path", "status", "result"),
        [
            ("/x", 200, "answered"),
            ("/x", 409, "answered"),
            ("/x", 429, "throttled"),
            ("/x/eviction", 429, "answered"),
            ("/x", 500, "error"),
            ("/x", 0, "timeout"),
        ],
    )
    def test_requests_are_counted_by_status(self, path: str, status: int, result: str) -> None:
        metrics = Metrics()
        count_kubernetes_call(metrics, path, status)
        assert figures(metrics)[f"priority_autoscaler_api_calls_total kubernetes {result}"] == 1

    def test_caches_of_one_kind_count_together_and_totals_are_taken_over_once(self) -> None:
        metrics = Metrics()
        for malformed in (2, 3):
            count_caches(metrics, (CacheState("ConfigMap", 1, 5.0, malformed), CacheState("ConfigMap", 2, 1.0)))
            count_events(metrics, sent=7, repeated=1, dropped=0)
        found = figures(metrics)
        assert found["priority_autoscaler_cache_objects ConfigMap"] == 3
        assert found["priority_autoscaler_cache_age_seconds ConfigMap"] == 5.0
        assert found["priority_autoscaler_malformed_objects_total ConfigMap"] == 3
        assert found["priority_autoscaler_events_total sent"] == 7


class TestPublisher:
    def test_a_pods_wait_is_measured_once_although_it_is_asked_for_twice(self) -> None:
        metrics, seen = Metrics(), world()
        publisher = Publisher(metrics, structlog.get_logger(), ANCHORS)
        refused = answer(launch(), 0, RefusalKind.NO_CAPACITY)
        report = WaveReport(snapshot=seen, decision=Decision(at=NOW, undecided=True), results=(refused,))
        with structlog.testing.capture_logs():
            publisher.tell_wave(report)
            publisher.tell_wave(report)
            publisher.tell_pass(PassReport(last=report))
        found = figures(metrics)
        assert found["priority_autoscaler_unschedulable_to_launch_seconds_count"] == 1
        assert found["priority_autoscaler_unschedulable_to_launch_seconds_sum"] == pytest.approx(5.25)

    def test_the_log_has_a_line_for_each_answer_and_one_for_the_pass(self) -> None:
        captured = LogCapture()
        log = structlog.wrap_logger(None, processors=[captured], wrapper_class=structlog.make_filtering_bound_logger(0))
        publisher = Publisher(Metrics(), log, ANCHORS)
        results = (answer(launch(count=2), 1, RefusalKind.NO_CAPACITY), answer(launch(), 0, RefusalKind.CONFIGURATION))
        report = WaveReport(snapshot=world(), decision=crisis(), results=results)
        publisher.tell_wave(report)
        publisher.tell_pass(PassReport(last=report, waves=1, launched=1, phases={"plan": 0.0123}))
        assert [(line["event"], line["log_level"]) for line in captured.entries] == [
            ("scale_up.launched", "info"),
            ("scale_up.refused", "info"),
            ("scale_up.refused", "warning"),
            ("instance.removal_chosen", "info"),
            ("pods.not_served", "info"),
            ("pass.finished", "info"),
        ]
        summary = captured.entries[-1]
        assert (summary["pods_launch"], summary["pods_unschedulable"], summary["plan_ms"]) == (2, 1, 12.3)

    def test_a_launch_says_which_groups_were_passed_over_and_why(self) -> None:
        captured = LogCapture()
        log = structlog.wrap_logger(None, processors=[captured], wrapper_class=structlog.make_filtering_bound_logger(0))
        results = (answer(launch("spot-b", pods=(WEB_1,)), 1), answer(launch("od-a", pods=()), 1))
        report = WaveReport(snapshot=world(), decision=crisis(), results=results)
        Publisher(Metrics(), log, ANCHORS).tell_wave(report)
        assert [line.get("passed_over") for line in captured.entries[:2]] == [{"InBackoff": "spot-a"}, {}]

    def test_why_pods_are_not_served_is_said_once_while_it_stays_so(self) -> None:
        captured = LogCapture()
        log = structlog.wrap_logger(None, processors=[captured], wrapper_class=structlog.make_filtering_bound_logger(0))
        publisher = Publisher(Metrics(), log, ANCHORS)
        report = WaveReport(snapshot=world(), decision=crisis())
        publisher.tell_wave(report)
        publisher.tell_wave(report)
        (line,) = [line for line in captured.entries if line["event"] == "pods.not_served"]
        assert (line["outcome"], line["pods"]) == ("unschedulable", 1)
        assert line["reasons"]

    def test_a_dry_run_tells_what_it_would_do(self) -> None:
        captured = LogCapture()
        log = structlog.wrap_logger(None, processors=[captured], wrapper_class=structlog.make_filtering_bound_logger(0))
        Publisher(Metrics(), log, ANCHORS).tell_wave(WaveReport(snapshot=world(), decision=crisis()))
        assert [line["event"] for line in captured.entries].count("scale_up.planned") == 2
