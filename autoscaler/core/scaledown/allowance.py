"""How many nodes and pods may go at once, over all voluntary causes together.

Without a budget the two parallelism flags are the limit. With one, each of its
limits holds by itself, and the flags stand in for a missing cluster limit.
What is going already counts, and what a pass takes is gone for its next node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import GroupName, NodeGroup, Pod
from autoscaler.core.scaledown.cases import Case
from autoscaler.core.scaledown.policy import Amount, ScaleDownPolicy


@dataclass(slots=True, kw_only=True)
class Totals:
    """What percentages are of."""

    nodes: int
    groups: Mapping[GroupName, int]
    zones: Mapping[str, int]
    namespaces: Counter[str]


@dataclass(slots=True, kw_only=True)
class Allowance:
    """What is left for this pass."""

    policy: ScaleDownPolicy
    totals: Totals
    nodes: int = 0  # going
    drains: int = 0  # of them, those with pods to move
    by_group: Counter[str] = field(default_factory=Counter)
    by_zone: Counter[str] = field(default_factory=Counter)
    by_namespace: Counter[str] = field(default_factory=Counter)  # pods to move

    def take_going(self, group: NodeGroup | None, zone: str | None, moving: Sequence[Pod]) -> None:
        """Count a node that is on its way out."""
        self.nodes += 1
        self.drains += bool(moving)
        if group is not None:
            self.by_group[group.name] += 1
        if zone is not None:
            self.by_zone[zone] += 1
        if self.policy.budget is not None and self.policy.budget.per_namespace is not None:
            self.by_namespace.update(pod.namespace for pod in moving)

    def take(self, case: Case) -> None:
        self.take_going(case.group, case.instance.zone, case.moving)

    def objections(self, case: Case) -> tuple[Objection, ...]:
        """Say which limits the node would exceed."""
        return tuple(Objection(Why.DISRUPTION_BUDGET, detail) for detail in self._exceeded(case))

    def _exceeded(self, case: Case) -> Iterator[str]:
        policy, budget, totals = self.policy, self.policy.budget, self.totals
        if budget is None or budget.cluster is None:
            if self.nodes >= policy.max_parallelism:
                yield f"{self.nodes} going already, --max-scale-down-parallelism is {policy.max_parallelism}"
            if case.moving and self.drains >= policy.max_drain_parallelism:
                yield f"{self.drains} drained already, --max-drain-parallelism is {policy.max_drain_parallelism}"
        if budget is None:
            return
        group, zone = case.group.name, case.instance.zone
        yield from _over("cluster", self.nodes + 1, budget.cluster, totals.nodes)
        yield from _over(f"group {group}", self.by_group[group] + 1, budget.per_group, totals.groups.get(group, 0))
        yield from _over(f"zone {zone}", self.by_zone[zone] + 1, budget.per_zone, totals.zones.get(zone, 0))
        if budget.per_namespace is not None:
            for name, pods in sorted(Counter(pod.namespace for pod in case.moving).items()):
                wanted = self.by_namespace[name] + pods
                yield from _over(f"namespace {name}", wanted, budget.per_namespace, totals.namespaces[name])


def _over(what: str, wanted: int, limit: Amount | None, total: int) -> Iterator[str]:
    if limit is not None and wanted > limit.of(total):
        yield f"{what}: {wanted} would go at once, the budget is {limit.of(total)} ({limit})"


@dataclass(slots=True)
class Minima:
    """What may still go before a group or the cluster is at its minimum. Units, millicores and bytes."""

    units: dict[GroupName, int] = field(default_factory=dict)
    cores: int = 0
    memory: int = 0

    def objections(self, case: Case) -> tuple[Objection, ...]:
        found = []
        group = case.group
        if self.units[group.name] < case.instance.weight:
            found.append(Objection(Why.NODE_GROUP_MIN_SIZE_REACHED, f"the minimum of {group.name} is {group.min_size}"))
        capacity = case.node.capacity
        if self.cores < capacity["cpu"] or self.memory < capacity["memory"]:
            found.append(Objection(Why.MINIMAL_RESOURCE_LIMIT_EXCEEDED, "--cores-total or --memory-total"))
        return tuple(found)

    def take(self, case: Case) -> None:
        self.units[case.group.name] -= case.instance.weight
        self.cores -= case.node.capacity["cpu"]
        self.memory -= case.node.capacity["memory"]


def spare_units(groups: Iterable[NodeGroup], going: Mapping[GroupName, int]) -> dict[GroupName, int]:
    """Units above each group's minimum; what is going is gone. Desired that never came does not count."""
    return {
        group.name: min(group.desired - group.proven_missing, group.live_units) - group.min_size
        - going.get(group.name, 0)
        for group in groups
    }  # fmt: skip
