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
        wanted = [CRITERIA[name] for name in policy.expanders if name in CRITERIA]
        order = list(dict.fromkeys([*wanted, *range(len(found))]))
        return (*[found[position] for position in order], skew, self.family.name)

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

    Families of large nodes come first: once all pods have a place, whoever
    needs more nodes has lost, and most of the small ones are soon out.
    """
    best: Option | None = None
    is_bounded = not any(name in CRITERIA for name in policy.expanders)
    by_size = sorted(families, key=lambda one: -one[0].offers[0].template.allocatable["cpu"])
    for family, wishes in by_size:
        is_full = best is not None and sum(best.placed.values()) == sum(wish.pods for wish in wishes)
        mark = start.topology.mark()
        option = estimate(family, wishes, start, best.nodes if best is not None and is_full and is_bounded else None)
        deeds = start.topology.cut(mark)
        if option is not None:
            option.deeds = deeds
        if best is None or (
            option is not None and option.merit(dimensions, policy) < best.merit(dimensions, policy)
        ):
            best = option
    if best is None:
        raise ValueError("no family to choose from")
    return best


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
