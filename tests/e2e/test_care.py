"""A dry run writes nothing, and what AWS would take away without a drain is protected."""

from functools import partial

import pytest

from autoscaler.emulator.aws.faults import access_denied
from tests.e2e.stage import A, Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3

READING = ("Describe", "Get", "GET ")


def test_a_dry_run_decides_and_tells_and_writes_nothing() -> None:
    with Stage.open() as stage:
        stage.group("spot-a", min=1)
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        wait_for(lambda: stage.objects("nodes"), "the group's first node")
        with stage.controller("--dry-run", "--max-node-provision-time=1s") as child:
            stage.deploy("web", 3)
            child.wait(lambda: bool(child.events("scale_up.planned")), 30, "the plan")
            pause(1.5)
            planned = child.events("scale_up.planned")
            assert {line["node_group"] for line in planned} == {"spot-a"}
            assert sum(line["count"] for line in planned[:2]) == 2
            assert metric(child, "priority_autoscaler_dry_run") == 1
            assert stage.requests()
            assert [one for one in stage.requests() if one["method"] != "GET"] == []
            assert [call for call in stage.aws.calls() if not call.action.startswith(READING)] == []
            assert len(stage.aws.instances()) == 1


@pytest.mark.emulator("about AWS alone")
def test_nodes_are_protected_where_az_rebalance_would_take_them() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("one-zone", "on-demand", zones=[A])
        stage.group("still", "on-demand", instance_types=["m6i.xlarge"])
        with stage.aws.world.lock:
            stage.aws.world.groups["still"].suspended.add("AZRebalance")
        with stage.controller() as child:
            for name in ("spot-a", "one-zone", "still"):
                stage.world.set_priorities(f"30: ['^{name}$']\n")
                pause(0.3)
                stage.deploy(f"web-{name}", 2)
                wait_for(partial(_runs, stage, name), f"two pods on {name}")
                assert len(stage.instances(name)) == 2
            wait_for(lambda: all(one.protected for one in stage.instances("spot-a")), "the protection")
            pause(1.5)
            assert not any(one.protected for name in ("one-zone", "still") for one in stage.instances(name))
            assert {call.group for call in stage.aws.calls("SetInstanceProtection")} == {"spot-a"}
            assert child.events("protection.changed")


def _runs(stage: Stage, name: str) -> bool:
    return stage.running(f"web-{name}") == 2


@pytest.mark.emulator("about AWS alone")
def test_protection_that_is_not_permitted_is_told_once() -> None:
    with Stage.open() as stage:
        stage.aws.faults.add(access_denied("autoscaling", "SetInstanceProtection"))
        stage.group("spot-a")
        with stage.controller("--aws-refresh-interval=1s") as child:
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            wait_for(lambda: child.events("protection.refused"), "the refusal")
            stage.deploy("more", 1)
            wait_for(lambda: stage.running("more") == 1, "another pod to run")
            pause(4.0)
            assert len(child.events("protection.refused")) == 1
            assert len(stage.aws.calls("SetInstanceProtection")) == 1
            told = stage.events("ScaleInProtectionFailed")
            assert len(told) == 1
            assert "spot-a" in told[0]["message"]
