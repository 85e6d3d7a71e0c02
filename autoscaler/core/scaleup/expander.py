"""Which family of a tier is the best for the pods at hand.

Each candidate is packed from empty nodes with every pod that would buy in
this tier, and the results are compared: most pods placed, fewest nodes, least
waste, zone skew, name. `--expander` names move their criterion to the front;
`priority` itself is the tiers, which come first. Families are packed in the
order of what they could reach at best, until none left can beat the best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.demand import Demand, Wish
from autoscaler.core.scaleup.families import Family
from autoscaler.core.scaleup.offers import Caps
from autoscaler.core.scaleup.openings import Opening
from autoscaler.core.scheduling.classes import Dimensions
from autoscaler.core.scheduling.packing import Packing
from autoscaler.core.scheduling.topology import Topology

GOOD_ENOUGH = 1.05  # so many times the nodes that no packing can do without; nothing better is looked for
CRITERIA = {"most-pods": 0, "least-nodes": 1, "least-waste": 2}


class Start(NamedTuple):
    """What every trial starts from: the caps, the tallies, and the nodes chosen before."""

    caps: Caps
    topology: Topology
    planned: Packing
    turns: Iterator[int]


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


def choose(families: Sequence[Family], demand: Demand, start: Start, policy: Policy,
           dimensions: Dimensions) -> Option:  # fmt: skip
    """Pack the wishes on each family, and return the best packing; no tally has changed afterwards.

    Families that could turn out best come first; once one is better than
    all that the next could reach, the others need not be packed. (A family
    whose rules leave pods out may need fewer nodes than it is thought to; where
    nodes count before pods it is not looked for.)
    """
    best: Option | None = None
    merit: tuple[object, ...] = ()
    order = criteria(policy)
    is_bounded = order == sorted(order)
    reaches = []
    for family in families:
        found = demand.bound(family, start.planned.nodes, dimensions)
        if order[0] != CRITERIA["most-pods"] and (room := sum(map(start.caps.room, family.open))) < found[1]:
            found[1:] = [room, 0.0]  # it cannot place them all, and so may leave less unused, too
        reaches.append((tuple([found[position] for position in order]), family.name, family, found[1]))
    for reach, _, family, least in sorted(reaches, key=lambda row: row[:2]):
        if best is not None and merit[: len(reach)] < reach:
            break
        is_full = best is not None and sum(best.placed.values()) == demand.pods
        most = best.nodes if best is not None and is_full and is_bounded else None
        option = try_out(family, demand, start, least, most)
        if option is not None and (best is None or option.merit(dimensions, policy) < merit):
            best, merit = option, option.merit(dimensions, policy)
    if best is None:
        raise ValueError("no family to choose from")
    return best


def criteria(policy: Policy) -> list[int]:
    """In which order most pods, fewest nodes and least waste are compared."""
    wanted = [CRITERIA[name] for name in policy.expanders if name in CRITERIA]
    return list(dict.fromkeys([*wanted, *range(len(CRITERIA))]))


def try_out(family: Family, demand: Demand, start: Start, least: float, most: int | None = None) -> Option | None:
    """Pack the wishes on new nodes of one family, and take back what the tallies saw of it.

    The pods that are hardest to place come first. Where that leaves anybody
    out for want of nodes, it is the order of the wishes that says whom; where
    it takes many more than the `least` nodes, their order may take fewer.
    """
    best: Option | None = None
    was_full = False
    hosted = demand.hosted(family).pods
    for number, wishes in enumerate(demand.orders):
        mark = start.topology.mark()
        option = estimate(family, wishes, demand, start, most)
        deeds = start.topology.cut(mark)
        if option is None:
            if number == 0 and most is not None and most <= least * GOOD_ENOUGH:
                break
            continue
        option.deeds = deeds
        is_full = sum(option.placed.values()) == hosted
        if best is None or (not was_full and not is_full) or (is_full and (not was_full or option.nodes < best.nodes)):
            best, was_full = option, is_full
        if is_full and option.nodes <= least * GOOD_ENOUGH:
            break
        most = option.nodes if is_full else most
    return best


def estimate(
    family: Family, wishes: Iterable[Wish], demand: Demand, start: Start, most: int | None = None
) -> Option | None:
    """Pack classes, in the order given, on new nodes of one family within the caps.

    None when it takes more than `most` nodes.
    """
    option = Option(family, start.caps.copy(), Counter(family.nodes), start.topology)
    if demand.is_bound:
        option.planned = start.planned.copy()
    for one, count in wishes:
        hosts = demand.hosts(family, one)
        if not hosts:
            continue
        one.turn = next(start.turns)
        placed = option.place(one, count, hosts)
        if placed:
            option.placed[id(one)] = placed
        if most is not None and option.nodes > most:
            return None
    return option
