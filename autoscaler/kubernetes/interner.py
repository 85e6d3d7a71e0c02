"""Interner: one object for all equal specs, labels, annotations and owners.

150,000 pods of a cluster share some thousand specs. Each distinct one is
converted once, found again by the bytes of its wire form, and is then the
same object: the equivalence class of its pods. Not for use by two threads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import MappingProxyType
from typing import TypeVar

import msgspec

from autoscaler.core.model import NO_LABELS, Labels, OwnerRef, Pod, Uid
from autoscaler.core.podspec import PodSpec
from autoscaler.kubernetes.specs import NO_PRIORITY_CLASSES, PriorityClasses, compact, to_spec
from autoscaler.kubernetes.wire import WireNodeAffinity, WireOwner, WirePodSpec

_KEPT_PREFIXES = (
    "cluster-autoscaler.kubernetes.io/",
    "priority-autoscaler/",
    "kubernetes.io/config.mirror",
    "autoscaling.x-k8s.io/",
    "k8s.io/cluster-autoscaler-enabled",
)
_SWEEP_FROM = 1_000
K = TypeVar("K")
V = TypeVar("V")


def freeze_labels(labels: dict[str, str] | None) -> Labels:
    """Return a read-only copy, its words shared with all others."""
    if not labels:
        return NO_LABELS
    return MappingProxyType({sys.intern(name): sys.intern(value) for name, value in labels.items()})


def kept_annotations(annotations: dict[str, str] | None) -> dict[str, str]:
    """Return the annotations that the product reads."""
    return {name: value for name, value in (annotations or {}).items() if name.startswith(_KEPT_PREFIXES)}


class Interner:
    """Shares what equal pods have in common."""

    def __init__(self, priorities: PriorityClasses = NO_PRIORITY_CLASSES) -> None:
        self._priorities = priorities
        self._encode = msgspec.msgpack.Encoder().encode  # the API server writes maps in order of their keys
        self._specs: dict[bytes, PodSpec] = {}
        self._labels: dict[bytes, Labels] = {}
        self._owners: dict[str, OwnerRef] = {}
        self._swept = _SWEEP_FROM

    @property
    def size(self) -> int:
        """Entries in the tables."""
        return len(self._specs) + len(self._labels) + len(self._owners)

    def spec(self, wire: WirePodSpec, *, of_daemonset: bool = False) -> PodSpec:
        """Return the shared spec; `wire` is compacted on the way. Raises FieldError."""
        node = wire.node_name
        compact(wire)
        if of_daemonset and node:
            _unpin(wire, node)
        key = self._encode(wire)
        spec = self._specs.get(key)
        if spec is None:
            spec = self._specs[key] = to_spec(wire, self._priorities)
        return spec

    def labels(self, labels: dict[str, str] | None) -> Labels:
        """Return the shared labels."""
        if not labels:
            return NO_LABELS
        key = self._encode(labels)
        shared = self._labels.get(key)
        if shared is None:
            shared = self._labels[key] = freeze_labels(labels)
        return shared

    def annotations(self, annotations: dict[str, str] | None) -> Labels:
        """Return the shared annotations, of which only those are kept that the product reads."""
        if not annotations:
            return NO_LABELS
        return self.labels(kept_annotations(annotations))

    def owner(self, owners: Iterable[WireOwner] | None) -> OwnerRef | None:
        """Return the controller among the owners; None when the object has none."""
        for wire in owners or ():
            if wire.controller:
                owner = self._owners.get(wire.uid)
                if owner is None or (owner.kind, owner.name) != (wire.kind, wire.name):
                    owner = OwnerRef(wire.kind, wire.name, Uid(wire.uid), wire.api_version)
                    self._owners[wire.uid] = owner
                return owner
        return None

    def sweep_if_grown(self, pods: Iterable[Pod]) -> bool:
        """Forget what no pod uses any more, once the tables have doubled since the last time."""
        if self.size < 2 * self._swept:
            return False
        used: set[int] = set()
        for pod in pods:
            used.update((id(pod.spec), id(pod.labels), id(pod.annotations), id(pod.owner)))
        self._specs = _only(self._specs, used)
        self._labels = _only(self._labels, used)
        self._owners = _only(self._owners, used)
        self._swept = max(self.size, _SWEEP_FROM)
        return True


def _only(table: dict[K, V], used: set[int]) -> dict[K, V]:
    return {key: value for key, value in table.items() if id(value) in used}


def _unpin(wire: WirePodSpec, node: str) -> None:
    """Drop the node affinity that its controller gave a DaemonSet pod, once it is on that node.

    It never moves, and the name of the node would make each of these specs distinct.
    """
    affinity = wire.affinity.node_affinity if wire.affinity else None
    if affinity is None or affinity.required is None:
        return
    terms = affinity.required.node_selector_terms or ()
    for term in terms:
        term.match_fields = tuple(
            each for each in term.match_fields or () if (each.key, each.values) != ("metadata.name", (node,))
        )
    if all(not term.match_fields and not term.match_expressions for term in terms):
        affinity.required = None
        if affinity == WireNodeAffinity() and wire.affinity is not None:
            wire.affinity.node_affinity = None
