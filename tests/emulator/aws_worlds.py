"""An emulated AWS for tests, met over HTTP with boto3: short delays, no retries."""

import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from autoscaler.emulator.aws import AwsEmulator, Delays, EmulatorConfig

A, B, C = "eu-west-3a", "eu-west-3b", "eu-west-3c"
QUICK = Delays(launch=0.02, boot=0.05, terminate=0.05, retry=0.1)
NEVER = 3600.0


def start(**delays: float) -> AwsEmulator:
    """Everything happens within a tenth of a second, except for the delays given."""
    every = {"launch": QUICK.launch, "boot": QUICK.boot, "terminate": QUICK.terminate, "retry": QUICK.retry}
    return AwsEmulator.start(EmulatorConfig(delays=Delays(**(every | delays))))


def client(aws: AwsEmulator, service: str = "autoscaling") -> Any:
    """A plain boto3 client that asks once and tells what it got."""
    return boto3.client(
        service,
        region_name="eu-west-3",
        endpoint_url=aws.url,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=50),
    )


def wait_until(holds: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true answer; fails when there is none in time."""
    pause = threading.Event()
    for _ in range(int(seconds * 50)):
        if found := holds():
            return found
        pause.wait(0.02)
    raise AssertionError(f"not within {seconds} s: {holds.__name__}")


def group(asg: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    return found


def states(asg: Any, name: str) -> list[str]:
    return sorted(instance["LifecycleState"] for instance in group(asg, name)["Instances"])


def wait_in_service(asg: Any, name: str, count: int) -> list[dict[str, Any]]:
    """Until the group has exactly so many instances, all of them InService."""
    wait_until(lambda: states(asg, name) == ["InService"] * count)
    instances: list[dict[str, Any]] = group(asg, name)["Instances"]
    return instances


def failures(asg: Any, name: str) -> list[dict[str, Any]]:
    """Failed activities of the group, newest first."""
    answer = asg.describe_scaling_activities(AutoScalingGroupName=name)
    return [activity for activity in answer["Activities"] if activity["StatusCode"] == "Failed"]
