"""AWS denied, throttled, slow or gone: no crash, no hot loop, and back to work by itself."""

import json
from collections import Counter

import pytest

from autoscaler import clock
from autoscaler.emulator.aws.faults import Fault, access_denied, throttling
from autoscaler.emulator.aws.server import AwsEmulator, EmulatorConfig
from autoscaler.emulator.world import CLUSTER_TAG
from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 4
pytestmark = pytest.mark.emulator("long, and about AWS alone")

WINDOW = 5.0  # seconds of trouble that are watched
IN_PARALLEL = 4  # calls that were under way when the trouble began

TROUBLES = {
    "reading denied": [access_denied("autoscaling", "Describe*")],
    "throttled": [throttling("autoscaling"), throttling("ec2")],
    "dropped": [Fault(kind="drop")],
    "failing": [Fault(code="InternalFailure", message="An internal error has occurred", status=500)],
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_survived_without_a_hot_loop(trouble: str) -> None:
    """Pods come while AWS is in trouble; then it recovers."""
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        stage.group("od-b", "on-demand", instance_types=["m6i.xlarge"])
        with stage.controller("--aws-refresh-interval=1s") as child:
            for fault in TROUBLES[trouble]:
                stage.aws.faults.add(fault)
            before, began = len(stage.aws.calls()), clock.monotonic()
            stage.deploy("web", 2)
            pause(WINDOW)
            seconds = clock.monotonic() - began
            failed = [call for call in stage.aws.calls()[before:] if call.status != 200]
            assert failed
            for action, count in Counter(call.action for call in failed).items():
                assert count <= seconds + IN_PARALLEL, f"{action}: {count} calls in {seconds:.1f} s"
            assert child.get("/healthz")[0] == 200
            stage.aws.faults.clear()
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            pause(1.0)
            assert len(stage.instances()) == 2
            assert child.get("/readyz")[0] == 200
            stage.deploy("more", 1)
            wait_for(lambda: stage.running("more") == 1, "life as before")


def test_denied_from_the_start_it_says_so_and_waits() -> None:
    with Stage.open() as stage:
        stage.aws.faults.add(access_denied("autoscaling", "DescribeAutoScalingGroups"))
        stage.group("od-a", "on-demand")
        stage.deploy("web", 1)
        with stage.controller(ready=False) as child:
            child.wait(lambda: len(child.events("groups.read_failed")) >= 2, 30, "two refusals")
            assert child.events("groups.read_failed")[0]["code"] == "AccessDenied"
            status, body = child.get("/readyz")
            assert status == 503
            assert any("Auto Scaling groups" in reason for reason in json.loads(body)["reasons"])
            calls = stage.aws.calls("DescribeAutoScalingGroups")
            assert len(calls) <= calls[-1].started - calls[0].started + 1.5
            stage.aws.faults.clear()
            child.wait_ready()
            wait_for(lambda: stage.running("web") == 1, "the pod to run")


def test_slow_answers_are_waited_for_and_pages_served_meanwhile() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        with stage.controller("--aws-refresh-interval=1s") as child:
            stage.aws.faults.set_latency("*", 5.0)
            stage.deploy("web", 2)
            wait_for(stage.launches, "the launch to be asked for")
            began = clock.monotonic()
            assert child.get("/healthz")[0] == child.get("/readyz")[0] == 200
            assert clock.monotonic() - began < 5.0
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            assert len(stage.instances()) == 2
            assert len(stage.launches()) == 2


def test_an_endpoint_that_refuses_connections_is_found_again(free_port: int) -> None:
    with Stage.open() as stage:
        stage.deploy("web", 1)
        endpoint = f"http://127.0.0.1:{free_port}"
        with stage.controller("--aws-refresh-interval=1s", ready=False, AWS_ENDPOINT_URL=endpoint) as child:
            child.wait(lambda: len(child.events("groups.read_failed")) >= 2, 30, "two refused connections")
            assert child.get("/healthz")[0] == 200
            assert child.get("/readyz")[0] == 503
            with AwsEmulator.start(EmulatorConfig(port=free_port)) as aws:
                aws.create_group(name="od-a", instance_types=["m5.xlarge"], tags={CLUSTER_TAG: "true"})
                child.wait_ready()
                wait_for(lambda: metric(child, "cluster_autoscaler_scaled_up_nodes_total") == 1, "the launch")
