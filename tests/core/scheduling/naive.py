"""A naive scheduler: one pod and one node at a time, straight from kube-scheduler's filters.

It shares nothing with the product but the values, knows no classes and counts
everything anew for each question. Slow and plain on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core.model import Labels, Pod
from autoscaler.core.podspec import Effect, LabelSelector, NodeTerm, PodTerm, Requirement, SpreadConstraint, Taint

Pair = tuple[str, str]


@dataclass(eq=False)
class Box:
    """A node with its pods."""

    name: str
    labels: dict[str, str]
    room: dict[str, int]
    taints: tuple[Taint, ...] = ()
    cordoned: bool = False
    pods: list[Pod] = field(default_factory=list)


class NaiveScheduler:
    """The cluster as the scheduler's cache has it."""

    def __init__(self, boxes: Sequence[Box], namespaces: Mapping[str, Labels]) -> None:
        self.boxes = list(boxes)
        self.namespaces = namespaces

    def faults(self, pod: Pod, box: Box) -> list[str]:
        """Why the pod cannot be on the node now; empty when it can."""
        found = []
        if box.cordoned or not tolerated(pod, box.taints):
            found.append("taints")
        if not affine(pod, box):
            found.append("node affinity")
        if not roomy(pod, box):
            found.append("resources")
        wanted = [(one.protocol, one.port) for one in pod.spec.host_ports]
        if any((port.protocol, port.port) in wanted for other in box.pods for port in other.spec.host_ports):
            found.append("ports")
        found += self.spread_faults(pod, box)
        found += self.affinity_faults(pod, box)
        return found

    # podtopologyspread/filtering.go

    def spread_faults(self, pod: Pod, box: Box) -> list[str]:
        hard = [one for one in pod.spec.spread if one.hard]
        found = []
        for one in hard:
            if one.topology_key not in box.labels:
                found.append(f"spread: no {one.topology_key}")
                continue
            counts = self.spread_counts(pod, one, hard)
            least = min(counts.values(), default=0)
            if len(counts) < one.min_domains:
                least = 0
            itself = 1 if selected(effective(one.selector, pod, one.match_label_keys), pod.labels) else 0
            if counts.get(box.labels[one.topology_key], 0) + itself - least > one.max_skew:
                found.append(f"spread: {one.topology_key}")
        return found

    def spread_counts(self, pod: Pod, one: SpreadConstraint, hard: Sequence[SpreadConstraint]) -> dict[str, int]:
        selector = effective(one.selector, pod, one.match_label_keys)
        counts: dict[str, int] = {}
        for box in self.boxes:
            if any(each.topology_key not in box.labels for each in hard):
                continue
            if one.honor_node_affinity and not affine(pod, box):
                continue
            if one.honor_node_taints and not tolerated(pod, box.taints):
                continue
            domain = box.labels[one.topology_key]
            counts.setdefault(domain, 0)
            if selector is None or not selector.requirements:
                continue
            for other in box.pods:
                if other.deleted_at is None and other.namespace == pod.namespace and selected(selector, other.labels):
                    counts[domain] += 1
        return counts

    # interpodaffinity/filtering.go

    def affinity_faults(self, pod: Pod, box: Box) -> list[str]:
        found = []
        repelled: set[Pair] = set()
        company: dict[Pair, int] = {}
        enemies: set[Pair] = set()
        for each in self.boxes:
            for other in each.pods:
                for term in other.spec.anti_affinity:
                    if term.topology_key in each.labels and self.means(term, other, pod):
                        repelled.add((term.topology_key, each.labels[term.topology_key]))
                for term in pod.spec.anti_affinity:
                    if term.topology_key in each.labels and self.means(term, pod, other):
                        enemies.add((term.topology_key, each.labels[term.topology_key]))
                if pod.spec.affinity and all(self.means(term, pod, other) for term in pod.spec.affinity):
                    for term in pod.spec.affinity:
                        if term.topology_key in each.labels:
                            pair = (term.topology_key, each.labels[term.topology_key])
                            company[pair] = company.get(pair, 0) + 1
        if not self.has_company(pod, box, company):
            found.append("affinity")
        if any((t.topology_key, box.labels.get(t.topology_key, "")) in enemies for t in pod.spec.anti_affinity):
            found.append("anti-affinity")
        if any(pair in repelled for pair in box.labels.items()):
            found.append("anti-affinity of another")
        return found

    def has_company(self, pod: Pod, box: Box, company: Mapping[Pair, int]) -> bool:
        if any(term.topology_key not in box.labels for term in pod.spec.affinity):
            return False
        if all((term.topology_key, box.labels[term.topology_key]) in company for term in pod.spec.affinity):
            return True
        return not company and all(self.means(term, pod, pod) for term in pod.spec.affinity)

    def means(self, term: PodTerm, owner: Pod, other: Pod) -> bool:
        selector = effective(term.selector, owner, term.match_label_keys, term.mismatch_label_keys)
        if not term.namespaces and term.namespace_selector is None:
            covered = other.namespace == owner.namespace
        else:
            labels = {"kubernetes.io/metadata.name": other.namespace, **self.namespaces.get(other.namespace, {})}
            covered = other.namespace in term.namespaces or selected(term.namespace_selector, labels)
        return covered and selected(selector, other.labels)


def effective(
    selector: LabelSelector | None, pod: Pod, equal: Iterable[str] = (), unequal: Iterable[str] = ()
) -> LabelSelector | None:
    """The selector as the API server stores it, with the label keys merged in."""
    if selector is None:
        return None
    more = [Requirement(key, "In", (pod.labels[key],)) for key in equal if key in pod.labels]
    more += [Requirement(key, "NotIn", (pod.labels[key],)) for key in unequal if key in pod.labels]
    return LabelSelector((*selector.requirements, *more))


def selected(selector: LabelSelector | None, labels: Labels) -> bool:
    return selector is not None and all(holds(one, labels) for one in selector.requirements)


def holds(one: Requirement, labels: Labels) -> bool:
    value = labels.get(one.key)
    if one.operator == "In":
        return value in one.values
    if one.operator == "NotIn":
        return value not in one.values
    return (value is not None) == (one.operator == "Exists")


def affine(pod: Pod, box: Box) -> bool:
    def term_holds(term: NodeTerm) -> bool:
        names = {"metadata.name": box.name}
        return all(holds(one, box.labels) for one in term.expressions) and all(holds(f, names) for f in term.fields)

    if any(box.labels.get(key) != value for key, value in pod.spec.node_selector):
        return False
    return pod.spec.node_terms is None or any(term_holds(term) for term in pod.spec.node_terms)


def tolerated(pod: Pod, taints: Iterable[Taint]) -> bool:
    keys = {one.key for one in pod.spec.tolerations}
    return all(taint.key in keys or taint.effect is Effect.PREFER_NO_SCHEDULE for taint in taints)


def roomy(pod: Pod, box: Box) -> bool:
    for name, amount in pod.spec.requests.items():
        used = sum(other.spec.requests[name] for other in box.pods)
        if amount and used + amount > box.room.get(name, 0):
            return False
    return True
