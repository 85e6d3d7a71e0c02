"""New nodes for the pods that found no room: DESIGN 5.4, tier by tier.

Room on nodes already planned comes first, whatever their tier; then the
highest tier that can host the pod. A tier whose pool is being probed is
waited for: its answer comes within this pass, and the tier below costs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoscaler.core.model import Offering
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.expander import Hosts, Option, Wish, choose
from autoscaler.core.scaleup.families import Family, build_families
from autoscaler.core.scaleup.offers import Caps, Market, Offer
from autoscaler.core.scheduling.classes import Dimensions, PodClass
from autoscaler.core.scheduling.place import Packing


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

    def __init__(self, market: Market, dimensions: Dimensions, policy: Policy) -> None:
        self.families: list[Family] = build_families(market.offers, policy)
        self.caps: Caps = market.caps.copy()
        self._dimensions = dimensions
        self._policy = policy
        self._tiers = sorted({family.tier for family in self.families}, reverse=True)
        self._by_tier = {tier: [one for one in self.families if one.tier == tier] for tier in self._tiers}
        self._hosts: dict[tuple[int, int], Hosts] = {}
        self.purchase = Purchase(offers={offer.offering: offer for offer in market.offers})

    def buy(self, classes: Sequence[tuple[PodClass, int]]) -> Purchase:
        """Find new nodes for `classes`, which come in buying order with the pods wanted of each."""
        left = {id(one): count for one, count in classes}
        waiting = [one for one, _ in classes]
        while waiting:
            one = waiting[0]
            tier = self._tier_for(one) if left[id(one)] else None
            if tier is None:
                waiting.pop(0)
                continue
            wanted = [
                (other, left[id(other)])
                for other in waiting
                if left[id(other)] and (other is one or self._tier_for(other) == tier)
            ]
            for number, placed in self._commit(self._best(tier, wanted, one)).items():
                left[number] -= placed
            for other in waiting:  # room on nodes already planned comes first, whatever their tier
                left[id(other)] -= self.purchase.packing.fill(other, left[id(other)])
        self.purchase.left = {number: count for number, count in left.items() if count}
        return self.purchase

    def hosts(self, family: Family, one: PodClass) -> Hosts:
        """The family's offers whose empty node takes pods of the class, and how many; caps aside."""
        key = (id(family), id(one))
        found = self._hosts.get(key)
        if found is None:
            open_now = (offer for offer in family.offers if not offer.objections)
            found = self._hosts[key] = tuple((o, per_node) for o in open_now if (per_node := o.per_node(one)))
        return found

    def _tier_for(self, one: PodClass) -> int | None:
        """The highest tier with room for the class; None when there is none, or a probe decides first."""
        for tier in self._tiers:
            hosting = [offer for family in self._by_tier[tier] for offer, _ in self.hosts(family, one)]
            if any(map(self.caps.room, hosting)):
                return tier
            if any(self.caps.is_probing(offer) for offer in hosting):
                self.purchase.held.add(id(one))
                return None
        return None

    def _best(self, tier: int, wanted: Sequence[tuple[PodClass, int]], first: PodClass) -> Option:
        """Pack the classes on each family that can take the first, and return the best packing."""
        able = [
            (family, [Wish(one, count, self.hosts(family, one)) for one, count in wanted])
            for family in self._by_tier[tier]
            if any(self.caps.room(offer) for offer, _ in self.hosts(family, first))
        ]
        return choose(able, self.caps, self._policy, self._dimensions)

    def _commit(self, option: Option) -> dict[int, int]:
        self.caps = option.caps
        option.family.nodes = option.zones
        self.purchase.packing.runs.extend(option.packing.runs)
        return option.placed
