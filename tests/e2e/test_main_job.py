"""The main job, seen from outside: pending pods become nodes, within all limits, and it is told."""

import json
from collections import Counter

import pytest

from autoscaler.emulator.child import ChildController
from tests.e2e.stage import A, B, C, Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3


def test_pending_pods_become_nodes_spread_over_zones_and_it_is_told() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        stage.deploy("web", 6)
        # A pod that is refused later may take the place bought for another, and is told nothing of it.
        wait_for(lambda: stage.refused("web") == 6, "the scheduler to refuse all")
        with stage.controller("--emit-per-nodegroup-metrics") as child:
            wait_for(lambda: stage.running("web") == 6, "six pods to run")
            assert Counter(one.zone for one in stage.instances("spot-a")) == {A: 2, B: 2, C: 2}
            assert not stage.instances("od-a")
            wait_for(lambda: len(stage.events("TriggeredScaleUp")) == 6, "an event for each pod")
            assert "spot-a 0->6 (max: 10)" in stage.messages("TriggeredScaleUp")
            for event in stage.events("TriggeredScaleUp"):
                assert event["source"]["component"] == "cluster-autoscaler"
            wait_for(lambda: metric(child, "cluster_autoscaler_nodes_count", state="ready") == 6, "the gauge of nodes")
            assert metric(child, "cluster_autoscaler_scaled_up_nodes_total") == 6
            assert metric(child, "priority_autoscaler_launched_nodes_total", market="spot") == 6
            assert metric(child, "priority_autoscaler_unschedulable_to_launch_seconds_count") >= 6
            assert metric(child, "cluster_autoscaler_node_group_max_count", node_group="spot-a") == 10
            wait_for(
                lambda: metric(child, "priority_autoscaler_cache_objects", kind="Node") == 6, "the gauge of caches"
            )


@pytest.mark.emulator("breaks the API server")
def test_pages_tell_the_life_cycle() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        stage.break_api(path="^/api", status=503)
        with stage.controller(ready=False) as child:
            child.wait(lambda: child.get("/healthz") == (200, "ok"), 30, "the page")
            assert child.get("/health-check") == (200, "OK")
            status, body = child.get("/readyz")
            assert status == 503
            assert any("Pod" in reason for reason in json.loads(body)["reasons"])
            stage.kubernetes.call(stage.kubernetes.faults.clear)
            child.wait_ready()
            assert json.loads(child.get("/readyz")[1]) == {"ready": True, "reasons": []}
            assert child.get("/health-check") == (200, "OK")


@pytest.mark.emulator("needs no API server")
def test_a_dead_api_server_leaves_it_waiting_and_told(free_port: int) -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        with stage.controller(f"--kubernetes=http://127.0.0.1:{free_port}", ready=False) as child:
            child.wait(lambda: child.get("/readyz")[0] == 503, 30, "the page")
            child.wait(lambda: bool(child.events("cache.interrupted")), 30, "the first failure")
            assert child.get("/healthz")[0] == 200
            assert not stage.launches()


def test_limits_are_never_exceeded() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand", max=4)
        stage.group("od-b", "on-demand", max=4)
        with stage.controller("--max-nodes-total=7") as child:
            stage.deploy("web", 20)
            wait_for(lambda: stage.running("web") == 7, "as many pods to run as nodes are allowed")
            wait_for(lambda: stage.events("MaxNodesTotalReached"), "the event")
            _settled(child)
            assert sorted(len(stage.instances(name)) for name in ("od-a", "od-b")) == [3, 4]
            assert len(stage.objects("nodes")) == 7
            assert "2 MaxNodesTotal (od-a, od-b)" in stage.messages("NotTriggerScaleUp")


@pytest.mark.emulator("long, and about the planner alone")
def test_the_maximum_of_a_group_is_never_exceeded_however_many_pods() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand", max=3)
        with stage.controller() as child:
            stage.deploy("web", 120)
            wait_for(lambda: stage.running("web") == 3, "three pods to run")
            stage.deploy("more", 5)
            wait_for(lambda: len(stage.events("NotTriggerScaleUp")) >= 115, "those left to be told", 60)
            _settled(child)
            assert len(stage.aws.instances("od-a")) == stage.desired("od-a") == 3
            assert sum(call.launched for call in stage.launches()) == 3


def test_surplus_of_a_wide_wave_is_given_back() -> None:
    with Stage.open() as stage:
        for number in range(4):
            stage.group(f"spot-{number}", instance_types=[f"{('m5', 'm5a', 'm5d', 'm5n')[number]}.xlarge"])
        for number in range(3):
            stage.group(f"od-{number}", "on-demand", instance_types=[f"{('m6i', 'm6a', 'm7i')[number]}.xlarge"])
        stage.aws.set_pool(market="spot", free=0)
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        with stage.controller() as child:
            stage.deploy("web", 1)
            wait_for(lambda: stage.running("web") == 1, "the pod to run")
            wait_for(lambda: len(stage.instances()) == 1, "the surplus to go")
            launched = sum(call.launched for call in stage.launches())
            assert 1 <= launched <= 3
            removed = stage.aws.calls("TerminateInstanceInAutoScalingGroup")
            assert len(removed) == launched - 1
            assert all(call.parameters["ShouldDecrementDesiredCapacity"] == "true" for call in removed)
            _settled(child)
            assert sum(stage.desired(f"od-{number}") for number in range(3)) == 1
            assert metric(child, "priority_autoscaler_surplus_nodes_returned_total") == launched - 1


def _settled(child: ChildController) -> None:
    """A while in which the loop may do what it should not."""
    pause(1.5)
    assert child.get("/health-check") == (200, "OK")
