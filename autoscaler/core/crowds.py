"""Crowds: on which nodes the pods of equal labels are, and how many.

Spread and affinity count pods by their labels. With these counts at hand a
pass looks at as many entries as there are labels and nodes, not at every pod
of the cluster. Kept like the census of which they are a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.core.model import Labels, NodeName, Pod
from autoscaler.core.podspec import PodSpec

CrowdKey = tuple[int, str, int]  # identity of the labels, which equal pods share; namespace; identity of the spec


@dataclass(slots=True, eq=False)
class Crowd:
    """Pods that look alike: how many each node has, and how many of these are leaving.

    They share their labels and namespace; their spec too, where `spec` is given.
    """

    labels: Labels
    namespace: str
    spec: PodSpec | None = None
    present: dict[NodeName, int] = field(default_factory=dict)
    leaving: dict[NodeName, int] = field(default_factory=dict)

    def copy(self) -> Crowd:
        return Crowd(self.labels, self.namespace, self.spec, dict(self.present), dict(self.leaving))


class CrowdTaker:
    """Keeps the crowds while pods come and go; whoever was shown them sees them as they were."""

    __slots__ = ("_by_spec", "_crowds", "_own")

    def __init__(self, *, by_spec: bool = False) -> None:
        self._by_spec = by_spec
        self._crowds: dict[CrowdKey, Crowd] = {}
        self._own: set[CrowdKey] = set()  # those that no view shares yet: these may be changed

    def add(self, pod: Pod, node: NodeName, sign: int) -> None:
        """Count a pod onto a node (sign 1), or take it off (-1)."""
        spec = pod.spec if self._by_spec else None
        key = (id(pod.labels), pod.namespace, id(spec))
        crowd = self._crowds.get(key)
        if crowd is None:
            crowd = self._crowds[key] = Crowd(pod.labels, pod.namespace, spec)
            self._own.add(key)
        elif key not in self._own:
            crowd = self._crowds[key] = crowd.copy()
            self._own.add(key)
        _count(crowd.present, node, sign)
        if pod.deleted_at is not None:
            _count(crowd.leaving, node, sign)
        if not crowd.present:
            del self._crowds[key]
            self._own.discard(key)

    def view(self) -> Mapping[CrowdKey, Crowd]:
        """Return the crowds as they are now."""
        self._own.clear()
        return dict(self._crowds)


def _count(counts: dict[NodeName, int], node: NodeName, sign: int) -> None:
    left = counts.get(node, 0) + sign
    if left:
        counts[node] = left
    else:
        del counts[node]
