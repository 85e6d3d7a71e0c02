"""Make before break: the return to spot, and the replacement of a bad node.

The pods of an on-demand node go to spot nodes of strictly higher tiers, and to
no others; those of a bad node anywhere. If nodes that exist have the room, the
node may be drained; if those that are on their way have it, it waits; else the
missing ones are bought, and it waits. A tier that is dry buys nothing: then
there is no attempt, and the reasons of the offerings are the node's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from autoscaler.core.decision import Cause, Objection, Why
from autoscaler.core.model import GroupName, Market, NodeName, Offering, Pod, Zone
from autoscaler.core.scaledown.cases import Case
from autoscaler.core.scaledown.stage import Stage
from autoscaler.core.scaledown.yard import Load, Row
from autoscaler.core.scaleup.buy import Buyer, Purchase
from autoscaler.core.scaleup.offers import Caps, Offer
from autoscaler.core.scaleup.waves import Order
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.place import Place
from autoscaler.core.snapshot import Snapshot


class Step(StrEnum):
    """How far a return can get in this pass."""

    DRAIN = "drain"
    WAIT = "wait"
    NONE = "none"


@dataclass(slots=True)
class Attempt:
    """What came of trying one node; `reasons` where nothing did."""

    step: Step
    reasons: tuple[Objection, ...] = ()


def sources(snapshot: Snapshot, tiers: Mapping[GroupName, int | None]) -> dict[GroupName, Market]:
    """The groups below a spot group whose nodes could return: on-demand ones, and those of an unknown market."""
    spot = [tiers[one.name] for one in snapshot.groups if one.market is Market.SPOT]
    top = max((tier for tier in spot if tier is not None), default=None)
    return {
        one.name: one.market
        for one in snapshot.groups
        if one.market in (Market.ON_DEMAND, Market.UNKNOWN)
        and (tier := tiers[one.name]) is not None
        and top is not None
        and tier < top
    }


@dataclass(slots=True)
class Exchange:
    """Buys replacements in one pass. `may_buy` is off once AWS has refused in it: a refusal ends the attempt."""

    snapshot: Snapshot
    stage: Stage
    caps: Caps
    may_buy: bool
    orders: dict[tuple[Offering, Cause], Order] = field(default_factory=dict)
    _zones: dict[str, Counter[Zone]] = field(default_factory=dict)  # by family, with what was bought
    _planned: list[Place] = field(default_factory=list)

    def can_host(self, case: Case) -> bool:
        """Whether an empty node of a higher spot tier, dry or not, takes each of the node's pods."""
        tier = self.stage.tiers[case.group.name]
        if tier is None:
            return False
        load = self.stage.load(case, with_air=False) or self._spare(case)
        offers = self._offers(tier)
        home = case.group.name
        return bool(offers and load) and all(
            any(
                (one.menu is None or one.menu.prefers(offer.group.name, home)) and offer.per_node(one)
                for offer in offers
            )
            for one, _ in load
        )

    def unwilling(self, case: Case) -> str:
        """Tell which pod of the node would not rather be on any of these spot groups, and by whose wish; or nothing."""
        tier = self.stage.tiers[case.group.name]
        groups = self.stage.target_groups(tier) if tier is not None else ()
        for one, _ in self.stage.load(case, with_air=False) or self._spare(case):
            menu = one.menu
            if menu is not None and not any(menu.prefers(group, case.group.name) for group in groups):
                pod = next(pod for pod in one.pods if pod.node == case.name)
                return f"{pod.key}: {menu.told}"
        return ""

    def places_now(self, case: Case) -> set[NodeName]:
        """Place the pods on spot nodes that exist, as far as they go; the caller begins and ends the trial."""
        yard = self.stage.yard
        before = yard.steps
        yard.put(self._lifted(case, with_spare=True), self.stage.target_row(self._above(case), upcoming=False))
        return yard.touched(before)

    def attempt(self, case: Case, cause: Cause) -> Attempt:
        """Find places for the pods; what is found is kept, for a drain as for waiting.

        `cause` RETURN_TO_SPOT looks at spot nodes of higher tiers only, any other at all nodes.
        """
        yard, stage = self.stage.yard, self.stage
        above = self._above(case) if cause is Cause.RETURN_TO_SPOT else None
        yard.closed.add(case.name)
        yard.begin()
        left = yard.put(self._lifted(case, with_spare=above is not None), stage.target_row(above, upcoming=False))
        step = Step.WAIT if left else Step.DRAIN
        if left:
            left = yard.put(left, stage.target_row(above, upcoming=True))
        if left:
            left = self._put_on_planned(left, above)
        reasons = self._buy(case, left, above, cause) if left else ()
        if reasons:
            yard.undo()
            yard.closed.discard(case.name)
            return Attempt(Step.NONE, reasons)
        yard.commit()
        return Attempt(step)

    def _above(self, case: Case) -> int:
        tier = self.stage.tiers[case.group.name]
        assert tier is not None
        return tier

    def _lifted(self, case: Case, *, with_spare: bool) -> Load:
        """The pods of a node, taken off it; its spare room comes along, else it would be bought again where it is."""
        load = self.stage.load(case, with_air=False)
        load = [*load, *self._spare(case)] if with_spare else load
        node = case.node
        self.stage.yard.lift(NodeView(node.labels, node.taints, node.name), load)
        return load

    def _spare(self, case: Case) -> Load:
        """The room on the node that is kept spare."""
        return [(one, count) for one, count in self.stage.air.get(case.name, ()) if one.is_virtual]

    def _put_on_planned(self, load: Load, above: int | None) -> Load:
        """Room that is left on replacements bought in this pass for other nodes."""
        groups = self.stage.target_groups(above)
        return self.stage.yard.put(load, Row([place for place in self._planned if place.group in groups]))

    def _offers(self, above: int | None) -> list[Offer]:
        groups = self.stage.target_groups(above)
        return [offer for offer in self.stage.market.offers if offer.group.name in groups]

    def _buy(self, case: Case, load: Load, above: int | None, cause: Cause) -> tuple[Objection, ...]:
        """Order what is missing; return why not. A probe may order less: its answer decides about the rest."""
        offers = self._offers(above)
        if above is not None:  # nobody is moved to what it likes no better
            menus = [one.menu for one, _ in load if one.menu is not None]
            offers = [one for one in offers if all(menu.prefers(one.group.name, case.group.name) for menu in menus)]
        if not self.may_buy:
            return (Objection(Why.IN_BACKOFF, "AWS has refused in this pass"),)
        market = replace(self.stage.market, offers=tuple(offers), caps=self.caps)
        buyer = Buyer(market, self.stage.dimensions, self.snapshot.policy, self.stage.topology)
        for family in buyer.families:
            family.nodes = Counter(self._zones.get(family.name, family.nodes))
        purchase = buyer.buy(load)
        if set(purchase.left) - purchase.held or not purchase.packing.nodes:
            return tuple(dict.fromkeys(self._against(load, offers, buyer.caps))) or (
                Objection(Why.NO_PLACE_TO_MOVE_PODS, "no new node takes them all"),
            )
        self.caps = buyer.caps
        self._zones.update({family.name: family.nodes for family in buyer.families})
        self._order(case, load, purchase, cause)
        return ()

    def _against(self, load: Load, offers: Iterable[Offer], caps: Caps) -> Iterator[Objection]:
        for offer in offers:
            if any(offer.per_node(one) for one, _ in load):
                yield from offer.objections
                yield from caps.objections(offer)

    def _order(self, case: Case, load: Load, purchase: Purchase, cause: Cause) -> None:
        """Sum the new nodes up by offering, with the pods that lie on them."""
        queues: dict[int, list[Pod]] = {id(one): [pod for pod in one.pods if pod.node == case.name] for one, _ in load}
        for one, count in load:
            queues[id(one)] = queues[id(one)][-count:]  # the first ones found room that exists or is on its way
        for run in purchase.packing.runs:
            pods: list[Pod] = []
            for one, per_node in run.contents:
                wanted = per_node * run.nodes
                pods += queues[id(one)][:wanted] if not one.is_virtual else ()
                del queues[id(one)][:wanted]
            offer, known = purchase.offers[run.offering], self.orders.get((run.offering, cause))
            self.orders[run.offering, cause] = Order(
                offer=offer,
                nodes=run.nodes + (known.nodes if known is not None else 0),
                surplus=0,
                pods=(*(known.pods if known is not None else ()), *pods),
            )
            if not self.stage.topology.is_active:  # else each buys for itself: the nodes have no name to count by
                self._planned += [
                    Place(run.view, run.free, run.ports, group=offer.group.name, is_upcoming=True)
                    for _ in range(run.nodes)
                ]
