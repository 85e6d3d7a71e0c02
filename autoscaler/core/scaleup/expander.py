"""Which family of a tier is the best for the pods at hand.

Each candidate is packed from empty nodes with every pod that would buy in
this tier, in buying order, and the results are compared: most pods placed,
fewest nodes, least waste, zone skew, name. `--expander` names move their
criterion to the front; `priority` itself is the tiers, which come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.families import Family
from autoscaler.core.scaleup.offers import Caps
from autoscaler.core.scaleup.openings import Hosts, Opening
from autoscaler.core.scheduling.classes import Dimensions, PodClass
from autoscaler.core.scheduling.packing import Packing
from autoscaler.core.scheduling.tally import Tally
from autoscaler.core.scheduling.topology import Topology

CRITERIA = {"most-pods": 0, "least-nodes": 1, "least-waste": 2}


class Wish(NamedTuple):
    """Pods of one class that want new nodes, and the family's offers that take them."""

    one: PodClass
    pods: int
    hosts: Hosts


class Start(NamedTuple):
    """What every trial starts from: the caps, the tallies, and the nodes chosen before."""

    caps: Caps
    topology: Topology
    planned: Packing


@dataclass(slots=True)
class Option(Opening):
    """One family's answer: its new nodes, and the pods placed by class."""

    placed: dict[int, int] = field(default_factory=dict)  # by id of the class

    def merit(self, dimensions: Dimensions, policy: Policy) -> tuple[object, ...]:
        """Sort key; the least is the best."""
        zones = {zone for offer in self.family.offers for zone in offer.zones}
        counts = [self.zones[zone] for zone in zones]
        skew = max(counts, default=0) - min(counts, default=0)
        found = [-sum(self.placed.values()), self.nodes, self._waste(dimensions)]
        return (*[found[position] for position in criteria(policy)], skew, self.family.name)

    def _waste(self, dimensions: Dimensions) -> float:
        """Share of cpu plus share of memory that the new nodes leave unused."""
        waste = 0.0
        for name in ("cpu", "memory"):
            position = dimensions.names.index(name)
            offers = {offer.offering: offer for offer in self.family.offers}
            total = sum(run.nodes * offers[run.offering].template.allocatable[name] for run in self.packing.runs)
            unused = sum(run.nodes * run.free[position] for run in self.packing.runs)
            waste += unused / total if total else 0.0
        return round(waste, 9)


def choose(families: Sequence[tuple[Family, Sequence[Wish]]], start: Start, policy: Policy,
           dimensions: Dimensions) -> Option:  # fmt: skip
    """Pack the wishes on each family, and return the best packing; no tally has changed afterwards.

    Families that could turn out best come first; once one is better than
    all that the next could reach, the others need not be packed.
    """
    best: Option | None = None
    order = criteria(policy)
    is_bounded = order == sorted(order)
    bounds = [bound(family, wishes, start, dimensions) for family, wishes in families]
    reaches = [tuple(found[position] for position in order) for found in bounds]
    ranked = sorted(zip(reaches, families, strict=True), key=lambda row: (row[0], row[1][0].name))
    for reach, (family, wishes) in ranked:
        if best is not None and best.merit(dimensions, policy)[: len(reach)] < reach:
            break
        is_full = best is not None and sum(best.placed.values()) == sum(wish.pods for wish in wishes)
        mark = start.topology.mark()
        option = estimate(family, wishes, start, best.nodes if best is not None and is_full and is_bounded else None)
        deeds = start.topology.cut(mark)
        if option is not None:
            option.deeds = deeds
        if best is None or (option is not None and option.merit(dimensions, policy) < best.merit(dimensions, policy)):
            best = option
    if best is None:
        raise ValueError("no family to choose from")
    return best


def criteria(policy: Policy) -> list[int]:
    """In which order most pods, fewest nodes and least waste are compared."""
    wanted = [CRITERIA[name] for name in policy.expanders if name in CRITERIA]
    return list(dict.fromkeys([*wanted, *range(len(CRITERIA))]))


def bound(family: Family, wishes: Sequence[Wish], start: Start, dimensions: Dimensions) -> list[float]:
    """What no packing on the family can beat: pods placed (negative), nodes, waste.

    Nodes: the sum of the requests over an empty node, and as many as there
    are pods that must not be on a node together. Where pods may also go to
    nodes chosen before, nothing but the pods is bounded.
    """
    placed = sum(wish.pods for wish in wishes if wish.hosts)
    if start.planned.runs and any(wish.one.bound is not None for wish in wishes):
        return [-placed, 0, 0.0]
    able = [wish for wish in wishes if wish.hosts]
    total = [0] * len(dimensions.names)
    lonely: Counter[Tally] = Counter()
    for one, pods, _ in able:
        for position, amount in enumerate(one.request):
            total[position] += amount * pods
        lonely.update(dict.fromkeys(one.rules.lonely, pods) if one.rules is not None else ())
    empty = [max(amounts) for amounts in zip(*(offer.free for offer in family.offers), strict=True)]
    nodes = max((-(-want // have) for want, have in zip(total, empty, strict=True) if want and have > 0), default=0)
    nodes = max(nodes, max(lonely.values(), default=0))
    waste = 0.0
    for name in ("cpu", "memory"):
        position = dimensions.names.index(name)
        sizes = [(offer.free[position], offer.template.allocatable[name]) for offer in family.offers]
        if nodes and all(size for _, size in sizes):
            unused = min(free / size for free, size in sizes)
            waste += unused - total[position] / (nodes * min(size for _, size in sizes))
    return [-placed, nodes, waste - 1e-6]


def estimate(family: Family, wishes: Sequence[Wish], start: Start, most: int | None = None) -> Option | None:
    """Pack classes, in the order given, on new nodes of one family within the caps.

    None when it takes more than `most` nodes.
    """
    option = Option(family, start.caps.copy(), Counter(family.nodes), start.topology)
    if any(one.bound is not None for one, *_ in wishes):
        option.planned = start.planned.copy()
    for one, count, hosts in wishes:
        if not hosts:
            continue
        placed = option.place(one, count, hosts)
        if placed:
            option.placed[id(one)] = placed
        if most is not None and option.nodes > most:
            return None
    return option
