"""What the pods of one class may do next to others: spread, affinity, anti-affinity.

A `Rules` asks the tallies as they stand now: how many more pods of the class
fit into a domain, and on a node, by kube-scheduler's filters. It also knows
which tallies a pod of the class raises once it is placed.
Source: kubernetes/pkg/scheduler/framework/plugins/{podtopologyspread,interpodaffinity}/filtering.go
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import ZONE_LABELS
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.tally import NEW_HOST, NO_LIMIT, SpreadTally, Tally

Marks = Mapping[Tally, int] | None  # pods on each node of a run of new nodes


class Spread(NamedTuple):
    """A DoNotSchedule constraint; `counts_self`: a pod of the class is one of those that it counts."""

    tally: SpreadTally
    max_skew: int
    min_domains: int
    counts_self: bool

    def room(self, count: int, *, is_new: bool) -> int:
        """How many pods fit in a row into a domain that has `count` now; `is_new`: the tally does not know it yet.

        As long as there are fewer domains than `min_domains`, the least count is taken for 0.
        """
        tally = self.tally
        if tally.domains + is_new < self.min_domains:
            others = least = 0
        elif is_new:
            others = tally.least if tally.domains else NO_LIMIT
            least = min(count, others)
        else:
            least, others = tally.least, tally.least_beside(count)
        if not self.counts_self:
            return NO_LIMIT if count - least <= self.max_skew else 0
        return max(0, others + self.max_skew - count)

    def is_exceeded(self, count: int) -> bool:
        """Whether a domain that has `count` is further above the least than allowed."""
        least = self.tally.least if self.tally.domains >= self.min_domains else 0
        return count - least > self.max_skew


class Apart(NamedTuple):
    """Pods that must not be in the same domain; `counts_self`: not even two of the class."""

    tally: Tally
    counts_self: bool
    why: Why
    detail: str


@dataclass(slots=True, eq=False, kw_only=True)
class Part:
    """The rules on domains of one kind: single nodes, or what is larger.

    `affinity` has a tally for each required term; each counts the pods that
    match all of the terms, as the scheduler does.
    """

    spreads: tuple[Spread, ...] = ()
    affinity: tuple[Tally, ...] = ()
    apart: tuple[Apart, ...] = ()
    tallies: tuple[Tally, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.tallies = (*(one.tally for one in self.spreads), *self.affinity, *(one.tally for one in self.apart))


@dataclass(slots=True, eq=False, kw_only=True)
class Rules:
    """The rules of one class, and what its pods count towards."""

    wide: Part
    per_node: Part
    matches_itself: bool = False  # the class by its own affinity terms
    feeds: tuple[Tally, ...] = ()
    is_bound: bool = field(init=False)  # has anything to obey
    lonely: tuple[Tally, ...] = field(init=False)  # of which a node holds one pod at most
    spreads: tuple[Spread, ...] = field(init=False)
    moves_on: bool = field(init=False)  # a node that takes none now may take some later

    def __post_init__(self) -> None:
        self.is_bound = bool(self.wide.tallies or self.per_node.tallies)
        self.lonely = tuple(dict.fromkeys(one.tally for one in self.per_node.apart if one.counts_self))
        self.spreads = (*self.wide.spreads, *self.per_node.spreads)
        self.moves_on = bool(self.per_node.spreads or self.per_node.affinity)

    @property
    def starts_group(self) -> bool:
        """No pod matches the affinity yet, and the class itself does: the first may go anywhere, the next to it."""
        terms = (*self.wide.affinity, *self.per_node.affinity)
        return self.matches_itself and bool(terms) and not any(tally.total for tally in terms)

    @property
    def missing_hosts(self) -> int:
        """How many hosts are lacking to the `minDomains` of a constraint; until they come the least count is 0."""
        return max((max(0, one.min_domains - one.tally.domains) for one in self.per_node.spreads), default=0)

    def domains_of(self, node: NodeView) -> tuple[str | None, ...]:
        """The node's larger domains, as far as the rules look at them."""
        return tuple([tally.domain_of(node) for tally in self.wide.tallies])

    def level_of(self, node: NodeView) -> int:
        """How many counted pods the node's domains have: the scheduler's own wish is the least."""
        counts = 0
        for spread in self.wide.spreads:
            domain = spread.tally.domain_of(node)
            counts += spread.tally.counts.get(domain, 0) if domain is not None else 0
        return counts

    def room_in_domain(self, node: NodeView) -> int:
        """How many pods of the class may be placed in a row in the larger domains of a node."""
        return self._room(self.wide, node, None, is_new=False) if self.wide.tallies else NO_LIMIT

    def room_on_node(self, node: NodeView, marks: Marks = None, *, is_new: bool = False) -> int:
        """How many pods may be placed in a row on one node; `is_new`: no tally has seen it yet."""
        return self._room(self.per_node, node, marks, is_new=is_new) if self.per_node.tallies else NO_LIMIT

    def is_repelled(self, node: NodeView) -> bool:
        """Whether pods that the tallies have counted already keep pods of the class away from the node."""
        domains = [(one.tally, one.tally.domain_of(node)) for one in (*self.wide.apart, *self.per_node.apart)]
        return any(domain is not None and _count(tally, domain, None) for tally, domain in domains)

    def _room(self, part: Part, node: NodeView, marks: Marks, *, is_new: bool) -> int:
        most = NO_LIMIT
        for apart in part.apart:
            domain = apart.tally.domain_of(node)
            if domain is None:
                if is_unsure(apart.tally, node):
                    return 0
            elif _count(apart.tally, domain, marks):
                return 0
            elif apart.counts_self:
                most = 1
        if part.affinity and not self._has_company(part, node, marks):
            return 0
        for spread in part.spreads:
            domain = spread.tally.domain_of(node)
            if domain is None:
                return 0
            unknown = is_new if domain == NEW_HOST else domain not in spread.tally.counts
            most = min(most, spread.room(_count(spread.tally, domain, marks), is_new=unknown))
        return most

    def _has_company(self, part: Part, node: NodeView, marks: Marks) -> bool:
        domains = [(tally, tally.domain_of(node)) for tally in part.affinity]
        if any(domain is None for _, domain in domains):
            return False
        if all(domain is not None and _count(tally, domain, marks) for tally, domain in domains):
            return True
        return self.starts_group

    def place(self, node: NodeView, pods: int) -> None:
        """Count pods of the class onto a node that has a name."""
        for tally in self.feeds:
            domain = tally.domain_of(node)
            if domain is not None:
                tally.count(domain, pods)
        if self.spreads and pods > 0:
            self._rely(node, None)

    def place_on_new(self, node: NodeView, nodes: int, pods: int, marks: Marks) -> Marks:
        """Count `pods` pods of the class onto each of `nodes` equal new nodes; return their marks then."""
        changed: dict[Tally, int] = {}
        for tally in self.feeds:
            domain = tally.domain_of(node)
            if domain == NEW_HOST:
                level = _count(tally, domain, marks)
                tally.count_new(level, nodes, pods)
                changed[tally] = level + pods
            elif domain is not None:
                tally.count(domain, nodes * pods)
        after = {**(marks or {}), **changed} if changed else marks
        if self.spreads:
            self._rely(node, after)
        return after

    def _rely(self, node: NodeView, marks: Marks) -> None:
        """Note the constraints that hold only as long as no empty domain comes."""
        for spread in self.spreads:
            domain = spread.tally.domain_of(node)
            if domain is not None and _count(spread.tally, domain, marks) > spread.max_skew:
                spread.tally.rely()

    def is_strained(self, node: NodeView, marks: Marks = None) -> bool:
        """Whether a rule would refuse a pod of the class where one is now, were it the last to come."""
        for spread in self.spreads:
            domain = spread.tally.domain_of(node)
            if domain is not None and spread.is_exceeded(_count(spread.tally, domain, marks)):
                return True
        for apart in self.wide.apart:
            domain = apart.tally.domain_of(node)
            if domain is not None and _count(apart.tally, domain, marks) > apart.counts_self:
                return True
        return False

    def is_alike(self, left: NodeView, right: NodeView) -> bool:
        """Whether a pod of the class may move between two new nodes without any rule noticing."""
        tallies = (*self.feeds, *self.wide.tallies, *self.per_node.tallies)
        return all(
            tally.domain_of(left) == tally.domain_of(right) and is_unsure(tally, left) == is_unsure(tally, right)
            for tally in tallies
        )

    def objections(self, node: NodeView, marks: Marks = None) -> Iterator[Objection]:
        """Yield every rule by which a new node of this kind cannot take a pod of the class now."""
        for part in (self.wide, self.per_node):
            for spread in part.spreads:
                alone = Part(spreads=(spread,))
                if not self._room(alone, node, marks, is_new=True):
                    yield _of_zone(spread.tally, node) or Objection(Why.TOPOLOGY_SPREAD, _told(spread, node))
            for apart in part.apart:
                if not self._room(Part(apart=(apart,)), node, marks, is_new=True):
                    yield _of_zone(apart.tally, node) or Objection(apart.why, apart.detail)
            for tally in part.affinity:
                if not self._has_company(Part(affinity=(tally,)), node, marks):
                    detail = f"no pod that its affinity names is in this {tally.key}"
                    yield _of_zone(tally, node) or Objection(Why.POD_AFFINITY, detail)


def is_unsure(tally: Tally, node: NodeView) -> bool:
    """The node will be in a zone, but nobody knows in which."""
    return bool(node.zones) and tally.key in ZONE_LABELS


def _count(tally: Tally, domain: str, marks: Marks) -> int:
    if domain == NEW_HOST:
        return marks.get(tally, 0) if marks else 0
    return tally.counts.get(domain, 0)


def _of_zone(tally: Tally, node: NodeView) -> Objection | None:
    if not is_unsure(tally, node):
        return None
    return Objection(Why.ZONE_NOT_CHOSEN, f"AWS picks among {', '.join(node.zones)}")


def _told(spread: Spread, node: NodeView) -> str:
    tally = spread.tally
    domain = tally.domain_of(node)
    if domain is None:
        return f"the node is in no domain of {tally.key}"
    have, least = tally.counts.get(domain, 0), tally.least if tally.domains >= spread.min_domains else 0
    return f"{tally.key}: {have} pods here, {least} in the least domain, maxSkew {spread.max_skew}"
