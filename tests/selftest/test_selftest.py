"""The selftest against the emulator, whose answers are what it assumes: nothing may differ, nothing may stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.faults import Fault, access_denied

GROUP = "spot-a"
SECRET = "IyEvYmluL3NoIHNlY3JldA=="


def play(path: Path, group: str = GROUP) -> int:
    return main(["selftest", f"--group={group}", f"--output={path}"])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(path: Path) -> dict[str, str]:
    return {line["check"]: line["result"] for line in read(path) if "check" in line}


def live(aws: AwsEmulator) -> list[Any]:
    return [one for one in aws.instances() if one.is_live]


def desired(aws: AwsEmulator, group: str = GROUP) -> int:
    with aws.world.lock:
        return aws.world.groups[group].desired


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replies.jsonl"


@pytest.mark.parametrize("zones", [["eu-west-3a"], ["eu-west-3a", "eu-west-3b"]])
def test_the_emulator_answers_as_assumed(aws: AwsEmulator, path: Path, zones: list[str], capsys: Any) -> None:
    aws.create_group(name=GROUP, market="spot", desired=1, zones=zones, template={"UserData": SECRET})
    code = play(path)
    told = capsys.readouterr().out
    assert (code, set(results(path).values())) == (0, {"as assumed"}), told
    assert len(results(path)) == 15
    assert "15 of 15 as assumed; launched 1, left 0" in told
    assert (len(live(aws)), desired(aws)) == (1, 1), "what was there before stays"
    calls = {line["call"] for line in read(path) if "call" in line}
    assert {"sts:GetCallerIdentity", "autoscaling:LaunchInstances"} <= calls
    assert SECRET not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_a_dry_group_is_said_to_be_and_its_refusals_are_kept(aws: AwsEmulator, path: Path, capsys: Any) -> None:
    aws.create_group(name=GROUP, market="spot")
    aws.set_pool(market="spot", free=0)
    assert play(path) == 1
    assert "DRY         a launch of one instance: no zone has capacity (eu-west-3a: Insufficient" in (
        capsys.readouterr().out
    )
    assert "InsufficientInstanceCapacity" in path.read_text()
    assert live(aws) == []


@pytest.mark.parametrize(
    ("service", "action", "words"),
    [
        ("autoscaling", "LaunchInstances", "would raise desired capacities instead"),
        ("autoscaling", "DescribeAutoScalingGroups", "nothing works without it"),
        ("ec2", "DescribeInstances", "an instance's age would count from when it was first seen"),
        ("autoscaling", "SetInstanceProtection", "zones are balanced inside each group first"),
    ],
)
def test_a_denied_permission_is_named_with_what_it_costs(
    aws: AwsEmulator, path: Path, capsys: Any, service: str, action: str, words: str
) -> None:
    aws.create_group(name=GROUP, market="spot")
    aws.faults.add(access_denied(service, action))
    assert play(path) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DENIED")]
    assert told
    assert f"{service}:{action} is not permitted; " in told[0]
    assert words in told[0]
    assert live(aws) == []


def test_what_cannot_be_terminated_is_named_with_the_command_for_it(aws: AwsEmulator, path: Path, capsys: Any) -> None:
    aws.create_group(name=GROUP, market="spot")
    aws.faults.add(access_denied("autoscaling", "TerminateInstanceInAutoScalingGroup"))
    assert play(path) == 1
    (left,) = live(aws)
    told = capsys.readouterr().out
    assert f"terminate-instance-in-auto-scaling-group --instance-id {left.id} --should-decrement" in told


@pytest.mark.parametrize("kind", ["drop", "drop-after"])
def test_a_launch_whose_answer_is_lost_is_found_by_its_token(aws: AwsEmulator, path: Path, kind: Any) -> None:
    aws.create_group(name=GROUP, market="spot")
    aws.faults.add(Fault(kind="error", action="LaunchInstances", code="ValidationError", message="odd zone", times=1))
    aws.faults.add(Fault(kind=kind, action="LaunchInstances", times=1))
    assert play(path) == 1
    assert results(path)["a launch of one instance"] == "FAILED"
    assert len(aws.calls("TerminateInstanceInAutoScalingGroup")) == 1
    assert (live(aws), desired(aws)) == ([], 0)


def test_other_answers_than_assumed_are_told(aws: AwsEmulator, path: Path, capsys: Any) -> None:
    aws.create_group(name=GROUP, market="spot")
    aws.faults.add(Fault(action="LaunchInstances", code="InvalidZone", message="no such zone", times=1))
    assert play(path) == 1
    assert "DIFFERS     a launch in a zone that the group does not have: assumed ValidationError, AWS says Inv" in (
        capsys.readouterr().out
    )


def test_a_full_or_missing_group_is_said_before_anything_is_launched(
    aws: AwsEmulator, path: Path, capsys: Any, tmp_path: Path
) -> None:
    aws.create_group(name=GROUP, market="spot", max=1, desired=1)
    assert play(path) == 1
    assert "spot-a is at its maximum of 1: raise it by one for the test" in capsys.readouterr().out
    assert play(tmp_path / "other.jsonl", "nobody") == 1
    assert "there is no group nobody in eu-west-3" in capsys.readouterr().out
    assert len(live(aws)) == 1
    assert play(path) == 1
    assert "name another file with --output" in capsys.readouterr().err


@pytest.mark.parametrize("held", ["LaunchInstances", "DescribeAutoScalingGroups"])
def test_an_interruption_terminates_what_was_launched(aws: AwsEmulator, path: Path, held: str) -> None:
    """In the middle of the launch, whose answer is then unknown, or while the listing is waited for."""
    aws.create_group(name=GROUP, market="spot")
    aws.faults.add(Fault(action="LaunchInstances", code="ValidationError", message="odd zone", times=1))
    aws.faults.hold("LaunchInstances")  # a fault does not wait: the first call that is held is the launch
    command = [sys.executable, "-m", "autoscaler.cli", "selftest", f"--group={GROUP}", f"--output={path}"]
    told = []
    with subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            told.append(line)
            if line.startswith("as assumed  a launch in a zone that"):
                aws.faults.hold(held)
                if held != "LaunchInstances":
                    aws.faults.release("LaunchInstances")
                assert aws.journal.wait_in_flight(held, 1, 60)
                running.send_signal(signal.SIGINT)
            if line.startswith("interrupted;"):
                aws.faults.release(held)
        running.wait(60)
    assert running.returncode == 130, told
    assert any(line.startswith("interrupted;") for line in told)
    assert told[-2].endswith("left 0\n"), told
    assert (live(aws), desired(aws)) == ([], 0)
