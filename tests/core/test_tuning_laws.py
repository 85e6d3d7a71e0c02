"""What holds of every decision where applications have wishes, whatever the world."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Decision, Outcome, Why
from autoscaler.core.model import Market, NodeGroup, Pod
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.tuning import Annotated
from tests.builders import NOW
from tests.worlds import obstacles, shuffled, worlds

law: Callable[..., Callable[..., None]] = settings(max_examples=120, derandomize=True)
PREFIX = "priority-autoscaler/"
GROUPS = ("spot", "on-demand;spot", "spot;on-demand", "-0,-1;-2", "-3;.*", "[01]$", "nothing")
WAITS = ("0s", "30s", "never")
JUDGED = (Outcome.LAUNCH, Outcome.WAITING, Outcome.UNSCHEDULABLE)


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, str]:
    found = {}
    for key, texts in (("groups", GROUPS), ("on-demand", ("never", "only", "allow")), ("max-wait", WAITS)):
        if draw(st.integers(0, 2)) == 0:
            found[PREFIX + key] = draw(st.sampled_from(texts))
    return found


@st.composite
def tuned_worlds(draw: st.DrawFn) -> Snapshot:
    """Worlds in which most applications have wishes, and their namespace some for the others."""
    world = draw(worlds())
    apps = sorted({pod.name.rsplit("-", 1)[0] for pod in world.pods})
    own = {app: draw(wishes()) for app in apps}
    pods = tuple(replace(pod, annotations=own[pod.name.rsplit("-", 1)[0]]) for pod in world.pods)
    return replace(world, pods=pods, annotated=Annotated(namespaces={"shop": draw(wishes())}))


def wish(world: Snapshot, pod: Pod, key: str) -> str | None:
    """The pod's own, else its namespace's."""
    return pod.annotations.get(PREFIX + key, world.annotated.namespaces["shop"].get(PREFIX + key))


def may_buy(world: Snapshot, pod: Pod, group: NodeGroup) -> bool:
    market, names = wish(world, pod, "on-demand"), wish(world, pod, "groups")
    if market == "never" and group.market is not Market.SPOT:
        return False
    if market == "only" and group.market is not Market.ON_DEMAND:
        return False
    return names is None or any(re.search(one, group.name) for one in re.split("[;,]", names))


def own_tier(world: Snapshot, pod: Pod, group: NodeGroup) -> int:
    """The better, the lower."""
    names = wish(world, pod, "groups")
    if names is None:
        tier = world.policy.tiers.assign(one.name for one in world.groups)[group.name]
        return 10_000 if tier is None else -tier
    tiers = [any(re.search(one, group.name) for one in tier.split(",")) for tier in names.split(";")]
    return tiers.index(True)


def judged(world: Snapshot, decision: Decision) -> list[Pod]:
    return [pod for pod in world.pods if pod.node is None and decision.verdicts[pod.key].outcome in JUDGED]


@law
@given(tuned_worlds())
def test_nothing_is_bought_that_a_pod_forbids(world: Snapshot) -> None:
    by_key = {pod.key: pod for pod in world.pods}
    groups = {one.name: one for one in world.groups}
    for launch in plan(world).launches:
        assert all(may_buy(world, by_key[key], groups[launch.group]) for key in launch.pods)


@law
@given(tuned_worlds())
def test_every_forbidden_group_says_so_and_no_other_does(world: Snapshot) -> None:
    decision = plan(world)
    for pod in judged(world, decision):
        verdict = decision.verdicts[pod.key]
        for one in world.groups:
            forbids = Why.NOT_ALLOWED in {reason.why for reason in verdict.objections.get(one.name, ())}
            assert forbids == (not may_buy(world, pod, one))


@law
@given(tuned_worlds())
def test_nobody_waits_for_a_better_tier_beyond_the_bound(world: Snapshot) -> None:
    decision = plan(world)
    for pod in judged(world, decision):
        bound = {"never": timedelta.max, "30s": timedelta(seconds=30)}.get(wish(world, pod, "max-wait") or "")
        verdict = decision.verdicts[pod.key]
        since = pod.unschedulable_since or pod.created
        has_waited = bound is None or NOW - since >= bound
        if verdict.outcome is not Outcome.LAUNCH and has_waited:
            assert not any(r.why is Why.LOWER_TIER for reasons in verdict.objections.values() for r in reasons)
        if not has_waited and wish(world, pod, "max-wait") != "never":
            assert decision.next_at is not None
            assert decision.next_at <= since + timedelta(seconds=30)


@law
@given(tuned_worlds())
def test_who_waits_buys_in_the_best_tier_that_could_host_it(world: Snapshot) -> None:
    decision = plan(world)
    groups = {one.name: one for one in world.groups}
    for launch in decision.launches:
        for pod in (one for one in world.pods if one.key in launch.pods):
            if len(launch.pods) > 1 or wish(world, pod, "max-wait") != "never":
                continue  # a place that others have bought may be taken, whatever its tier
            able = [one for one in world.groups if may_buy(world, pod, one) and not obstacles(world, pod, one)]
            able = [one for one in able if "Launch" not in one.suspended]
            best = min(own_tier(world, pod, one) for one in able)
            assert own_tier(world, pod, groups[launch.group]) == best


@law
@given(tuned_worlds(), st.lists(st.integers(), min_size=1, max_size=8))
def test_shuffling_the_input_changes_nothing(world: Snapshot, order: list[int]) -> None:
    assert plan(shuffled(world, order)) == plan(world)


@law
@given(tuned_worlds())
def test_the_wishes_of_a_namespace_are_those_of_its_pods(world: Snapshot) -> None:
    """Where a wish stands makes no difference to what is decided."""
    above = world.annotated.namespaces["shop"]
    pods = tuple(replace(pod, annotations={**above, **pod.annotations}) for pod in world.pods)
    below = plan(replace(world, pods=pods, annotated=Annotated()))
    decision = plan(world)
    assert below.launches == decision.launches
    assert {key: one.outcome for key, one in below.verdicts.items()} == {
        key: one.outcome for key, one in decision.verdicts.items()
    }
