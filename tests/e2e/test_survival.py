"""A controller killed at the worst moment, and instances that never become nodes."""

import pytest

from autoscaler.emulator.kubernetes.kubelet import Delays
from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3

NEVER = Delays(register=3600.0)
QUICK = Delays(register=0.1, ready=0.1)
HASTY = (
    "--leader-elect-lease-duration=3s",
    "--leader-elect-renew-deadline=2s",
    "--leader-elect-retry-period=500ms",
)  # a successor takes over soon


@pytest.mark.emulator("long, and about AWS alone")
def test_killed_while_aws_has_the_launch_and_not_answered_it_buys_once() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        stage.aws.faults.hold("LaunchInstances")
        with stage.controller(*HASTY) as child:
            stage.deploy("web", 3)
            wait_for(lambda: len(stage.launches()) == 3, "the calls to be under way")
            child.kill()
        asked = {call.parameters["ClientToken"] for call in stage.launches()}
        with stage.controller(*HASTY):
            wait_for(lambda: len(stage.launches()) > 3, "the successor to ask")
            stage.aws.faults.release("LaunchInstances")
            wait_for(lambda: stage.running("web") == 3, "the pods to run")
            pause(1.5)
            assert {call.parameters["ClientToken"] for call in stage.launches()} == asked
            assert len(stage.aws.instances("od-a")) == stage.desired("od-a") == 3


@pytest.mark.emulator("long, and about AWS alone")
def test_killed_after_the_launch_was_done_and_its_answer_lost_it_buys_once() -> None:
    with Stage.open() as stage:
        stage.kubernetes.kubelet.delays = NEVER
        stage.group("od-a", "on-demand")
        stage.aws.faults.set_latency("LaunchInstances", 0.3)
        with stage.controller(*HASTY) as child:
            stage.deploy("web", 3)
            wait_for(lambda: len(stage.launches()) == 3, "the calls to be under way")
            child.kill()
        wait_for(lambda: len(stage.instances("od-a")) == 3, "AWS to do what nobody waits for")
        with stage.controller(*HASTY) as successor:
            wait_for(lambda: metric(successor, "priority_autoscaler_upcoming_nodes") == 3, "the instances to be seen")
            pause(1.5)
            assert len(stage.launches()) == 3
            stage.kubernetes.kubelet.delays = QUICK
            for machine in list(stage.kubernetes.kubelet.instances.values()):
                stage.kubernetes.call(stage.kubernetes.kubelet.launch, machine)
            wait_for(lambda: stage.running("web") == 3, "the pods to run")
            assert len(stage.aws.instances("od-a")) == 3


@pytest.mark.emulator("long, and about AWS alone")
def test_killed_after_raising_the_desired_capacity_it_raises_no_further() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        stage.aws.world.delays.launch = 6.0
        with stage.controller("--launch-method=desired", *HASTY) as child:
            stage.deploy("web", 3)
            wait_for(lambda: stage.desired("od-a") == 3, "the desired capacity")
            child.kill()
        with stage.controller("--launch-method=desired", *HASTY):
            wait_for(lambda: stage.running("web") == 3, "the pods to run")
            assert stage.desired("od-a") == len(stage.aws.instances("od-a")) == 3
            assert len({call.parameters["DesiredCapacity"] for call in stage.aws.calls("SetDesiredCapacity")}) == 1


def test_a_standby_watches_and_takes_over_when_the_leader_leaves() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        with stage.controller(*HASTY) as leader:
            leader.wait(lambda: bool(leader.events("lease.acquired")), 30, "the lease")
            with stage.controller(*HASTY, ready=False) as standby:
                standby.wait(lambda: bool(standby.events("cache.synced")), 30, "the caches")
                stage.deploy("web", 2)
                wait_for(lambda: stage.running("web") == 2, "two pods to run")
                assert not standby.events("scale_up.launched")
                assert standby.get("/healthz")[0] == standby.get("/health-check")[0] == 200
                assert leader.stop() == 0
                stage.deploy("more", 1)
                wait_for(lambda: stage.running("more") == 1, "a third pod to run")
                assert standby.events("scale_up.launched")
                assert len(stage.aws.instances("od-a")) == 3


@pytest.mark.emulator("long, and about AWS alone")
def test_an_instance_that_never_registers_is_terminated_and_another_group_used() -> None:
    with Stage.open() as stage:
        stage.kubernetes.kubelet.delays = NEVER
        stage.group("od-a", "on-demand")
        stage.group("od-b", "on-demand", instance_types=["m6i.xlarge"])
        stage.world.set_priorities("20: ['^od-a$']\n10: ['^od-b$']\n")
        with stage.controller("--max-node-provision-time=4s", "--emit-per-nodegroup-metrics") as child:
            stage.deploy("web", 1)
            wait_for(lambda: stage.kubernetes.kubelet.instances, "the instance that never registers")
            stage.kubernetes.kubelet.delays = QUICK
            wait_for(lambda: stage.running("web") == 1, "the pod to run elsewhere")
            assert len(stage.instances("od-b")) == 1
            wait_for(lambda: not stage.aws.instances("od-a"), "the instance to go")
            assert stage.desired("od-a") == 0
            removed = stage.aws.calls("TerminateInstanceInAutoScalingGroup")
            assert [call.parameters["ShouldDecrementDesiredCapacity"] for call in removed] == ["true"]
            wait_for(lambda: "did not become a node in time" in stage.messages("DeleteUnregistered"), "the event")
            wait_for(
                lambda: metric(child, "cluster_autoscaler_node_group_backoff_status", node_group="od-a") == 1,
                "the group to back off",
            )
            assert metric(child, "cluster_autoscaler_old_unregistered_nodes_removed_count") == 1
            stage.deploy("more", 1)
            wait_for(lambda: stage.running("more") == 1, "another pod to run")
            assert len(stage.launches("od-a")) == 1


def test_at_the_group_minimum_it_is_replaced_not_removed() -> None:
    with Stage.open() as stage:
        stage.kubernetes.kubelet.delays = NEVER
        stage.group("od-a", "on-demand", min=1)
        with stage.controller("--max-node-provision-time=3s"):
            wait_for(lambda: stage.kubernetes.kubelet.instances, "the instance that never registers")
            first = {one.id for one in stage.instances("od-a")}
            stage.kubernetes.kubelet.delays = QUICK
            wait_for(lambda: stage.objects("nodes"), "its successor to register")
            assert first.isdisjoint(one.id for one in stage.instances("od-a"))
            assert stage.desired("od-a") == 1
            removed = stage.aws.calls("TerminateInstanceInAutoScalingGroup")
            assert [call.parameters["ShouldDecrementDesiredCapacity"] for call in removed] == ["false"]
