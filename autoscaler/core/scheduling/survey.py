"""The cluster as it is, counted into the tallies of a pass.

Every Node object is a domain, schedulable or not, as it is for kube-scheduler.
Which domain a node is in depends on the key, and for a spread constraint on
its policies; it is looked up once for all tallies that ask the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from autoscaler.core.index import Index
from autoscaler.core.model import NodeName
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.tally import Scope, SpreadTally, Tally

DomainOf = Mapping[NodeName, str]  # nodes without a domain are left out


class Survey:
    """Adds counts by node up; `close` gives them to the tallies."""

    def __init__(self, index: Index) -> None:
        self._views = {node.name: NodeView(node.labels, node.taints, node.name) for node in index.nodes.values()}
        self._domains: dict[tuple[str, Scope | None], DomainOf] = {}
        self._found: dict[Tally, Counter[str]] = {}

    def view(self, node: str | None) -> NodeView | None:
        """The node of this name, where there is one."""
        return self._views.get(NodeName(node)) if node is not None else None

    def add(self, tallies: Iterable[Tally], pods: Mapping[NodeName, int], leaving: Mapping[NodeName, int]) -> None:
        """Count pods by node; spread constraints leave out those that are being deleted."""
        for tally in tallies:
            domain_of = self._domain_of(tally)
            found = self._found.setdefault(tally, Counter())
            for node, count in pods.items():
                domain = domain_of.get(node)
                if domain is not None:
                    found[domain] += count
            for node, count in leaving.items() if isinstance(tally, SpreadTally) else ():
                domain = domain_of.get(node)
                if domain is not None:
                    found[domain] -= count

    def close(self, tallies: Iterable[Tally]) -> None:
        """Start the tallies with what was counted, and spread constraints with their domains, the empty ones too."""
        for tally in tallies:
            nodes = Counter(self._domain_of(tally).values()) if isinstance(tally, SpreadTally) else {}
            tally.start(self._found.get(tally, {}), nodes)

    def _domain_of(self, tally: Tally) -> DomainOf:
        scope = tally.scope if isinstance(tally, SpreadTally) and not tally.is_plain else None
        found = self._domains.get((tally.key, scope))
        if found is None:
            domains = ((name, tally.look_up(view)) for name, view in self._views.items())
            found = {name: domain for name, domain in domains if domain is not None}
            self._domains[tally.key, scope] = found
        return found
