"""New nodes for the pods that found no room: DESIGN 5.4, tier by tier.

Room on nodes already planned comes first, whatever their tier; then the
highest tier that can host the pod. A tier whose pool is being probed is
waited for: its answer comes within this pass, and the tier below costs more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as counting

from autoscaler.core.model import GroupName, Offering
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.demand import Demand, Wish
from autoscaler.core.scaleup.expander import Option, Start, choose
from autoscaler.core.scaleup.families import Family, build_families
from autoscaler.core.scaleup.levels import Level, Levels
from autoscaler.core.scaleup.offers import PASSING, Caps, Market, Offer
from autoscaler.core.scaleup.openings import Hosts, room_on_new
from autoscaler.core.scheduling.classes import Dimensions, PodClass
from autoscaler.core.scheduling.packing import Packing
from autoscaler.core.scheduling.shelf import RunShelf
from autoscaler.core.scheduling.topology import Topology


@dataclass(slots=True)
class Purchase:
    """The plan of one wave: new nodes in buying order, and what is left over.

    `left` are pods without a place, `held` those among them that wait for a
    probe's answer; both count by class.
    """

    packing: Packing = field(default_factory=Packing)
    offers: dict[Offering, Offer] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)


class Buyer:
    """One wave's buying, on the market as it stands."""

    def __init__(self, market: Market, dimensions: Dimensions, policy: Policy, topology: Topology) -> None:
        self.families: list[Family] = build_families(market.offers, policy)
        self.caps: Caps = market.caps.copy()
        self.topology = topology
        topology.begin_purchase()
        self._dimensions = dimensions
        self._policy = policy
        self._levels = Levels(self.families)
        self._turns = counting(1)
        self._hosts: dict[tuple[int, int], Hosts] = {}
        self.purchase = Purchase(offers={offer.offering: offer for offer in market.offers})

    def buy(self, classes: Sequence[tuple[PodClass, int]]) -> Purchase:
        """Find new nodes for `classes`, which come in buying order with the pods wanted of each.

        A class whose rules allow no new node now is tried again after others were placed.
        """
        left = {id(one): count for one, count in classes}
        self._levels.learn(one for one, _ in classes)
        waiting = [one for one, _ in classes]
        blocked: list[PodClass] = []
        while waiting:
            one = waiting[0]
            level = self._level_for(one) if left[id(one)] else None
            placed = (
                self._fill_up([one], left) if level is None else self._buy_in(level, _comers(waiting, blocked), left)
            )
            if not placed.get(id(one)):
                waiting.pop(0)
                if one.bound is not None and left[id(one)]:
                    blocked.append(one)
            if placed:
                waiting = _spare_last([*(one for one in waiting if left[id(one)]), *blocked])
                blocked = []
        self.purchase.left = {number: count for number, count in left.items() if count}
        return self.purchase

    def _buy_in(self, level: Level, waiting: Sequence[PodClass], left: dict[int, int]) -> dict[int, int]:
        """Buy in one level for the first that waits, and for whoever else would; return the pods placed by class."""
        first, may_take = waiting[0], self._levels.may_take(level)
        wanted = [
            (one, self._share(one, level, left[id(one)]))
            for one in waiting
            if (one.terms.menu is None or id(one) in may_take) and (one is first or self._level_for(one) is level)
        ]
        option = self._best(level, wanted, first)
        placed = Counter(self._commit(option))
        for number, count in placed.items():
            left[number] -= count
        # Whoever is bound by no rule has been offered all other nodes before.
        may_take = self._levels.may_take(option.family)
        able = [
            one
            for one in waiting
            if (one.terms.menu is None or id(one) in may_take)
            and (one.bound is not None or self.hosts(option.family, one))
        ]
        placed.update(self._fill_up(able, left))
        return placed

    def _fill_up(self, waiting: Iterable[PodClass], left: dict[int, int]) -> dict[int, int]:
        """Use the room on nodes already planned, whatever their tier; return the pods placed by class."""
        placed: dict[int, int] = {}
        for one in waiting:
            count = self._fill(one, left[id(one)]) if left[id(one)] else 0
            if count:
                left[id(one)] -= count
                placed[id(one)] = count
        return placed

    def _fill(self, one: PodClass, count: int) -> int:
        packing = self.purchase.packing
        one.turn = next(self._turns)
        if one.bound is not None:
            return RunShelf(one, one.bound, (packing,)).put(count)
        return packing.fill(one, count)

    def hosts(self, family: Family, one: PodClass) -> Hosts:
        """The family's offers whose empty node takes pods of the class, and how many; caps and rules aside."""
        key = (id(family), id(one.fitting))
        found = self._hosts.get(key)
        if found is None:
            found = self._hosts[key] = tuple([(o, per_node) for o in family.open if (per_node := o.per_node(one))])
        return found

    def _hosting(self, one: PodClass, families: Iterable[Family]) -> Iterator[Offer]:
        """Yield the offers on whose empty nodes pods of the class may be now, caps aside."""
        rules = one.bound
        allowed: dict[int, int] = {}  # by view, which many offers share
        for family in families:
            for offer, _ in self.hosts(family, one):
                if rules is not None and id(offer.view) not in allowed:
                    allowed[id(offer.view)] = room_on_new(rules, offer, self.topology)
                if rules is None or allowed[id(offer.view)]:
                    yield offer

    def withheld(self, one: PodClass) -> frozenset[GroupName]:
        """The groups of lower tiers that pods which wait for a better one may not be bought a node of yet."""
        if not one.terms.is_patient:
            return frozenset()
        allowed = self._open_to(one)
        later = (level for level in self._levels.of(one) if level not in allowed)
        return frozenset(offer.group.name for level in later for family in level.families for offer in family.offers)

    def _open_to(self, one: PodClass) -> Sequence[Level]:
        """The levels that the class may buy in: of one that waits only the best that could host it, dry or not."""
        levels = self._levels.of(one)
        if not one.terms.is_patient:
            return levels
        best = next((n for n, level in enumerate(levels) if self._could_host(level, one)), len(levels))
        return levels[: best + 1]

    def _could_host(self, level: Level, one: PodClass) -> bool:
        """Whether the level could host a pod of the class at another time; DESIGN 8, `max-wait`."""
        return any(
            offer.per_node(one)
            and all(reason.why in PASSING for reason in offer.objections)
            and (one.bound is None or room_on_new(one.bound, offer, self.topology))
            for family in level.families
            for offer in family.offers
        )

    def _level_for(self, one: PodClass) -> Level | None:
        """The highest level with room for the class; None when there is none, or a probe decides first."""
        for level in self._open_to(one):
            if any(map(self.caps.room, self._hosting(one, level.families))):
                return level
            if any(map(self.caps.is_probing, self._hosting(one, level.families))):
                self.purchase.held.add(id(one))
                return None
        return None

    def _share(self, one: PodClass, level: Level, wanted: int) -> int:
        """How many pods to place in the level at once: one by one where only a rule keeps them off a higher one."""
        levels = self._levels.of(one)
        if one.bound is None or level is levels[0]:
            return wanted
        above = [family for each in levels[: levels.index(level)] for family in each.families]
        held_off = any(self.caps.room(offer) for family in above for offer, _ in self.hosts(family, one))
        return 1 if held_off else wanted

    def _best(self, level: Level, wanted: Sequence[tuple[PodClass, int]], first: PodClass) -> Option:
        """Pack the classes on each family that can take the first, and return the best packing."""
        able = [family for family in level.families if any(map(self.caps.room, self._hosting(first, (family,))))]
        demand = Demand([Wish(one, count) for one, count in wanted], self.hosts)
        start = Start(self.caps, self.topology, self.purchase.packing, self._turns)
        return choose(able, demand, start, self._policy, self._dimensions)

    def _commit(self, option: Option) -> dict[int, int]:
        self.caps = option.caps
        option.family.nodes.clear()  # in place: parts of the family count them too
        option.family.nodes.update(option.zones)
        planned = option.planned if option.planned.nodes else self.purchase.packing
        for run in option.packing.runs:
            planned.add(run)
        self.purchase.packing = planned
        self.topology.replay(option.deeds)
        return option.placed


def _comers(waiting: Sequence[PodClass], blocked: Sequence[PodClass]) -> Sequence[PodClass]:
    """Who may buy together with the first: room to spare comes after everybody, also after those that are blocked."""
    if not blocked or not waiting[-1].is_virtual:
        return waiting
    return [one for one in waiting if one is waiting[0] or not one.is_virtual]


def _spare_last(classes: list[PodClass]) -> list[PodClass]:
    return sorted(classes, key=lambda one: one.is_virtual) if any(one.is_virtual for one in classes) else classes
