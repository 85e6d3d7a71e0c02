"""Who is whose sibling, and that surplus goes back from the fullest zone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from autoscaler.core.model import Lifecycle, NodeGroup
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import Wave
from tests.builders import ZONES, group, instance, node, pod, pods, policy, snapshot


def with_nodes(name: str, zone: str, count: int) -> tuple[NodeGroup, list[object]]:
    """A group of one zone with full live nodes, which carry a label that no tag tells."""
    instances = tuple(instance(f"i-{name}-{number}", zone=zone) for number in range(count))
    nodes = [node(f"{name}-{one.id}", of=one, labels={"image": "v7"}) for one in instances]
    return group(name, zones=[zone], instances=instances), list(nodes)


def launched_by_group(*groups: NodeGroup, nodes: list[object], count: int) -> Counter[str]:
    full = pods(len(nodes), "full", cpu="3500m")
    placed = [replace(one, node=each.name, unschedulable_since=None) for one, each in zip(full, nodes, strict=True)]  # type: ignore[attr-defined]
    decision = plan(snapshot(groups=groups, nodes=nodes, pods=[*placed, *pods(count, cpu="3500m")]))
    return Counter({launch.group: launch.count for launch in decision.launches})


def test_a_group_with_nodes_and_its_empty_siblings_balance_as_one() -> None:
    busy, nodes = with_nodes("spot-a", ZONES[0], 2)
    siblings = group("spot-b", zones=[ZONES[1]]), group("spot-c", zones=[ZONES[2]])
    assert launched_by_group(busy, *siblings, nodes=nodes, count=4) == {"spot-b": 2, "spot-c": 2}


def test_groups_whose_live_nodes_differ_are_no_siblings() -> None:
    first, nodes = with_nodes("spot-a", ZONES[0], 1)
    other = instance("i-other", zone=ZONES[1])
    second = group("spot-b", zones=[ZONES[1]], instances=(other,))
    nodes.append(node("other", of=other, labels={"image": "v8"}))
    assert launched_by_group(first, second, nodes=nodes, count=2) == {"spot-a": 2}


def test_named_labels_alone_decide_where_they_are_given() -> None:
    small, large = group("spot-a", zones=[ZONES[0]]), group("spot-b", zones=[ZONES[1]], types=["m5.2xlarge"])
    world = snapshot(groups=[small, large], pods=pods(2, cpu="3"), policy=policy(balancing_labels=("team",)))
    assert Counter(launch.zone for launch in plan(world).launches) == {ZONES[0]: 1, ZONES[1]: 1}


def test_surplus_goes_back_from_the_fullest_zone() -> None:
    old = tuple(instance(f"i-old-{zone}", zone=zone) for zone in ZONES)
    zones = (ZONES[0], ZONES[0], ZONES[0], ZONES[2], ZONES[2])
    new = tuple(
        instance(f"i-new-{number}", zone=zone, lifecycle=Lifecycle.PENDING) for number, zone in enumerate(zones)
    )
    nodes = [node(of=one) for one in old]
    residents = [pod(f"old-{each.name}", cpu="3500m", node=each.name) for each in nodes]
    world = snapshot(
        groups=[group("spot-a", instances=old + new)],
        nodes=nodes,
        pods=[*residents, *pods(4, cpu="3500m")],
        wave=Wave(launched=frozenset(one.id for one in new)),
    )
    removals = plan(world).removals
    assert [(removal.reason, removal.instance) for removal in removals] == [("Surplus", "i-new-2")]


def test_a_group_that_cannot_be_protected_balances_its_own_zones_first() -> None:
    """AWS evens a group out by terminating nodes, where nothing keeps it from that."""
    fields = {"zones": list(ZONES[:2])}
    alone = group("spot-a", instances=(instance("i-1", zone=ZONES[0]),), can_be_protected=False, **fields)
    sibling = group("spot-b", instances=tuple(instance(f"i-b{n}", zone=ZONES[1]) for n in range(3)), **fields)
    nodes = [node(of=one) for each in (alone, sibling) for one in each.instances]
    full = [pod(f"old-{each.name}", cpu="3500m", node=each.name) for each in nodes]
    launches = plan(snapshot(groups=[alone, sibling], nodes=nodes, pods=[*full, *pods(1, cpu="3500m")])).launches
    assert [(launch.group, launch.zone) for launch in launches] == [("spot-a", ZONES[1])]
