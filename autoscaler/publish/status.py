"""Status: how cluster and groups stand, in cluster-autoscaler's words.

Read off one pass, beside what stood before it: a condition keeps the time at
which it became what it is. Equal states are equal values, however often one
looks; how they are written down stands in `status_text`.
Source: cluster-autoscaler, clusterstate/api/types.go and clusterstate.go
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from autoscaler.core.decision import Decision, Objection, Why
from autoscaler.core.model import InstanceId, Node, NodeGroup
from autoscaler.core.scaledown.cases import is_going
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.snapshot import Snapshot

OUT_OF_CAPACITY = "placeholder-cannot-be-fulfilled"  # as cluster-autoscaler calls it on AWS


@dataclass(frozen=True, slots=True)
class Condition:
    """One word, and since when it holds; both empty before the first pass."""

    status: str = ""
    since: datetime | None = None

    def become(self, status: str, at: datetime) -> Condition:
        """Return the condition after a look: itself, when nothing has changed."""
        return self if status == self.status else Condition(status, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCounts:
    """Nodes by state. The last two are instances without a Node."""

    ready: int = 0
    not_started: int = 0
    unready: int = 0
    being_deleted: int = 0
    unregistered: int = 0
    long_unregistered: int = 0

    @property
    def registered(self) -> int:
        return self.ready + self.not_started + self.unready + self.being_deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is told of the cluster and of each group alike."""

    counts: NodeCounts = NodeCounts()
    candidates: int = 0  # nodes that are unneeded
    health: Condition = Condition()
    scale_up: Condition = Condition()
    scale_down: Condition = Condition()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStanding:
    """A group. `backoff` is error code and message while AWS's refusals hold all of it."""

    name: str
    target: int
    min_size: int
    max_size: int
    standing: Standing
    backoff: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole; `groups` in order of name."""

    is_running: bool = False
    cluster: Standing = Standing()
    groups: tuple[GroupStanding, ...] = ()


def status_of(snapshot: Snapshot, decision: Decision, before: Status) -> Status:
    """Return how things stand after a pass; `before` is how they stood."""
    at = snapshot.at
    unneeded = decision.scale_down.unneeded if decision.scale_down is not None else {}
    nodes = {node.instance_id: node for node in snapshot.nodes if node.instance_id is not None}
    known = {one.name: one.standing for one in before.groups}
    groups = []
    for group in sorted(snapshot.groups, key=lambda one: one.name):
        own = [nodes[one.id] for one in group.instances if one.id in nodes]
        counts = _counts(own, snapshot, [group], nodes)
        is_healthy = _is_healthy(counts, snapshot)
        backoff = _backoff(group, snapshot)
        groups.append(
            GroupStanding(
                name=group.name,
                target=group.desired,
                min_size=group.min_size,
                max_size=group.max_size,
                backoff=backoff,
                standing=_stand(
                    known.get(group.name, Standing()),
                    counts,
                    (is_healthy, _scale_up(group, counts, is_healthy=is_healthy, is_closed=backoff is not None)),
                    sum(node.name in unneeded for node in own),
                    at,
                ),
            )
        )
    counts = _counts(snapshot.nodes, snapshot, snapshot.groups, nodes)
    is_growing = any(one.standing.scale_up.status == "InProgress" for one in groups)
    words = (_is_healthy(counts, snapshot), "InProgress" if is_growing else "NoActivity")
    cluster = _stand(before.cluster, counts, words, len(unneeded), at)
    return Status(is_running=True, cluster=cluster, groups=tuple(groups))


def _stand(before: Standing, counts: NodeCounts, words: tuple[bool, str], candidates: int, at: datetime) -> Standing:
    """`words` are whether it is healthy, and what its scale-up does."""
    is_healthy, scale_up = words
    return Standing(
        counts=counts,
        candidates=candidates,
        health=before.health.become("Healthy" if is_healthy else "Unhealthy", at),
        scale_up=before.scale_up.become(scale_up, at),
        scale_down=before.scale_down.become("CandidatesPresent" if candidates else "NoCandidates", at),
    )


def _counts(
    own: Iterable[Node], snapshot: Snapshot, groups: Iterable[NodeGroup], nodes: Mapping[InstanceId, Node]
) -> NodeCounts:
    policy, at = snapshot.policy, snapshot.at
    states = Counter(_state_of(node, at, policy.max_node_startup_time) for node in own)
    ages = [
        at - one.since if one.since is not None else timedelta(0)
        for group in groups
        for one in group.live
        if one.id not in nodes
    ]
    overdue = sum(age >= policy.max_node_provision_time for age in ages)
    return NodeCounts(**states, unregistered=len(ages) - overdue, long_unregistered=overdue)


def _state_of(node: Node, at: datetime, startup: timedelta) -> str:
    if is_going(node, at):
        return "being_deleted"
    if node.ready:
        return "ready"
    return "not_started" if not node.was_ready and at - node.created < startup else "unready"


def _is_healthy(counts: NodeCounts, snapshot: Snapshot) -> bool:
    """cluster-autoscaler's limits: more unready nodes than the count, and than the percentage."""
    policy = snapshot.policy.scale_down
    is_beyond = counts.unready * 100 > policy.max_unready_percentage * counts.registered
    return counts.unready <= policy.ok_unready_count or not is_beyond


def _scale_up(group: NodeGroup, counts: NodeCounts, *, is_healthy: bool, is_closed: bool) -> str:
    to_come = group.desired - group.proven_missing - group.live_units
    if to_come > 0 or counts.unregistered or counts.not_started:
        return "InProgress"
    if not is_healthy:
        return "Unhealthy"
    return "Backoff" if is_closed else "NoActivity"


def _backoff(group: NodeGroup, snapshot: Snapshot) -> tuple[str, str] | None:
    """Why no zone of the group may be asked now; None when one may."""
    found: list[Objection] = []
    for zone in group.zones or (None,):
        objections = snapshot.memory.availability(group, zone, snapshot.at).objections
        if not objections:
            return None
        found += objections
    dry = set(snapshot.memory.dry_pools(snapshot.at))
    is_dry = any(pool in dry for zone in group.zones or (None,) for pool in pools_of(group, zone))
    whys = sorted({one.why for one in found})
    code = OUT_OF_CAPACITY if is_dry and Why.IN_BACKOFF in whys else str(whys[0])
    return code, "; ".join(sorted({one.detail or str(one.why) for one in found}))
