"""Headroom and floors as virtual pods: room that is kept spare without creating anything (DESIGN 7).

A virtual pod has the lowest priority, and whoever is real takes its room at
once. Each pass makes them anew from the size that the cluster has
before any removal: those that fit buy nothing, the others buy nodes. A floor
is a virtual pod a node that asks for nothing and stays alone of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from autoscaler.core.decision import Cause
from autoscaler.core.index import Index
from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, GroupName, Node, Pod, Zone
from autoscaler.core.podspec import LabelSelector, NodeTerm, PodSpec, PodTerm, Requirement, Toleration
from autoscaler.core.replicas import spare_replicas
from autoscaler.core.reserve import Headroom
from autoscaler.core.resources import Resources
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.virtual import FLOOR, GROUP_LABEL, HEADROOM, LABEL, LOWEST, VIRTUAL, copies, measure


def cause_of(pods: Iterable[Pod]) -> Cause:
    """Why a node is bought that such pods share."""
    uids = [pod.uid for pod in pods]
    if not all(uid.startswith(VIRTUAL) for uid in uids):
        return Cause.PENDING
    return Cause.FLOOR if any(uid.startswith(FLOOR) for uid in uids) else Cause.HEADROOM


@dataclass(slots=True)
class Virtual:
    """The virtual pods of a pass; `next_at` is when there will be others. `tells_groups`: some keep to some groups."""

    pods: list[Pod]
    tells_groups: bool = False
    next_at: datetime | None = None


def make_virtual(snapshot: Snapshot, index: Index) -> Virtual:
    """Work out what is to be spare now."""
    reserve, at = snapshot.reserve, snapshot.at
    found = Virtual(list(spare_replicas(snapshot, index)))
    moments: list[datetime] = []
    for one in reserve.headroom:
        if one.window is not None and (change := one.window.next_change(at)) is not None:
            moments.append(change)
        if one.window is None or one.window.contains(at):
            found.pods += _spare(one, index, at)
            found.tells_groups |= one.groups is not None
    for floor in reserve.floors:
        moments += [moment for moment in floor.changes(at) if moment > at]
        if floor.applies(at) and floor.nodes:
            names = _matching(floor.groups, index)
            found.pods += copies(floor.name, floor.nodes, _floor_spec(floor.name, names), FLOOR, at)
            found.tells_groups = True
    found.next_at = min(moments, default=None)
    return found


def _spare(one: Headroom, index: Index, at: datetime) -> Iterator[Pod]:
    names = _matching(one.groups, index) if one.groups is not None else None
    zones: Sequence[Zone | None] = (None,)
    if one.per_zone:
        known = index.groups if names is None else names
        zones = sorted({zone for name in known for zone in index.groups[name].zones})
    for zone in zones:
        extent = measure(node for node in index.nodes.values() if _counts(node, names, zone, index))
        spec = PodSpec(
            requests=one.requests.with_amounts({"pods": 1}),
            priority=LOWEST,
            node_terms=_within(names),
            node_selector=((ZONE_LABEL, str(zone)),) if zone is not None else (),
        )
        name = f"{one.name}.{zone}" if zone is not None else one.name
        yield from copies(name, one.size.replicas(extent), spec, HEADROOM, at)


def _counts(node: Node, names: frozenset[GroupName] | None, zone: Zone | None, index: Index) -> bool:
    if zone is not None and node.zone != zone:
        return False
    return names is None or index.group_of_node.get(node.name) in names


def _matching(groups: re.Pattern[str], index: Index) -> frozenset[GroupName]:
    return frozenset(name for name in index.groups if groups.search(name))


def _within(names: frozenset[GroupName] | None) -> tuple[NodeTerm, ...] | None:
    if names is None:
        return None
    return (NodeTerm((Requirement(GROUP_LABEL, "In", tuple(sorted(names))),)),)


def _floor_spec(name: str, names: frozenset[GroupName]) -> PodSpec:
    """One a node, whatever is on it: it asks for nothing and tolerates everything."""
    selector = LabelSelector((Requirement(LABEL, "In", (name,)),))
    return PodSpec(
        requests=Resources({}),
        priority=LOWEST,
        node_terms=_within(names),
        anti_affinity=(PodTerm(HOSTNAME_LABEL, selector),),
        tolerations=(Toleration("", "Exists"),),
    )
