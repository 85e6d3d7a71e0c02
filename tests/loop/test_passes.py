"""Whole passes on a world in memory: waves, refusals, surplus, dry runs, and what makes a pass impossible."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio

from autoscaler import clock
from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind, Removal
from autoscaler.core.model import GroupName, Instance, InstanceId, Lifecycle, Market, NodeGroup, Pod
from autoscaler.core.snapshot import Snapshot
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.passes import REMOVAL_RETRY, Pass, Senses
from autoscaler.publish.report import PassReport, WaveReport
from tests.builders import NOW, group, instance, pods, policy, snapshot

TIERS = {20: ["spot"], 10: ["od"]}


@dataclass
class World:
    """Eyes, hands and voice on one snapshot; groups named in `dry` refuse."""

    base: Snapshot
    ledger: Ledger
    dry: set[str] = field(default_factory=set)
    reasons: tuple[str, ...] = ()
    asked: list[Launch] = field(default_factory=list)
    removed: list[Removal] = field(default_factory=list)
    refuses_removals: bool = False
    waves: list[WaveReport] = field(default_factory=list)
    passes: list[PassReport] = field(default_factory=list)
    told_blind: list[Sequence[str]] = field(default_factory=list)
    later: Sequence[Pod] = ()  # the pods as they are once something was asked of AWS

    def blind_reasons(self) -> Sequence[str]:
        return self.reasons

    def look(self, at: datetime) -> Snapshot:
        groups = self.ledger.overlay(self.base.groups, at)
        return replace(self.base, at=at, groups=groups, memory=self.ledger.memory)

    def change(self) -> object:
        return self.ledger.changes

    async def launch(self, launch: Launch, group: NodeGroup) -> LaunchResult:
        self.asked.append(launch)
        if self.later:
            self.base = replace(self.base, pods=self.later)
        if group.name in self.dry:
            refusal = Refusal(kind=RefusalKind.NO_CAPACITY, code="InsufficientInstanceCapacity", zone=launch.zone)
            return LaunchResult(launch=launch, at=clock.now(), refusals=(refusal,))
        assert launch.zone is not None
        launched = tuple(
            Instance(
                id=InstanceId(f"i-{len(self.asked)}-{number}"),
                instance_type=group.shapes[0].instance_type,
                zone=launch.zone,
                lifecycle=Lifecycle.PENDING,
            )
            for number in range(launch.count)
        )
        return LaunchResult(launch=launch, at=clock.now(), launched=launched)

    async def remove(self, removal: Removal, group: NodeGroup) -> bool:  # noqa: ARG002 - the port names it
        self.removed.append(removal)
        return not self.refuses_removals

    def touched(self, groups: Collection[GroupName]) -> None:
        pass

    async def wave(self, report: WaveReport) -> None:
        self.waves.append(report)

    def passed(self, report: PassReport) -> None:
        self.passes.append(report)


class Eyes:
    def __init__(self, world: World) -> None:
        self.look, self.change, self.blind = world.look, world.change, world.blind_reasons


class Voice:
    def __init__(self, world: World) -> None:
        self.wave, self.passed, self.blind = world.wave, world.passed, world.told_blind.append


def play(world: World, *, dry_run: bool = False) -> bool:
    senses = Senses(eyes=Eyes(world), voice=Voice(world), hands=None if dry_run else world)
    return anyio.run(Pass(senses, world.ledger, lambda: 0.0).run)


def made(count: int, *groups: NodeGroup, dry: set[str] | None = None) -> World:
    base = snapshot(groups=groups, pods=pods(count, cpu="3"), policy=policy(TIERS))
    return World(base, Ledger(), dry=dry or set())


SPOT, ON_DEMAND = group("spot-a"), group("od-a", market=Market.ON_DEMAND)


def test_a_pass_buys_what_is_wanted_in_one_wave() -> None:
    world = made(4, SPOT, ON_DEMAND)
    assert play(world)
    assert sum(launch.count for launch in world.asked) == 4
    assert {launch.group for launch in world.asked} == {"spot-a"}
    assert (world.passes[0].waves, world.passes[0].launched, world.removed) == (1, 4, [])


def test_a_dry_tier_is_passed_within_the_pass_and_surplus_goes_back() -> None:
    world = made(1, SPOT, ON_DEMAND, dry={"spot-a"})
    assert play(world)
    bought = [launch for launch in world.asked if launch.group == "od-a"]
    assert len(world.asked) - len(bought) == 3  # its three zones
    assert [removal.reason for removal in world.removed] == ["Surplus"] * (len(bought) - 1)


def test_the_next_pass_buys_nothing_again() -> None:
    world = made(4, SPOT)
    assert play(world)
    asked = len(world.asked)
    assert play(world)
    assert len(world.asked) == asked


def test_a_pod_that_is_judged_while_aws_answers_may_take_the_place_of_another_which_gets_a_new_one() -> None:
    """The real scheduler marks the pods of a burst one by one: the first in its order may be the last."""
    world = made(2, SPOT)
    first, second = world.later = world.base.pods
    world.base = replace(world.base, pods=(replace(first, unschedulable_since=None), second))
    assert play(world)
    assert [launch.pods for launch in world.asked] == [(second.key,), (second.key,)]
    assert (world.passes[0].waves, world.passes[0].launched) == (2, 2)


def test_a_second_burst_leaves_dry_pools_alone() -> None:
    world = made(2, SPOT, ON_DEMAND, dry={"spot-a"})
    play(world)
    world.asked.clear()
    world.base = replace(world.base, pods=pods(6, cpu="3"))
    play(world)
    assert {launch.group for launch in world.asked} == {"od-a"}


def test_a_dry_run_decides_and_asks_nothing() -> None:
    world = made(4, SPOT)
    assert play(world, dry_run=True)
    assert world.asked == []
    assert sum(launch.count for launch in world.waves[0].decision.launches) == 4


def test_without_sight_there_is_no_pass() -> None:
    world = made(4, SPOT)
    world.reasons = ("the groups were never read",)
    assert not play(world)
    assert (world.asked, world.waves, world.told_blind) == ([], [], [world.reasons])


def test_an_instance_without_a_node_is_kept_while_nodes_cannot_be_read() -> None:
    old = instance("i-old", since=NOW - timedelta(hours=1))
    world = made(0, group("spot-a", instances=(old,)))
    world.base = replace(world.base, unreadable_nodes=1)
    play(world)
    assert world.removed == []
    world.base = replace(world.base, unreadable_nodes=0)
    play(world)
    assert [removal.instance for removal in world.removed] == ["i-old"]


def test_a_refused_removal_is_tried_again_although_nothing_changes() -> None:
    old = instance("i-old", since=NOW - timedelta(hours=1))
    world = made(0, group("spot-a", instances=(old,)))
    world.refuses_removals = True
    passes = Pass(Senses(eyes=Eyes(world), voice=Voice(world), hands=world), world.ledger, lambda: 0.0)
    anyio.run(passes.run)
    assert passes.next_at is not None
    assert passes.next_at <= clock.now() + REMOVAL_RETRY
