"""Every node by itself: is it ours, what stands in its way, how full is it, which of its pods must move?

What nodes have to share (places, PDBs, minimum sizes, budgets) is asked later.
A node that is surely too full for anything is not looked at pod by pod.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler.core.decision import Objection, Why
from autoscaler.core.index import Index
from autoscaler.core.model import GroupName, Instance, Lifecycle, Node, NodeGroup, NodeName, Pod
from autoscaler.core.scaledown.drainability import Fate, Rulebook, refusal
from autoscaler.core.scaledown.policy import ScaleDownPolicy
from autoscaler.core.scaledown.utilization import Utilization, measure, policy_of, resources_of, threshold
from autoscaler.core.scaleup.stock import BEING_DELETED_TAINT
from autoscaler.core.scaleup.template import is_startup_taint
from autoscaler.core.snapshot import Snapshot

DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
ENABLED = "k8s.io/cluster-autoscaler-enabled"
DISABLED_BY_US = "priority-autoscaler/scale-down-disabled"  # beside the other: that one is ours, and binds others only
STAMP = "priority-autoscaler/drain"  # of a drain of ours, on its node
DELETION_LASTS = timedelta(minutes=5)  # a taint without a stamp that is older is left over from a dead process


@dataclass(slots=True, eq=False)
class Case:
    """One node of a managed group that could go, as far as it is seen alone.

    `policy` is the group's. `moving` need a new place. `blockers` are objections of its pods, `standing`
    those of the node itself, whatever the cause. `urgent` says why it should
    go however full it is.
    """

    node: Node
    group: NodeGroup
    instance: Instance
    policy: ScaleDownPolicy
    standing: tuple[Objection, ...] = ()
    is_unready: bool = False
    urgent: str = ""
    is_seen: bool = True  # False: too full to be looked at pod by pod
    utilization: Utilization | None = None
    pods: Sequence[Pod] = ()
    moving: tuple[Pod, ...] = ()
    air: tuple[Pod, ...] = ()  # placeholders, which would buy a node anew
    blockers: tuple[Objection, ...] = ()

    @property
    def name(self) -> NodeName:
        return self.node.name

    @property
    def is_empty(self) -> bool:
        return self.is_seen and not self.moving and not self.blockers

    @property
    def is_underutilized(self) -> bool:
        return self.utilization is not None and self.utilization.share <= threshold(self.node, self.policy)


@dataclass(slots=True)
class Roster:
    """All nodes sorted out: those that could go, those that are going, and why the rest never can."""

    cases: list[Case] = field(default_factory=list)
    going: dict[NodeName, NodeGroup | None] = field(default_factory=dict)
    kept: dict[NodeName, tuple[Objection, ...]] = field(default_factory=dict)
    pods: Mapping[NodeName, list[Pod]] = field(default_factory=dict)  # of those that were looked at, and of the going


def take_cases(snapshot: Snapshot, index: Index, book: Rulebook, returnable: Collection[GroupName]) -> Roster:
    """Look at every node; `returnable` names the groups whose nodes may return to spot."""
    found = Roster()
    for node in index.nodes.values():
        _sort(found, node, snapshot, index)
    cutoff = snapshot.policy.expendable_cutoff
    soft = {pod.node for pod in snapshot.pods if pod.deleted_at is not None or pod.spec.priority == cutoff}
    for case in found.cases:
        is_full = case.name not in soft and _is_surely_full(case, index)
        case.is_seen = bool(not is_full or case.urgent or case.group.name in returnable)
    wanted = {case.name for case in found.cases if case.is_seen} | found.going.keys()
    if wanted:
        found.pods = _pods_of(snapshot.pods, wanted)
    for case in found.cases:
        case.pods = found.pods.get(case.name, ())
        _look_at_pods(case, book)
    return found


def _sort(found: Roster, node: Node, snapshot: Snapshot, index: Index) -> None:
    known = index.instances.get(node.instance_id) if node.instance_id is not None else None
    group, instance = known if known is not None else (None, None)
    if is_going(node, snapshot.at) or (instance is not None and instance.lifecycle is Lifecycle.LEAVING):
        found.going[node.name] = group
        found.kept[node.name] = (Objection(Why.CURRENTLY_BEING_DELETED),)
    elif group is None or instance is None or node.annotations.get(ENABLED) == "false":
        found.kept[node.name] = (Objection(Why.NOT_AUTOSCALED, _why_not_ours(node)),)
    elif instance.lifecycle is Lifecycle.PARKED:
        found.kept[node.name] = (Objection(Why.NOT_IN_SERVICE, f"{instance.id} is in standby or in a warm pool"),)
    else:
        policy = snapshot.policy
        is_starting = any(is_startup_taint(taint, policy) for taint in node.taints)
        case = Case(node, group, instance, policy_of(group, policy.scale_down))
        case.is_unready = not node.ready or is_starting
        case.urgent = _urgency(case, snapshot)
        case.standing = _standing(case)
        found.cases.append(case)


def is_going(node: Node, at: datetime) -> bool:
    """Tell whether the node is being deleted or drained already."""
    if node.deleted_at is not None or STAMP in node.annotations:
        return True
    for taint in node.taints:
        if taint.key == BEING_DELETED_TAINT:
            return not (taint.value.isdecimal() and at.timestamp() - int(taint.value) > DELETION_LASTS.total_seconds())
    return False


def _why_not_ours(node: Node) -> str:
    if not node.provider_id:
        return "it has no providerID"
    if node.annotations.get(ENABLED) == "false":
        return f"{ENABLED}: false"
    if node.instance_id is None:
        return f"{node.provider_id} is no EC2 instance"
    return f"{node.instance_id} is in no group of ours"


def _urgency(case: Case, snapshot: Snapshot) -> str:
    """Say why the node should go however full it is: it never started, or has a condition that the flags name."""
    node, at = case.node, snapshot.at
    if not node.ready and not node.was_ready and at - node.created >= snapshot.policy.max_node_startup_time:
        return f"never ready in {at - node.created}"
    for bad in snapshot.policy.scale_down.bad_conditions:
        status, since = node.conditions.get(bad.type, ("", None))
        if status == bad.status and at - (since or node.created) >= bad.lasts:
            return f"{bad.type}={bad.status}"
    return ""


def _standing(case: Case) -> tuple[Objection, ...]:
    found = []
    annotations = case.node.annotations
    if annotations.get(DISABLED) == "true":
        found.append(Objection(Why.SCALE_DOWN_DISABLED_ANNOTATION, f"{DISABLED}: true"))
    if case.group.is_refreshing:
        found.append(Objection(Why.INSTANCE_REFRESH, f"of {case.group.name}"))
    return tuple(found)


def _is_surely_full(case: Case, index: Index) -> bool:
    """Tell by the count alone that the node is above its threshold; what the count holds may only be less."""
    if case.policy.ignore_daemonsets or case.policy.ignore_mirror_pods:
        return False
    use = index.census.used.get(case.name)
    if use is None:
        return False
    node, limit = case.node, threshold(case.node, case.policy)
    for resource in resources_of(node):
        room = node.allocatable[resource]
        if room > 0 and (share := use.amounts.get(resource, 0) / room) > limit:
            case.utilization = Utilization(share, resource)
            return True
    return False


def _pods_of(pods: Sequence[Pod], nodes: set[NodeName]) -> dict[NodeName, list[Pod]]:
    found: dict[NodeName, list[Pod]] = {name: [] for name in nodes}
    for pod in pods:
        node = pod.node
        if node is not None and node in found:
            found[node].append(pod)
    return found


def _look_at_pods(case: Case, book: Rulebook) -> None:
    """Judge the pods kind by kind: replicas mostly share all that matters."""
    if not case.is_seen:
        return
    kinds = book.kinds_of(case.pods)
    case.utilization = measure(case.node, case.policy, kinds)
    moving: list[Pod] = []
    air: list[Pod] = []
    blockers: set[Objection] = set()
    for kind, pods in kinds:
        if kind.ruling.fate is Fate.MOVES:
            moving += pods
        elif kind.ruling.fate is Fate.BLOCKS:
            for pod in pods:
                blockers.update(refusal(pod, kind.ruling))
        elif kind.is_placeholder:
            air += pods
    case.moving, case.air = tuple(moving), tuple(air)
    case.blockers = tuple(sorted(blockers, key=lambda one: (one.detail, one.why)))
