"""Stale writes of sizes and of protection: AWS takes them, as they say nothing of when they were meant.

A desired capacity is absolute on the wire. What arrives late may be below what
the successor has raised it to, or above what it has lowered it to; in the end
no running node is lost and no surplus one stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from autoscaler.emulator.auditor import Auditor
from autoscaler.emulator.aws.actions import cancel_instance_refresh, start_instance_refresh
from autoscaler.emulator.child import ChildController
from tests.e2e.detour import Detour
from tests.e2e.stage import A, Stage, wait_for
from tests.e2e.test_scale_down import SOON
from tests.e2e.test_survival import HASTY
from tests.e2e.test_two_leaders import detoured, overtake

SIDE_BY_SIDE = 2
pytestmark = pytest.mark.emulator("its detour needs plain HTTP, and it is about AWS alone")

OFTEN = (*HASTY, "--aws-refresh-interval=1s")
DESIRED = (*OFTEN, "--launch-method=desired")
SET, PROTECT = b"Action=SetDesiredCapacity", b"Action=SetInstanceProtection"
GROUP = "spot-a"


def size(stage: Stage) -> tuple[int, int]:
    return stage.desired(GROUP), len(stage.instances(GROUP))


def are_protected(stage: Stage, *, wanted: bool = True) -> bool:
    found = stage.instances(GROUP)
    return bool(found) and all(one.protected is wanted for one in found)


def serves(stage: Stage, app: str, count: int) -> bool:
    """So many pods are wanted and run, on nodes that AWS may not take."""
    if len(stage.pods(app)) != count:
        stage.deploy(app, count)
        return False
    return stage.running(app) == count and are_protected(stage)


@contextmanager
def begun(stage: Stage, *flags: str) -> Iterator[tuple[ChildController, Detour, Auditor]]:
    """A group in one zone, which AWS never evens out, and the first that leads."""
    stage.group(GROUP, zones=[A])
    with detoured(stage, *flags) as (first, aws, _):
        yield first, aws, Auditor(stage.world)


def test_a_stale_raise_below_what_the_successor_has_takes_no_running_node() -> None:
    with Stage.open() as stage, begun(stage, *DESIRED) as (first, aws, audit):
        aws.hold(SET)
        stage.deploy("web", 2)
        before: set[str] = set()

        def has_more(_: ChildController) -> bool:
            before.update(one.id for one in stage.instances(GROUP))
            return stage.running("web") == 2 and serves(stage, "more", 2)

        def is_mended() -> bool:
            return size(stage) == (4, 4)

        assert overtake(stage, first, aws, has_more, *DESIRED, settled=is_mended) == "200"
        assert [call.parameters["DesiredCapacity"] for call in stage.aws.calls("SetDesiredCapacity")][-2:] == ["2", "4"]
        assert {one.id for one in stage.instances(GROUP)} == before
        assert stage.running("web") == stage.running("more") == 2
        assert not audit.lost


def test_a_stale_raise_above_what_the_successor_wants_leaves_no_surplus() -> None:
    flags = (*DESIRED, *SOON)
    with Stage.open() as stage, begun(stage, *flags) as (first, aws, audit):
        aws.hold(SET)
        stage.deploy("web", 3)
        served: set[str] = set()

        def has_fewer(_: ChildController) -> bool:
            if not serves(stage, "web", 1) or size(stage) != (1, 1):
                return False
            served.update(one.id for one in stage.instances(GROUP))
            return True

        def is_mended() -> bool:
            return size(stage) == (1, 1) and len(stage.objects("nodes")) == 1

        def came_and_went() -> bool:
            return audit.nodes_gone >= 2 and is_mended()

        assert overtake(stage, first, aws, has_fewer, *flags, settled=came_and_went) == "200"
        assert {one.id for one in stage.instances(GROUP)} == served
        assert stage.running("web") == 1
        assert not audit.lost


def test_a_stale_withdrawal_takes_no_node_that_came_after_all() -> None:
    with Stage.open() as stage, begun(stage, *DESIRED) as (first, aws, audit):
        stage.deploy("web", 1)
        wait_for(lambda: stage.running("web") == 1, "the first pod to run")
        stage.aws.set_pool(market="spot", free=0)
        aws.hold(SET + b"\\S*DesiredCapacity=1&")
        stage.deploy("more", 2)
        wait_for(lambda: aws.held, "the withdrawal to be on its way")

        def has_come(_: ChildController) -> bool:
            stage.aws.set_pool(market="spot", free=None)
            return serves(stage, "more", 2)

        def is_mended() -> bool:
            return size(stage) == (3, 3)

        assert overtake(stage, first, aws, has_come, *DESIRED, settled=is_mended) == "200"
        assert stage.running("web") + stage.running("more") == 3
        assert not audit.lost


def refresh(stage: Stage, *, begins: bool) -> None:
    with stage.aws.world.lock:
        change = start_instance_refresh if begins else cancel_instance_refresh
        change(stage.aws.world, {"AutoScalingGroupName": GROUP})


@pytest.mark.parametrize("protects", [True, False], ids=["on", "off"])
def test_stale_protection_is_set_right_again(protects: bool) -> None:
    """The refresh begins, or ends, after the write was meant: then the opposite is wanted."""
    with Stage.open() as stage:
        stage.group(GROUP)
        with detoured(stage, *OFTEN) as (first, aws, _):
            if protects:
                aws.hold(PROTECT)
            stage.deploy("web", 1)
            if not protects:
                wait_for(lambda: are_protected(stage), "the node to be protected")
                aws.hold(PROTECT)
                refresh(stage, begins=True)
            turned: list[bool] = []

            def has_turned(_: ChildController) -> bool:
                if not turned and are_protected(stage):
                    turned.append(True)
                    refresh(stage, begins=protects)
                return bool(turned) and are_protected(stage, wanted=not protects)

            def is_mended() -> bool:
                return are_protected(stage, wanted=not protects)

            assert overtake(stage, first, aws, has_turned, *OFTEN, settled=is_mended) == "200"
            stale = [call.parameters["ProtectedFromScaleIn"] for call in stage.aws.calls("SetInstanceProtection")]
            assert stale[-2:] == [str(protects).lower(), str(not protects).lower()]
            assert stage.running("web") == 1
            assert size(stage) == (1, 1)
