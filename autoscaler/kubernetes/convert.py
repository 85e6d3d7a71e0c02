"""Convert: what objects of the cluster mean, as values of the core.

Seen wrongly? Here, in `specs` (constraints) or in `requests` (amounts). An
object that cannot be read raises MalformedObjectError and is never half
understood; what is only unknown to us is kept and says so. Holds no state:
the sharing between equal pods is the Interner's.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from autoscaler.core.model import NO_LABELS, InstanceId, Labels, Node, NodeName, Phase, Pod, Uid
from autoscaler.core.podspec import Effect, Taint, Toleration
from autoscaler.core.policy import PolicyError, Tiers
from autoscaler.core.resources import Resources
from autoscaler.core.snapshot import DaemonSet
from autoscaler.core.tuning import PREFIX
from autoscaler.core.workload import PodDisruptionBudget
from autoscaler.errors import AutoscalerError
from autoscaler.kubernetes.interner import Interner, freeze_labels, kept_annotations
from autoscaler.kubernetes.requests import FieldError, effective_requests, read_amounts
from autoscaler.kubernetes.specs import (
    NO_PRIORITY_CLASSES,
    PriorityClass,
    PriorityClasses,
    forget_amounts,
    to_selector,
)
from autoscaler.kubernetes.wire import (
    WireBudget,
    WireBudgetStatus,
    WireCondition,
    WireDaemonSet,
    WireMeta,
    WireNode,
    WireObject,
    WirePod,
    WirePodStatus,
    WirePriorityClass,
    WireTaint,
    WireToleration,
)
from autoscaler.kubernetes.yaml_text import YamlFault, load_document

__all__ = [
    "NO_PRIORITY_CLASSES",
    "Interner",
    "MalformedObjectError",
    "Namespace",
    "PriorityClass",
    "PriorityClasses",
    "effective_requests",
    "own_annotations",
    "parse_priorities",
    "require_name",
    "to_budget",
    "to_daemonset",
    "to_namespace",
    "to_node",
    "to_pod",
    "to_priority_class",
]

# Put on every ReplicaSet by the controller that makes it, together with copies of its own object's annotations.
_REVISIONS = ("deployment.kubernetes.io/revision", "rollout.argoproj.io/revision")
_BEGINNING = datetime.fromtimestamp(0, UTC)  # of an object that does not say when it was created
_INSTANCE = re.compile(r"aws:///[^/]*/(i-[-0-9a-zA-Z]+)")
_PHASES = {phase.value: phase for phase in Phase}
_EFFECTS = {effect.value: effect for effect in Effect}

# What the DaemonSet controller adds to its pods.
# Source: kubernetes, pkg/controller/daemon/util, AddOrUpdateDaemonPodTolerations
_DAEMON_TOLERATIONS = (
    Toleration("node.kubernetes.io/not-ready", "Exists", "", "NoExecute"),
    Toleration("node.kubernetes.io/unreachable", "Exists", "", "NoExecute"),
    Toleration("node.kubernetes.io/disk-pressure", "Exists", "", "NoSchedule"),
    Toleration("node.kubernetes.io/memory-pressure", "Exists", "", "NoSchedule"),
    Toleration("node.kubernetes.io/pid-pressure", "Exists", "", "NoSchedule"),
    Toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoSchedule"),
)
_HOST_NETWORK_TOLERATION = Toleration("node.kubernetes.io/network-unavailable", "Exists", "", "NoSchedule")


class MalformedObjectError(AutoscalerError):
    """An object of the cluster that cannot be read; it is left out, the rest goes on."""

    def __init__(self, kind: str, key: str, fault: str) -> None:
        super().__init__(f"{kind} {key}: {fault}")
        self.kind = kind
        self.key = key
        self.fault = fault


class Namespace(NamedTuple):
    """A namespace, its labels, and those of its annotations that the product reads."""

    name: str
    labels: Labels
    annotations: Labels = NO_LABELS
    uid: str = ""


def key_of(meta: WireMeta) -> str:
    """Return `namespace/name`, or the name of a cluster-wide object."""
    name = meta.name or "(without a name)"
    return f"{meta.namespace}/{name}" if meta.namespace else name


def to_pod(wire: WirePod, interner: Interner) -> Pod:
    """Convert a pod; `wire` is used up. Raises MalformedObjectError."""
    meta = wire.metadata
    namespace = meta.namespace or "default"
    require_name("Pod", meta)
    owner = interner.owner(meta.owner_references)
    node = wire.spec.node_name
    status = wire.status or WirePodStatus()
    try:
        spec = interner.spec(wire.spec, of_daemonset=owner is not None and owner.kind == "DaemonSet")
    except FieldError as error:
        if node or status.nominated_node_name or not wire.spec.containers:
            raise MalformedObjectError("Pod", key_of(meta), str(error)) from None
        # It takes no room yet, so that only itself has to be refused.
        forget_amounts(wire.spec)
        spec = interner.spec(wire.spec)
        spec = replace(spec, unknowns=(*spec.unknowns, str(error)))
    created = meta.creation_timestamp or _BEGINNING
    return Pod(
        namespace=sys.intern(namespace),
        name=meta.name,
        uid=_uid("Pod", meta),
        spec=spec,
        labels=interner.labels(meta.labels),
        annotations=interner.annotations(meta.annotations),
        owner=owner,
        created=created,
        node=NodeName(sys.intern(node)) if node else None,
        nominated_node=NodeName(sys.intern(status.nominated_node_name)) if status.nominated_node_name else None,
        phase=_PHASES.get(status.phase or "Pending", Phase.UNKNOWN),
        unschedulable_since=None if node else _unschedulable_since(status, created),
        deleted_at=meta.deletion_timestamp,
    )


def to_node(wire: WireNode) -> Node:
    """Convert a node. Raises MalformedObjectError."""
    meta, spec, status = wire.metadata, wire.spec, wire.status
    require_name("Node", meta)
    try:
        capacity = read_amounts("status.capacity", status.capacity if status else None)
        allocatable = read_amounts("status.allocatable", status.allocatable if status else None)
    except FieldError as error:
        raise MalformedObjectError("Node", meta.name, str(error)) from None
    created = meta.creation_timestamp or _BEGINNING
    conditions = {each.type: each for each in (status.conditions if status else None) or ()}
    ready = conditions.get("Ready")
    provider_id = (spec.provider_id if spec else None) or ""
    instance = _INSTANCE.fullmatch(provider_id)
    return Node(
        name=NodeName(sys.intern(meta.name)),
        uid=_uid("Node", meta),
        labels=freeze_labels(meta.labels),
        annotations=freeze_labels(kept_annotations(meta.annotations)),
        taints=tuple(_taint(each) for each in (spec.taints if spec else None) or ()),
        allocatable=Resources(allocatable or capacity),
        capacity=Resources(capacity or allocatable),
        is_cordoned=bool(spec and spec.unschedulable),
        provider_id=provider_id,
        instance_id=InstanceId(instance[1]) if instance else None,
        ready=ready is not None and ready.status == "True",
        was_ready=_was_ready(ready, created),
        ready_changed=ready.last_transition_time if ready else None,
        created=created,
        conditions={name: (each.status, each.last_transition_time) for name, each in conditions.items()},
        deleted_at=meta.deletion_timestamp,
    )


def to_daemonset(wire: WireDaemonSet, interner: Interner) -> DaemonSet:
    """Convert a DaemonSet, with the tolerations that its controller will add. Raises MalformedObjectError."""
    meta, template = wire.metadata, wire.spec.template
    require_name("DaemonSet", meta)
    more = _DAEMON_TOLERATIONS + ((_HOST_NETWORK_TOLERATION,) if template.spec.host_network else ())
    wanted = template.spec.tolerations or ()
    template.spec.tolerations = wanted + tuple(_wire_toleration(each) for each in more)
    try:
        spec = interner.spec(template.spec)
    except FieldError as error:
        raise MalformedObjectError("DaemonSet", key_of(meta), f"template: {error}") from None
    return DaemonSet(
        namespace=meta.namespace or "default",
        name=meta.name,
        uid=_uid("DaemonSet", meta),
        spec=spec,
        labels=interner.labels(template.metadata.labels if template.metadata else None),
    )


def to_budget(wire: WireBudget) -> PodDisruptionBudget:
    """Convert a PodDisruptionBudget. Raises MalformedObjectError.

    Without a status, or with one of an older specification, it allows nothing yet.
    """
    meta, status = wire.metadata, wire.status or WireBudgetStatus()
    require_name("PodDisruptionBudget", meta)
    try:
        selector = to_selector("spec.selector", wire.spec.selector if wire.spec else None)
    except FieldError as error:
        raise MalformedObjectError("PodDisruptionBudget", key_of(meta), str(error)) from None
    is_current = status.observed_generation >= meta.generation
    return PodDisruptionBudget(
        namespace=meta.namespace or "default",
        name=meta.name,
        selector=selector,
        disruptions_allowed=status.disruptions_allowed if is_current else 0,
    )


def to_namespace(wire: WireObject, interner: Interner) -> Namespace:
    """Convert the metadata of a namespace."""
    meta = wire.metadata
    return Namespace(meta.name, interner.labels(meta.labels), interner.annotations(meta.annotations), meta.uid)


def own_annotations(kind: str, meta: WireMeta, interner: Interner) -> Labels:
    """The annotations of a workload that are its own.

    A Deployment's controller copies its annotations onto its ReplicaSet, and
    never takes one away; so what such a ReplicaSet says to us, the Deployment
    says better.
    """
    found = meta.annotations
    if kind == "ReplicaSet" and found and any(key in found for key in _REVISIONS):
        found = {key: text for key, text in found.items() if not key.startswith(PREFIX)}
    return interner.annotations(found)


def to_priority_class(wire: WirePriorityClass) -> PriorityClass:
    """Convert a PriorityClass. Raises MalformedObjectError."""
    require_name("PriorityClass", wire.metadata)
    return PriorityClass(
        name=wire.metadata.name,
        value=wire.value,
        is_default=bool(wire.global_default),
        can_preempt=wire.preemption_policy != "Never",
        annotations=freeze_labels(kept_annotations(wire.metadata.annotations)),
        uid=wire.metadata.uid,
    )


def parse_priorities(text: str) -> Tiers:
    """Read the `priorities` of the priority ConfigMap: integers to lists of regular expressions.

    Raises PolicyError that names what is wrong; one bad entry voids the whole map, as in cluster-autoscaler.
    """
    try:
        document = load_document(text)
    except YamlFault as fault:
        raise PolicyError(str(fault)) from None
    if not isinstance(document, dict) or not document:
        raise PolicyError("expected a mapping from integers to lists of regular expressions")
    priorities: dict[int, list[str]] = {}
    for key, expressions in document.items():
        try:
            priority = int(key) if isinstance(key, str) or type(key) is int else None
        except ValueError:
            priority = None
        if priority is None:
            raise PolicyError(f"key {key!r} is no integer")
        if not isinstance(expressions or [], list) or not all(isinstance(each, str) for each in expressions or []):
            raise PolicyError(f"priority {priority}: expected a list of regular expressions")
        priorities.setdefault(priority, []).extend(expressions or [])
    return Tiers.read(priorities)


def require_name(kind: str, meta: WireMeta) -> None:
    """Raise MalformedObjectError for an object without a name."""
    if not meta.name:
        raise MalformedObjectError(kind, key_of(meta), "metadata.name is missing")


def _uid(kind: str, meta: WireMeta) -> Uid:
    """Return the UID; files written by hand lack it, where kind and name do as well."""
    return Uid(meta.uid or f"{kind}/{meta.namespace}/{meta.name}")


def _unschedulable_since(status: WirePodStatus, created: datetime) -> datetime | None:
    for each in status.conditions or ():
        if each.type == "PodScheduled" and each.status == "False" and each.reason == "Unschedulable":
            return each.last_transition_time or created
    return None


def _was_ready(ready: WireCondition | None, created: datetime) -> bool:
    """A condition that is not True now, and changed after the creation of the Node, was True before."""
    if ready is None:
        return False
    if ready.status == "True":
        return True
    return ready.last_transition_time is not None and ready.last_transition_time > created


def _taint(wire: WireTaint) -> Taint:
    """An effect that we do not know keeps pods away: doubt is closed."""
    return Taint(wire.key, wire.value or "", _EFFECTS.get(wire.effect, Effect.NO_SCHEDULE))


def _wire_toleration(toleration: Toleration) -> WireToleration:
    return WireToleration(toleration.key, toleration.operator, toleration.value, toleration.effect)
