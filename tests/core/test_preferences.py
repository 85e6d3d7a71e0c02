"""Preferences break ties and are told; whatever else a plan does, it does without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Decision
from autoscaler.core.layout import lay_out
from autoscaler.core.model import Pod
from autoscaler.core.planner import plan
from autoscaler.core.podspec import Effect, NodeTerm, PreferredNodeTerm
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.unmet import PLACED
from tests import builders
from tests.core.scheduling.crowds import crowds
from tests.core.scheduling.naive import Box, NaiveScheduler, holds
from tests.core.scheduling.test_crowds import orders, play
from tests.preferring import equals, hardened, softened
from tests.worlds import carried_out, obstacles, shuffled, worlds

law: Callable[..., Callable[..., None]] = settings(max_examples=60, derandomize=True)
both = softened(worlds()) | softened(crowds())


def nodes_by_tier(world: Snapshot, decision: Decision) -> Counter[int | None]:
    tiers = world.policy.tiers.assign(one.name for one in world.groups)
    found: Counter[int | None] = Counter()
    for launch in decision.launches:
        found[tiers[launch.group]] += launch.count
    return found


@law
@given(both)
def test_preferences_change_no_outcome_no_node_and_no_tier(world: Snapshot) -> None:
    with_them, without = plan(world), plan(hardened(world))
    assert nodes_by_tier(world, with_them) == nodes_by_tier(world, without)
    outcomes = {key: verdict.outcome for key, verdict in with_them.verdicts.items()}
    assert outcomes == {key: verdict.outcome for key, verdict in without.verdicts.items()}


@law
@given(both)
def test_only_a_pod_with_a_place_is_told(world: Snapshot) -> None:
    for verdict in plan(world).verdicts.values():
        assert not verdict.unmet or verdict.outcome in PLACED
    assert not any(verdict.unmet for verdict in plan(hardened(world)).verdicts.values())


@law
@given(softened(worlds()))
def test_limits_and_hard_constraints_hold_as_before(world: Snapshot) -> None:
    decision = plan(world)
    groups = {one.name: one for one in hardened(world).groups}  # the oracle takes every taint for a hard one
    pods = {pod.key: pod for pod in world.pods}
    units: Counter[str] = Counter()
    for launch in decision.launches:
        one = groups[launch.group]
        units[launch.group] += launch.units
        assert one.desired + units[launch.group] <= one.max_size
        assert not world.memory.availability(one, launch.zone, world.at).objections
        assert not any(obstacles(world, pods[key], one) for key in launch.pods)


@law
@given(softened(crowds()))
def test_the_scheduler_keeps_every_promise(world: Snapshot) -> None:
    layout = lay_out(world)
    assert any(not play(world, layout, order)[1] for order in orders(world, layout))


@law
@given(softened(crowds()))
def test_what_is_told_is_what_a_naive_look_at_the_end_state_finds(world: Snapshot) -> None:
    layout, verdicts = lay_out(world), plan(world).verdicts
    for order in orders(world, layout):
        scheduler, left = play(world, layout, order)
        if not left:
            break
    assume(not left)
    for box in scheduler.boxes:
        for pod in box.pods:
            if pod.node is None:
                told = {str(one.why) for one in verdicts[pod.key].unmet}
                assert told == set(naive_unmet(scheduler, pod, box))


def naive_unmet(scheduler: NaiveScheduler, pod: Pod, box: Box) -> Iterator[str]:
    """What the node does not honour, one pod and one node at a time."""
    spec = pod.spec
    if any(one.effect is Effect.PREFER_NO_SCHEDULE for one in box.taints):
        yield "PreferNoSchedule"  # nobody tolerates the one that there is
    for preferred in spec.preferred_node_terms:
        wanted = preferred.term.expressions
        if not all(one.operator != "Near" and holds(one, box.labels) for one in wanted):
            yield "PreferredNodeAffinity"
    for words, terms in (("Affinity", spec.preferred_affinity), ("AntiAffinity", spec.preferred_anti_affinity)):
        for _, term in terms:
            key = term.topology_key
            named = [(each, other) for each in scheduler.boxes for other in each.pods
                     if other is not pod and scheduler.means(term, pod, other)]  # fmt: skip
            near = any(key in box.labels and each.labels.get(key) == box.labels[key] for each, _ in named)
            is_first = not named and scheduler.means(term, pod, pod)
            if near == (words == "AntiAffinity") and not (is_first and words == "Affinity"):
                yield f"PreferredPod{words}"
    soft = [one for one in spec.spread if not one.hard and one.selector is not None and one.selector.requirements]
    for spread in soft:
        counts = scheduler.spread_counts(pod, spread, soft)
        homeless = any(one.topology_key not in box.labels for one in soft)
        if homeless or counts[box.labels[spread.topology_key]] - min(counts.values()) > spread.max_skew:
            yield "ScheduleAnyway"


@law
@given(both, st.lists(st.integers(), min_size=1, max_size=8))
def test_shuffling_the_input_changes_nothing(world: Snapshot, order: list[int]) -> None:
    assert plan(shuffled(world, order)) == plan(world)


@law
@given(softened(worlds()))
def test_carried_out_a_plan_repeated_launches_nothing_more_than_without_preferences(world: Snapshot) -> None:
    decision, bare = plan(world), hardened(world)
    assume(sum(launch.count for launch in decision.launches) < world.policy.max_nodes_per_scaleup)
    assume(not plan(carried_out(bare, plan(bare))).launches)
    assert not plan(carried_out(world, decision)).launches


@law
@given(both)
def test_planning_changes_nothing_that_it_was_given(world: Snapshot) -> None:
    before = repr(world)
    plan(world)
    assert repr(world) == before


@pytest.mark.parametrize("priorities", [(0, 0), (1000, 0)])
def test_one_preferred_place_goes_to_the_same_pod_in_every_order(priorities: tuple[int, int]) -> None:
    wish = (PreferredNodeTerm(100, NodeTerm((equals("disk=ssd"),))),)
    small = builders.node(
        "b-ssd", labels={"disk": "ssd"}, allocatable=builders.resources(cpu="1", memory="15Gi", pods="58")
    )
    first = builders.pod("z-first", cpu="700m", preferred_node_terms=wish, priority=priorities[0])
    second = builders.pod("a-second", cpu="600m", preferred_node_terms=wish, priority=priorities[1])
    nodes = (builders.node("a-old"), small)
    decisions = [plan(builders.snapshot(nodes=nodes, pods=each)) for each in ((first, second), (second, first))]
    assert decisions[0] == decisions[1]
    winner = first if priorities[0] else second
    assert decisions[0].verdicts[winner.key].node == "b-ssd"
