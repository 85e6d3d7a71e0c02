"""Census: what the pods of a cluster take of each node, and which of them are pending.

Counting a hundred thousand pods anew for every pass would be most of its
work, although one pod changed. So whoever sees the changes keeps the count
up to date; it can always be taken from the pods alone and must be equal then.
A finished pod holds nothing, an expendable one is air: whoever has priority
takes its room. A nominated pod holds its place on the nominated node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.crowds import Crowd, CrowdKey, CrowdTaker
from autoscaler.core.model import NodeName, Phase, Pod, Uid
from autoscaler.core.podspec import HostPort, PodSpec


class Use(NamedTuple):
    """What the pods of one node take: amounts by resource, and host ports (one entry a pod)."""

    amounts: Mapping[str, int]
    ports: tuple[HostPort, ...] = ()


UNUSED = Use({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The count at one moment; `repelling` are those on nodes that have a required anti-affinity, by spec too."""

    cutoff: int
    used: Mapping[NodeName, Use] = field(default_factory=dict)
    pending: tuple[Pod, ...] = ()
    repelling: Mapping[CrowdKey, Crowd] = field(default_factory=dict)
    crowds: Mapping[CrowdKey, Crowd] = field(default_factory=dict)

    @property
    def asking_specs(self) -> list[PodSpec]:
        """Specs of pods with a place that ask something of nodes all the same: those that repel, and nominated ones."""
        repelling = [crowd.spec for crowd in self.repelling.values() if crowd.spec is not None]
        return repelling + [pod.spec for pod in self.pending if pod.nominated_node is not None]

    def holds(self, pod: Pod) -> NodeName | None:
        """The node of which a pod holds a part."""
        return held_node(pod, self.cutoff)


def is_pending(pod: Pod) -> bool:
    """Not bound to a node, and still to be run."""
    return pod.node is None and (pod.phase is Phase.PENDING or pod.phase is Phase.UNKNOWN)


def held_node(pod: Pod, cutoff: int) -> NodeName | None:
    """The node of which a pod holds a part; None when it holds none."""
    node = pod.node if pod.node is not None else pod.nominated_node
    return None if node is None or pod.is_finished or pod.spec.priority < cutoff else node


def take_census(pods: Iterable[Pod], cutoff: int) -> Census:
    """Count from the pods alone, by spec first, as many pods share one."""
    pending: list[Pod] = []
    crowds, repelling = CrowdTaker(), CrowdTaker(by_spec=True)
    counts: Counter[tuple[NodeName, int]] = Counter()
    specs: dict[int, PodSpec] = {}
    for pod in pods:
        if pod.node is None and is_pending(pod):
            pending.append(pod)
        node = held_node(pod, cutoff)
        if node is not None:
            counts[node, id(pod.spec)] += 1
            specs[id(pod.spec)] = pod.spec
            crowds.add(pod, node, 1)
            if pod.spec.anti_affinity:
                repelling.add(pod, node, 1)
    amounts: dict[NodeName, dict[str, int]] = {}
    ports: dict[NodeName, tuple[HostPort, ...]] = {}
    for (node, number), count in counts.items():
        total = amounts.setdefault(node, {})
        for name, amount in specs[number].requests.items():
            total[name] = total.get(name, 0) + amount * count
        if specs[number].host_ports:
            ports[node] = ports.get(node, ()) + specs[number].host_ports * count
    used = {node: Use(total, ports.get(node, ())) for node, total in amounts.items()}
    return Census(cutoff=cutoff, used=used, pending=tuple(pending), repelling=repelling.view(), crowds=crowds.view())


class CensusTaker:
    """Keeps the count while pods come, change and go. `cutoff` is the priority below which a pod is air."""

    def __init__(self, cutoff: int) -> None:
        self._cutoff = cutoff
        self._used: dict[NodeName, Use] = {}
        self._own: dict[NodeName, dict[str, int]] = {}  # amounts that no view shares yet: these may be changed
        self._pending: dict[Uid, Pod] = {}
        self._crowds = CrowdTaker()
        self._repelling = CrowdTaker(by_spec=True)

    def change(self, before: Pod | None, after: Pod | None) -> None:
        """Take in that a pod came (`before` None), changed, or went (`after` None)."""
        if before is None and after is not None and after.node is not None and not after.spec.anti_affinity:
            node = held_node(after, self._cutoff)  # the usual case of a first list, which has very many of them
            if node is not None:
                self._add(node, after, 1)
                self._crowds.add(after, node, 1)
            return
        old, new = self._holds(before), self._holds(after)
        if before is not None and old is not None:
            self._count(before, old, -1)
        if after is not None and new is not None:
            self._count(after, new, 1)
        if old != new or (before is not None and after is not None and before.spec is not after.spec):
            if old is not None and before is not None:
                self._add(old, before, -1)
            if new is not None and after is not None:
                self._add(new, after, 1)
        if before is not None and is_pending(before):
            self._pending.pop(before.uid, None)
        if after is not None and is_pending(after):
            self._pending[after.uid] = after

    def view(self) -> Census:
        """Return the count as it is now; it stays as it is."""
        self._own.clear()
        return Census(
            cutoff=self._cutoff,
            used=dict(self._used),
            pending=tuple(self._pending.values()),
            repelling=self._repelling.view(),
            crowds=self._crowds.view(),
        )

    def _count(self, pod: Pod, node: NodeName, sign: int) -> None:
        self._crowds.add(pod, node, sign)
        if pod.spec.anti_affinity:
            self._repelling.add(pod, node, sign)

    def _holds(self, pod: Pod | None) -> NodeName | None:
        return None if pod is None else held_node(pod, self._cutoff)

    def _add(self, node: NodeName, pod: Pod, sign: int) -> None:
        amounts = self._own.get(node)
        if amounts is None:
            use = self._used.get(node, UNUSED)
            amounts = self._own[node] = dict(use.amounts)
            self._used[node] = Use(amounts, use.ports)
        for name, amount in pod.spec.requests.items():
            left = amounts.get(name, 0) + sign * amount
            if left:
                amounts[name] = left
            else:
                amounts.pop(name, None)
        if pod.spec.host_ports:
            kept = list(self._used[node].ports)
            for port in pod.spec.host_ports:
                if sign > 0:
                    kept.append(port)
                else:
                    kept.remove(port)
            self._used[node] = Use(amounts, tuple(kept))
        if not amounts and not self._used[node].ports:
            del self._used[node], self._own[node]
