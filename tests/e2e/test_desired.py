"""Where LaunchInstances is not to be had, the desired capacity does the job, and nothing stays asked for in vain."""

import pytest

from autoscaler.emulator.aws.faults import access_denied
from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3
pytestmark = pytest.mark.emulator("long, and about AWS alone")


@pytest.mark.parametrize("why", ["unknown to the endpoint", "not permitted"])
def test_the_desired_method_takes_over_by_itself(why: str) -> None:
    with Stage.open(launch_api=why == "not permitted") as stage:
        if why == "not permitted":
            stage.aws.faults.add(access_denied("autoscaling", "LaunchInstances"))
        stage.group("od-a", "on-demand")
        stage.group("od-b", "on-demand", instance_types=["m6i.xlarge"])
        with stage.controller() as child:
            stage.deploy("web", 4)
            wait_for(lambda: stage.running("web") == 4, "four pods to run")
            stage.deploy("more", 2)
            wait_for(lambda: stage.running("more") == 2, "two more to run")
            pause(1.0)
            assert len(stage.instances()) == 6
            assert stage.desired("od-a") + stage.desired("od-b") == 6
            asked = len(stage.launches())
            assert asked <= 6, "each zone once, and not again for an hour"
            told = stage.events("LaunchInstancesUnavailable")
            assert len(told) == 1
            assert told[0].get("count", 1) == 1
            assert child.events("scale_up.requested")
            assert {event["involvedObject"]["name"] for event in stage.events("TriggeredScaleUp")} == {
                pod["metadata"]["name"] for app in ("web", "more") for pod in stage.pods(app)
            }


def test_a_failed_activity_leads_to_the_next_tier_and_desired_is_withdrawn() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        with stage.controller("--launch-method=desired") as child:
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "two pods on spot")
            stage.aws.set_pool(market="spot", free=0)
            stage.deploy("more", 3)
            wait_for(lambda: stage.running("more") == 3, "three pods on on-demand")
            wait_for(lambda: stage.desired("spot-a") == 2, "what spot lacks to be withdrawn")
            assert len(stage.instances("spot-a")) == 2
            assert len(stage.instances("od-a")) == 3
            written = [call for call in stage.aws.calls("SetDesiredCapacity") if call.group == "spot-a"]
            assert all(int(call.parameters["DesiredCapacity"]) >= 2 for call in written)
            failed = child.events("scale_up.refused")
            assert {line["error"] for line in failed} == {"NoCapacity"}
            assert metric(
                child, "cluster_autoscaler_failed_node_creations_total", reason="placeholder-cannot-be-fulfilled"
            )
            wait_for(lambda: stage.events("FailedToScaleUpGroup"), "the event about what did not come")
            assert not stage.launches()
            assert metric(child, "priority_autoscaler_dry_pools", market="spot") >= 1


def test_a_group_at_its_minimum_without_capacity_blocks_nobody() -> None:
    """What is missing below the minimum cannot be withdrawn, and is not waited for (their issue 9043)."""
    with Stage.open() as stage:
        stage.aws.set_pool(market="spot", free=0)
        stage.group("spot-a", min=2)
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        with stage.controller("--launch-method=desired", "--max-node-provision-time=30s"):
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "the pods to run on on-demand")
            assert len(stage.instances("od-a")) == 2
            assert stage.desired("spot-a") == 2
