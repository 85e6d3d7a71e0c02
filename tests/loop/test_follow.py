"""What was raised and does not come is withdrawn, whatever call fails on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from autoscaler import clock
from autoscaler.aws.client import AwsSettings, connect
from autoscaler.aws.discovery import Selection
from autoscaler.aws.groups import GroupSource
from autoscaler.aws.known import Bounds
from autoscaler.config import Config
from autoscaler.core.decision import Launch, LaunchResult, RefusalKind
from autoscaler.core.model import GroupName, LaunchMethod
from autoscaler.emulator.aws import AwsEmulator, Delays, EmulatorConfig
from autoscaler.emulator.aws.faults import Fault
from autoscaler.emulator.aws.groups import set_desired
from autoscaler.loop.follow import Follower
from autoscaler.loop.hands import AwsHands
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.pace import Pace, Rhythm
from autoscaler.metrics import Metrics

pytestmark = pytest.mark.anyio
NAMES = (GroupName("a"), GroupName("b"))


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsEmulator]:
    with AwsEmulator.start(EmulatorConfig(delays=Delays(launch=0.05, boot=0.05, retry=600.0))) as started:
        for name, value in {"ENDPOINT_URL": started.url, "ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield started


@asynccontextmanager
async def following(told: list[LaunchResult], ledger: Ledger) -> AsyncIterator[Follower]:
    """What follows raises of the groups, not running yet."""
    async with connect(AwsSettings(region="eu-west-3")) as aws:

        async def tell(result: LaunchResult) -> None:
            told.append(result)

        yield Follower(
            hands=AwsHands(aws, ledger, Metrics(version="test"), lambda _: None, lambda: True),
            source=GroupSource(aws, Selection(bounds=dict.fromkeys(NAMES, Bounds(0, 9)))),
            ledger=ledger,
            pace=Pace(Rhythm()),
            config=Config(),
            jitter=lambda: 0.0,
            tell=tell,
        )


async def test_what_a_predecessor_asked_for_is_withdrawn_and_what_others_ask_for_is_not(emulator: AwsEmulator) -> None:
    emulator.world.delays.retry = 0.1
    for name in NAMES:
        emulator.create_group(name=name, market="spot")
    emulator.set_pool(free=0)
    groups = emulator.world.groups

    def ask(name: GroupName) -> None:
        with emulator.world.lock:
            set_desired(emulator.world, groups[name], 2)

    ask(NAMES[0])
    async with following(told := [], Ledger()) as follower, anyio.create_task_group() as tasks:
        await follower.source.refresh()
        tasks.start_soon(follower.run)
        with anyio.fail_after(20):
            while groups[NAMES[0]].desired:  # noqa: ASYNC110 - the emulator tells nobody
                await anyio.sleep(0.05)
            ask(NAMES[1])
            await follower.source.refresh()
            while not any(result.launch.group == NAMES[1] for result in told):  # noqa: ASYNC110
                await anyio.sleep(0.05)
            await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert [groups[name].desired for name in NAMES] == [0, 2]


@pytest.mark.parametrize("action", ["DescribeAutoScalingGroups", "SetDesiredCapacity"])
async def test_a_failed_call_loses_no_failed_activity(emulator: AwsEmulator, action: str) -> None:
    for name in NAMES:
        emulator.create_group(name=name, market="spot")
    emulator.set_pool(free=0)
    told: list[LaunchResult] = []
    async with following(told, ledger := Ledger()) as follower:
        hands, source = follower.hands, follower.source
        for group in await source.refresh():
            wish = Launch(group=group.name, zone=None, count=2, units=2, method=LaunchMethod.DESIRED)
            assert not (await hands.launch(wish, group)).refusals
        await anyio.sleep(0.5)  # for the activities to have failed before the first look at them
        emulator.faults.add(Fault(action=action, times=1))
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follower.run)
                while hands.following:  # noqa: ASYNC110 - the emulator tells nobody
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
    assert [emulator.world.groups[name].desired for name in NAMES] == [0, 0]
    seen = ledger.overlay(source.groups, clock.now())
    assert [(group.desired, group.proven_missing) for group in seen] == [(0, 0), (0, 0)]
    assert {result.launch.group for result in told} == set(NAMES)
    assert {refusal.kind for result in told for refusal in result.refusals} == {RefusalKind.NO_CAPACITY}
