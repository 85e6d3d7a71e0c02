"""A wave told to Kubernetes: events as values."""

import pytest

from autoscaler.core.decision import (
    Decision,
    LaunchResult,
    Objection,
    Outcome,
    RefusalKind,
    Removal,
    Verdict,
    Why,
)
from autoscaler.core.model import GroupFault, GroupName, InstanceId, LaunchMethod
from autoscaler.core.snapshot import Snapshot
from autoscaler.publish.events import MESSAGE_LIMIT, Event, events
from autoscaler.publish.report import WaveReport
from tests.builders import NOW, ZONES, group, policy
from tests.publish.telling import (
    ANCHORS,
    GPU,
    PRIORITIES,
    STATUS,
    WEB_1,
    WEB_2,
    answer,
    launch,
    objections,
    world,
)


def told(decision: Decision, *results: LaunchResult, seen: Snapshot | None = None) -> list[tuple[str, str, str]]:
    made = events(WaveReport(snapshot=seen or world(), decision=decision, results=results), ANCHORS)
    return [(one.name, one.reason, one.message) for one in made]


class TestEvents:
    def test_a_pod_is_told_the_groups_that_grew_and_to_what(self) -> None:
        asked = launch("spot-b", count=2, pods=(WEB_1,))
        decision = Decision(at=NOW, launches=(asked,))
        made = events(WaveReport(snapshot=world(), decision=decision, results=(answer(asked, 2),)), ANCHORS)
        assert made == (
            Event(*STATUS, "Normal", "ScaledUpGroup", "scaled up group spot-b 3->5 (max: 10)"),
            Event("Pod", "shop", "web-1", "shop-web-1", "Normal", "TriggeredScaleUp",
                  "pod triggered scale-up: [{spot-b 3->5 (max: 10)}]"),
        )  # fmt: skip

    def test_a_pod_is_told_what_its_new_node_does_not_honour(self) -> None:
        asked = launch("spot-b", pods=(WEB_1,))
        unmet = (Objection(Why.SCHEDULE_ANYWAY), Objection(Why.PREFERRED_NODE_AFFINITY, "would rather have disk"))
        verdicts = {WEB_1: Verdict(outcome=Outcome.LAUNCH, unmet=unmet)}
        reasons = told(Decision(at=NOW, launches=(asked,), verdicts=verdicts), answer(asked, 1))
        assert reasons[1][2] == (
            "pod triggered scale-up: [{spot-b 3->4 (max: 10)}]; not honoured: PreferredNodeAffinity, ScheduleAnyway"
        )

    def test_raising_the_desired_capacity_is_a_scale_up(self) -> None:
        asked = launch("spot-b", None, count=2, units=4, method=LaunchMethod.DESIRED)
        reasons = told(Decision(at=NOW, launches=(asked,)), answer(asked))
        assert [reason for _, reason, _ in reasons] == ["ScaledUpGroup", "TriggeredScaleUp"]
        assert reasons[0][2] == "scaled up group spot-b 3->7 (max: 10)"

    def test_a_pod_without_help_is_told_every_reason_with_its_groups(self) -> None:
        raised = objections(spot_b=[Why.IN_BACKOFF], spot_a=[Why.IN_BACKOFF], small=[Why.TOO_SMALL])
        verdict = Verdict(outcome=Outcome.WAITING, objections=raised)
        assert told(Decision(at=NOW, verdicts={WEB_1: verdict})) == [
            (
                "web-1",
                "NotTriggerScaleUp",
                "pod didn't trigger scale-up: 2 InBackoff (spot-a, spot-b), 1 TooSmall (small)",
            )
        ]

    def test_a_pod_that_waits_for_an_answer_is_told_nothing_yet(self) -> None:
        verdicts = {WEB_1: Verdict(outcome=Outcome.WAITING, objections=objections(spot_a=[Why.IN_BACKOFF]))}
        assert told(Decision(at=NOW, verdicts=verdicts, undecided=True)) == []

    def test_others_are_left_in_peace(self) -> None:
        verdicts = {
            WEB_1: Verdict(outcome=Outcome.FITS_UPCOMING),
            WEB_2: Verdict(outcome=Outcome.IGNORED, reasons=(Objection(Why.GATED),)),
        }
        assert told(Decision(at=NOW, verdicts=verdicts)) == []

    def test_long_messages_are_cut_to_what_the_api_takes(self) -> None:
        reasons = (Objection(Why.UNKNOWN_CONSTRAINT, "x" * 5000),)
        ((_, _, message),) = told(
            Decision(at=NOW, verdicts={GPU: Verdict(outcome=Outcome.UNSCHEDULABLE, reasons=reasons)})
        )
        assert len(message) == MESSAGE_LIMIT
        assert message.endswith("...")

    def test_a_refusal_is_told_once_a_group_with_class_code_and_place(self) -> None:
        dry = [
            answer(
                launch(zone=zone), 0, RefusalKind.NO_CAPACITY, code="InsufficientInstanceCapacity", detail="long words"
            )
            for zone in ZONES
        ]
        assert told(Decision(at=NOW, undecided=True), *dry) == [
            (STATUS.name, "FailedToScaleUpGroup",
             f"group spot-a refused: NoCapacity in {', '.join(ZONES)} (InsufficientInstanceCapacity)")
        ]  # fmt: skip

    def test_a_configuration_error_keeps_the_words_of_aws(self) -> None:
        bad = answer(
            launch(), 0, RefusalKind.CONFIGURATION, code="InvalidAMIID.NotFound", detail="ami-1 does not exist"
        )
        ((_, _, message),) = told(Decision(at=NOW, undecided=True), bad)
        assert (
            message == "group spot-a refused: Configuration in eu-west-3a (InvalidAMIID.NotFound): ami-1 does not exist"
        )

    def test_an_account_without_the_launch_api_is_told_one_event(self) -> None:
        missing = [
            answer(launch(name), 0, RefusalKind.NO_LAUNCH_API, code="InvalidAction") for name in ("spot-a", "spot-b")
        ]
        assert [reason for _, reason, _ in told(Decision(at=NOW), *missing)] == ["LaunchInstancesUnavailable"]

    def test_removals_and_faults_of_groups_are_told(self) -> None:
        removals = tuple(
            Removal(group=GroupName("spot-a"), instance=InstanceId(f"i-{reason}"), decrement=True, reason=reason)
            for reason in ("Surplus", "NoNode")
        )
        fault = GroupFault(code="InvalidTag", detail="resources/cpu: 'x' is no quantity")
        seen = world(group("spot-a", faults=(fault,)))
        assert told(Decision(at=NOW, removals=removals), seen=seen) == [
            (
                STATUS.name,
                "DeleteUnregistered",
                "group spot-a: instance i-NoNode did not become a node in time; terminating it",
            ),
            (STATUS.name, "SurplusReturned", "group spot-a: instance i-Surplus is more than needed; giving it back"),
            (STATUS.name, "InvalidTag", "group spot-a: resources/cpu: 'x' is no quantity"),
        ]

    def test_the_limit_of_nodes_is_told_once(self) -> None:
        fate = Verdict(outcome=Outcome.WAITING, objections=objections(spot_a=[Why.MAX_NODES_TOTAL]))
        made = told(Decision(at=NOW, verdicts={WEB_1: fate, WEB_2: fate}), seen=world(policy=policy(max_nodes_total=5)))
        assert [reason for _, reason, _ in made].count("MaxNodesTotalReached") == 1

    @pytest.mark.parametrize(
        ("tiers", "reason", "message"),
        [
            ({10: ["-b$"]}, "PriorityConfigMapNotMatchedGroup", "no expression matches spot-a; left out"),
            (
                {10: ["od"]},
                "PriorityConfigMapNoGroupMatched",
                "no expression matches any of 2 groups; all of them are one tier",
            ),
        ],
    )
    def test_groups_without_a_tier_are_named(self, tiers: dict[int, list[str]], reason: str, message: str) -> None:
        decision = Decision(at=NOW, verdicts={WEB_1: Verdict(outcome=Outcome.FITS_UPCOMING)})
        assert told(decision, seen=world(policy=policy(tiers))) == [(PRIORITIES.name, reason, message)]
        assert told(Decision(at=NOW), seen=world(policy=policy(tiers))) == []

    def test_what_concerns_the_pod_itself_is_said_once(self) -> None:
        own = Objection(Why.UNKNOWN_CONSTRAINT, "operator Near")
        raised = {GroupName(name): (own, Objection(Why.IN_BACKOFF)) for name in ("spot-a", "spot-b")}
        verdict = Verdict(outcome=Outcome.UNSCHEDULABLE, objections=raised, reasons=(own,))
        ((_, _, message),) = told(Decision(at=NOW, verdicts={WEB_1: verdict}))
        assert message == (
            "pod didn't trigger scale-up: UnknownConstraint: operator Near, 2 InBackoff (spot-a, spot-b)"
        )
