"""Tallies: how many of the pods that a rule means are in each topology domain.

A node without the key is in no domain. New nodes have no host name yet: each
is a domain of its own all the same, so that their counts lie with the run of
nodes, and a tally knows them by level only. Every change is written to the
journal, so that a trial can be taken back and a chosen one done again.
Source: kubernetes/pkg/scheduler/framework/plugins/{podtopologyspread,interpodaffinity}/filtering.go
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from autoscaler.core.model import HOSTNAME_LABEL
from autoscaler.core.podspec import NodeTerm, Toleration
from autoscaler.core.scheduling.fit import NodeView, matches_term, untolerated

NO_LIMIT = 1 << 60
NEW_HOST = "(new)"  # the host name of a node that is yet to be bought: differs from every other, itself included

RELIED, RESIDENT = "\1", "\2"

Deed = tuple["Tally", int, str, int, int]  # what, level or sign, domain, nodes, pods


class Tally:
    """Counts by domain of `key`; `total` counts over all domains."""

    __slots__ = ("_said", "_where", "counts", "foretold", "journal", "key", "taken_new", "total")

    def __init__(self, key: str, journal: list[Deed]) -> None:
        self.key = key
        self.journal = journal
        self.counts: dict[str, int] = {}
        self.total = 0
        self.taken_new = 0  # new nodes that hold any of the counted pods
        self.foretold: dict[str, int] = {}  # pods of DaemonSets that count although their nodes are not opened yet
        self._said: dict[str, int] = {}
        self._where: dict[int, tuple[NodeView, str | None]] = {}

    @property
    def is_per_node(self) -> bool:
        return self.key == HOSTNAME_LABEL

    def domain_of(self, node: NodeView) -> str | None:
        """The domain in which a node's pods count; None: they do not."""
        known = self._where.get(id(node))
        if known is None:
            # The view is kept, so that no other can take over its identity.
            known = self._where[id(node)] = (node, self.look_up(node))
        return known[1]

    def look_up(self, node: NodeView) -> str | None:
        return node.labels.get(self.key) if self.key else ""

    def start(self, pods: Mapping[str, int], nodes: Mapping[str, int]) -> None:  # noqa: ARG002 - some know empty domains
        """Begin with so many pods by domain; `nodes` counts the nodes of every domain."""
        self.counts = dict(pods)
        self.total = sum(pods.values())

    def count(self, domain: str, pods: int) -> None:
        """So many more pods in a domain."""
        self._apply((self, 0, domain, 0, pods))

    def count_new(self, level: int, nodes: int, pods: int) -> None:
        """So many more pods on each of `nodes` new nodes, which had `level` before."""
        self._apply((self, level, NEW_HOST, nodes, pods))

    def foretell(self, pods: Mapping[str, int]) -> None:
        """From here on new nodes are opened; count in the pods of DaemonSets that will be on them, by domain."""
        self.foretold = dict(pods)
        self._said = dict(pods)
        for domain, count in pods.items():
            self.total += count
            self._shift(domain, count)

    @property
    def settled(self) -> dict[str, int]:
        """The pods of DaemonSets on the nodes that were opened since, by domain."""
        found = {domain: self._said.get(domain, 0) - left for domain, left in self.foretold.items()}
        return {domain: pods for domain, pods in found.items() if pods}

    def settle(self, domain: str, pods: int) -> None:
        """So many pods of DaemonSets came with new nodes of a domain: those foretold, as far as any were."""
        self._apply((self, 0, RESIDENT + domain, 0, pods))

    def _settle(self, domain: str, pods: int) -> None:
        left = self.foretold.get(domain, 0)
        self.foretold[domain] = left - pods  # below 0, to be undone rightly
        more = pods - (max(0, left) - max(0, left - pods))
        self.total += more
        self._shift(domain, more)

    def _apply(self, deed: Deed) -> None:
        self.journal.append(deed)
        self.do(deed)

    def do(self, deed: Deed) -> None:
        _, level, domain, nodes, pods = deed
        if domain == NEW_HOST:
            self.total += nodes * pods
            self._shift_new(level, nodes, pods)
        elif domain[:1] == RESIDENT:
            self._settle(domain[1:], pods)
        else:
            self.total += pods
            self._shift(domain, pods)

    def undo(self, deed: Deed) -> None:
        _, level, domain, nodes, pods = deed
        self.do((self, level + pods, domain, nodes, -pods))

    def _shift(self, domain: str, pods: int) -> None:
        self.counts[domain] = self.counts.get(domain, 0) + pods

    def _shift_new(self, level: int, nodes: int, pods: int) -> None:
        """A run's own marks tell how many pods lie on each of its nodes."""
        if not level:
            self.taken_new += nodes
        if not level + pods:
            self.taken_new -= nodes


class Scope(NamedTuple):
    """Which nodes a spread constraint looks at: those with all keys that its policies include.

    `tolerations` None ignores taints; `selector` empty and `terms` None ignore node affinity.
    """

    keys: tuple[str, ...]
    selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[NodeTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] | None = None

    def includes(self, node: NodeView) -> bool:
        labels = node.labels
        if not all(key in labels for key in self.keys):
            return False
        if any(labels.get(key) != value for key, value in self.selector):
            return False
        if self.terms is not None and not any(matches_term(term, labels, node.name) for term in self.terms):
            return False
        return self.tolerations is None or next(untolerated(self.tolerations, node.taints), None) is None


class SpreadTally(Tally):
    """Counts of a spread constraint, which knows its empty domains too: the least count is what skew is measured from.

    `levels` says how many domains have each count. `relied` are placements
    that need the least count to be above 0, `doubts` the domains that came, empty, after one.
    """

    __slots__ = ("_known", "_nodes", "domains", "doubts", "expected", "foreseen", "is_plain", "least",
                 "levels", "relied", "scope")  # fmt: skip

    def __init__(self, key: str, journal: list[Deed], scope: Scope) -> None:
        super().__init__(key, journal)
        self.scope = scope
        self.is_plain = scope == Scope((key,))
        self.domains = 0
        self.levels: dict[int, int] = {}
        self.least = 0
        self.expected = self.foreseen = 0  # new nodes that count as empty although they are not opened yet
        self.relied = self.doubts = 0
        self._known: frozenset[str] = frozenset()
        self._nodes: dict[str, int] = {}

    def look_up(self, node: NodeView) -> str | None:
        if self.is_plain:
            return node.labels.get(self.key)
        return node.labels[self.key] if self.scope.includes(node) else None

    def start(self, pods: Mapping[str, int], nodes: Mapping[str, int]) -> None:
        super().start({domain: pods.get(domain, 0) for domain in sorted(nodes)}, nodes)
        self._nodes = dict(nodes)
        self.domains = len(nodes)
        self.levels = dict(Counter(self.counts.values()))
        self.least = min(self.levels, default=0)

    def join(self, domain: str, nodes: int, level: int = 0) -> None:
        """So many more nodes in a domain (fewer, when negative); new hosts start at `level`."""
        self._apply((self, level, "\0" + domain, nodes, 0))

    def rely(self) -> None:
        """A pod was placed that could not have been beside an empty domain."""
        self._apply((self, 0, RELIED, 1, 0))

    def do(self, deed: Deed) -> None:
        _, level, domain, nodes, _ = deed
        if domain[:1] == "\0":
            if self.relied and self._is_new(domain[1:], nodes):
                self.doubts += 1
            self._join(domain[1:], nodes, level)
        elif domain == RELIED:
            self.relied += 1
        else:
            super().do(deed)

    def undo(self, deed: Deed) -> None:
        _, level, domain, nodes, _ = deed
        if domain[:1] == "\0":
            self._join(domain[1:], -nodes, level)
            if self.relied and self._is_new(domain[1:], nodes):
                self.doubts -= 1
        elif domain == RELIED:
            self.relied -= 1
        else:
            super().undo(deed)

    def _is_new(self, domain: str, nodes: int) -> bool:
        """Whether so many nodes, once they join, make a domain that was not counted before."""
        return nodes > max(0, self.expected) if domain == NEW_HOST else nodes > 0 and not self._nodes.get(domain)

    def least_beside(self, count: int) -> int:
        """The least count of the domains other than one that has `count`; NO_LIMIT when there is no other."""
        if count > self.least or self.levels.get(count, 0) > 1:
            return self.least
        return min((level for level in self.levels if level != count), default=NO_LIMIT)

    def _join(self, domain: str, nodes: int, level: int) -> None:
        if domain == NEW_HOST:
            self._add_domains(level, nodes)
            self._meet(nodes)
            return
        before = self._nodes.get(domain, 0)
        self._nodes[domain] = before + nodes
        if not before and nodes:
            self.counts[domain] = 0
            self._add_domains(0, 1)
        elif before and not before + nodes:
            self._add_domains(self.counts.pop(domain), -1)

    def _meet(self, nodes: int) -> None:
        """New nodes are those that were expected, as far as any were; `expected` goes below 0 to be undone rightly."""
        before = max(0, self.expected)
        self.expected -= nodes
        self._add_domains(0, max(0, self.expected) - before)

    def expect(self, domains: Mapping[str, int]) -> None:
        """From here on nodes are opened; count in what they will be: domains, and so many new hosts."""
        self._known = frozenset(self._nodes)
        self.relied = self.doubts = 0
        for domain, nodes in domains.items():
            if domain == NEW_HOST:
                self.expected = self.foreseen = nodes
                self._add_domains(0, nodes)
            else:
                self._join(domain, 1, 0)

    def opened(self) -> dict[str, int]:
        """The domains that were opened since, and how many new hosts."""
        found = {domain: 1 for domain, nodes in self._nodes.items() if nodes and domain not in self._known}
        hosts = self.foreseen - self.expected
        return {**found, NEW_HOST: hosts} if hosts else found

    def _shift(self, domain: str, pods: int) -> None:
        before = self.counts.get(domain)
        if before is None:
            return  # no node of the domain is known to the scheduler yet
        self.counts[domain] = before + pods
        self._move(before, before + pods, 1)

    def _shift_new(self, level: int, nodes: int, pods: int) -> None:
        super()._shift_new(level, nodes, pods)
        self._move(level, level + pods, nodes)

    def _move(self, before: int, after: int, domains: int) -> None:
        self._add_domains(after, domains)
        self._add_domains(before, -domains)

    def _add_domains(self, level: int, number: int) -> None:
        self.domains += number
        left = self.levels.get(level, 0) + number
        if left:
            self.levels[level] = left
            if level < self.least or len(self.levels) == 1:
                self.least = level
        else:
            self.levels.pop(level, None)
            if level == self.least:
                self.least = min(self.levels, default=0)
