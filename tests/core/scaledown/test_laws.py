"""What holds of every scale-down, whatever the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Cause, Decision, DrainCause, Outcome
from autoscaler.core.model import Market, Node, Pod
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import Snapshot
from tests import builders
from tests.core.scaledown.clusters import GOING, SAFE, clusters, group_of, have_places, is_free_to_take, residents
from tests.worlds import carried_out, shuffled

law: Callable[..., Callable[..., None]] = settings(max_examples=80, derandomize=True, deadline=None)


def gone(world: Snapshot, decision: Decision) -> list[Node]:
    names = {drain.node for drain in decision.drains}
    return [node for node in world.nodes if node.name in names]


def selected(world: Snapshot, pod: Pod) -> list[str]:
    return [
        one.name
        for one in world.pdbs
        if one.selector is not None
        and all(pod.labels.get(each.key) in each.values for each in one.selector.requirements)
    ]


@law
@given(clusters())
def test_every_node_goes_or_is_kept_with_a_reason(world: Snapshot) -> None:
    decision = plan(world)
    going = [drain.node for drain in decision.drains]
    assert sorted([*going, *decision.kept]) == sorted(node.name for node in world.nodes)
    assert all(decision.kept.values())
    assert not {one.node for one in decision.drains} & set(decision.shunned)


@law
@given(clusters())
def test_no_group_falls_below_its_minimum(world: Snapshot) -> None:
    decision = plan(world)
    leaving: Counter[str] = Counter()
    cores = sum(node.capacity["cpu"] for node in world.nodes)
    for node in gone(world, decision):
        group = group_of(world, node)
        leaving[group.name] += next(one.weight for one in group.instances if one.id == node.instance_id)
        cores -= node.capacity["cpu"]
    for group in world.groups:
        assert not leaving[group.name] or group.desired - leaving[group.name] >= group.min_size
    assert not decision.drains or cores >= world.policy.scale_down.min_cores_total * 1000


@law
@given(clusters())
def test_no_pdb_is_broken(world: Snapshot) -> None:
    by_pdb: dict[str, list[int]] = {one.name: [] for one in world.pdbs}
    for drain in plan(world).drains:
        moved = [pod for pod in residents(world, drain.node) if pod.key in drain.pods]
        assert all(len(selected(world, pod)) < 2 for pod in moved)
        for name, count in Counter(name for pod in moved for name in selected(world, pod)).items():
            by_pdb[name].append(count)
    for pdb in world.pdbs:
        counts = by_pdb[pdb.name]
        # The Eviction API paces one node; but the others must fit beside it.
        assert not counts or sum(counts) - max(counts) < pdb.disruptions_allowed


@law
@given(clusters())
def test_the_pods_of_all_nodes_that_go_have_places_together(world: Snapshot) -> None:
    decision = plan(world)
    going = {drain.node for drain in decision.drains}
    staying = [node for node in world.nodes if node.name not in going and is_free_to_take(world, node)]
    held: dict[str, list[Pod]] = {node.name: residents(world, node.name) for node in staying}
    wishes: list[tuple[Pod, list[Node]]] = []
    for drain in decision.drains:
        spot_only = drain.cause is DrainCause.RETURN_TO_SPOT
        able = [node for node in staying if not spot_only or group_of(world, node).market is Market.SPOT]
        wishes += [(pod, able) for pod in residents(world, drain.node)]
    for pod in world.pods:
        if pod.node is None and decision.verdicts[pod.key].outcome is Outcome.FITS_EXISTING:
            wishes.append((pod, staying))
    assert have_places(wishes, held)


@law
@given(clusters())
def test_nothing_that_is_protected_goes(world: Snapshot) -> None:
    for node in gone(world, plan(world)):
        pods = residents(world, node.name)
        assert not any(pod.owner is None or pod.annotations.get(SAFE) == "false" for pod in pods)
        assert not node.annotations
        assert not node.taints
        assert not (node.is_cordoned and pods)
        assert any(one.id == node.instance_id and one.is_live for one in group_of(world, node).instances)


@law
@given(clusters())
def test_no_budget_is_exceeded(world: Snapshot) -> None:
    policy, decision = world.policy.scale_down, plan(world)
    drains = [drain for drain in decision.drains if drain.pods]
    budget = policy.budget
    if budget is None:
        assert len(decision.drains) <= policy.max_parallelism
        assert len(drains) <= policy.max_drain_parallelism
        return
    assert budget.cluster is not None
    assert len(decision.drains) <= budget.cluster.of(len(world.nodes))
    nodes = gone(world, decision)
    if budget.per_group is not None:
        assert max(Counter(group_of(world, node).name for node in nodes).values(), default=0) <= 1
        assert max(Counter(node.zone for node in nodes).values(), default=0) <= 2
        assert sum(len(drain.pods) for drain in drains) <= 3


@law
@given(clusters())
def test_only_on_demand_nodes_below_a_spot_group_return(world: Snapshot) -> None:
    decision = plan(world)
    for drain, node in ((one, each) for one in decision.drains for each in world.nodes if each.name == one.node):
        if drain.cause is DrainCause.RETURN_TO_SPOT:
            assert group_of(world, node).market is Market.ON_DEMAND
            assert world.at - node.created >= timedelta(hours=2)
    markets = {group.name: group.market for group in world.groups}
    for launch in decision.launches:
        if launch.cause is Cause.RETURN_TO_SPOT:
            assert markets[launch.group] is Market.SPOT
            assert not world.memory.availability(
                next(one for one in world.groups if one.name == launch.group), launch.zone, world.at
            ).objections


@law
@given(clusters(), st.lists(st.integers(), min_size=1, max_size=8))
def test_shuffling_the_input_changes_nothing(world: Snapshot, order: list[int]) -> None:
    other = replace(shuffled(world, order), pdbs=tuple(reversed(world.pdbs)))
    assert plan(other) == plan(world)


@law
@given(clusters())
def test_what_was_bought_for_a_return_is_not_bought_again(world: Snapshot) -> None:
    first = plan(world)
    bought = [one for one in first.launches if one.cause is Cause.RETURN_TO_SPOT]
    if not bought:
        return
    waiting = replace(first.scale_down, added={}) if first.scale_down is not None else None
    draining = {drain.node for drain in first.drains}
    going = (builders.taint(GOING),)
    nodes = tuple(replace(one, taints=going) if one.name in draining else one for one in world.nodes)
    second = plan(replace(carried_out(world, first), nodes=nodes, scale_down=waiting))
    again = [one for one in second.launches if one.cause is Cause.RETURN_TO_SPOT]
    assert not again
