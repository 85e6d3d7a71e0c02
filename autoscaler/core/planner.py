"""Snapshot to Decision: the only entry to the core.

A pass asks, in this order: which pods need a place, what room is there
already, what must be bought and where, and what is to be told of the rest.
Equal snapshots, in any order, give equal decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autoscaler.core.decision import Cause, Decision, Launch, Removal, Verdict
from autoscaler.core.headroom import cause_of
from autoscaler.core.layout import Layout, lay_out
from autoscaler.core.model import Offering, Pod, PodKey, keys_of
from autoscaler.core.scaledown.removal import Removals, choose_removals
from autoscaler.core.scaleup.judge import Judge
from autoscaler.core.scaleup.offers import Offer
from autoscaler.core.scaleup.stock import Stock
from autoscaler.core.scaleup.waves import Order, note_asked, to_launch, widen
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.spare import tell_spare
from autoscaler.core.unmet import tell_unmet


def plan(snapshot: Snapshot) -> Decision:
    """Decide what one pass, or the next wave of it, wants done."""
    layout = lay_out(snapshot)
    buyer, housed, stock = layout.buyer, layout.housed, layout.stock
    verdicts: dict[PodKey, Verdict] = dict(layout.candidates.verdicts)
    surplus = widen(buyer, snapshot.wave.width, snapshot.policy.max_launch_surplus)
    bought, orders = assign(layout, surplus)
    orders, put_off = admit(orders, snapshot)
    for order in put_off:
        for pod in order.pods:
            del bought[pod.uid]
    moments = (layout.candidates.delay_ends, stock.deadline, layout.menus.soonest, layout.virtual.next_at)
    judge = Judge(layout.market, buyer)
    keys: dict[str, PodKey] = {}  # by uid; made once, as many new tuples wake the garbage collector
    real = [one for one in layout.classes if not one.is_virtual]
    for one in real:
        made = keys_of(one.pods)
        keys.update(zip([pod.uid for pod in one.pods], made, strict=True))
        verdicts.update(zip(made, judge.verdicts(one, housed, bought), strict=True))
    verdicts.update(tell_unmet(layout, verdicts))
    spare = tell_spare(layout, judge)
    launches = tuple(to_launch(order, snapshot, keys) for order in orders)
    leaving = choose_removals(layout, verdicts)
    launches += replacements(leaving, note_asked(snapshot, launches))
    removals = [] if snapshot.breakers or cannot_tell_nodes(snapshot) else list(stock.overdue)
    if not launches:
        removals += surplus_of(snapshot, stock)
    return Decision(
        at=snapshot.at,
        launches=launches,
        verdicts=verdicts,
        removals=tuple(sorted(removals, key=lambda one: (one.group, one.instance))),
        undecided=any(id(one) in buyer.purchase.held for one in real) or any(order.pods for order in put_off),
        next_at=min((moment for moment in (*moments, leaving.next_at) if moment is not None), default=None),
        drains=leaving.drains,
        kept=leaving.kept,
        shunned=leaving.shunned,
        spare=spare,
        scale_down=leaving.memory,
    )


def cannot_tell_nodes(snapshot: Snapshot) -> bool:
    """Whether an instance may have a Node that we do not recognise as its own.

    A Node that cannot be read, or has no providerID yet, would let its
    instance pass for one that never became a Node.
    """
    return snapshot.unreadable_nodes > 0 or any(not node.provider_id for node in snapshot.nodes)


def replacements(leaving: Removals, snapshot: Snapshot) -> tuple[Launch, ...]:
    """The launches for nodes that are to go, as far as the probing budget allows."""
    causes = {id(order): cause for order, cause in leaving.orders}
    orders, _ = admit([order for order, _ in leaving.orders], snapshot)
    keys: dict[str, PodKey] = {pod.uid: pod.key for order in orders for pod in order.pods}
    return tuple(replace(to_launch(order, snapshot, keys), cause=causes[id(order)]) for order in orders)


def assign(layout: Layout, surplus: Mapping[Offering, int]) -> tuple[dict[str, Offer], list[Order]]:
    """Tell which pod goes to which offering, and sum the orders up by offering and cause."""
    offers = layout.purchase.offers
    keys = [(offering, Cause.PENDING) for offering in surplus]
    nodes = dict.fromkeys(keys, 0)
    pods_of: dict[tuple[Offering, Cause], list[Pod]] = {key: [] for key in keys}
    bought: dict[str, Offer] = {}
    for run, contents in layout.runs():
        cause = cause_of(one.pods[0] for one, _ in run.contents)
        key = run.offering, cause
        nodes[key] = nodes.get(key, 0) + run.nodes
        members = pods_of.setdefault(key, [])
        for (one, _), taken in zip(run.contents, contents, strict=True):
            if not one.is_virtual:
                members += taken
                bought.update(dict.fromkeys([pod.uid for pod in taken], offers[run.offering]))
    orders = [
        Order(
            offer=offers[offering],
            nodes=count + (surplus.get(offering, 0) if cause is Cause.PENDING else 0),
            surplus=surplus.get(offering, 0) if cause is Cause.PENDING else 0,
            pods=tuple(pods_of[offering, cause]),
            cause=cause,
        )
        for (offering, cause), count in nodes.items()
    ]
    return bought, sorted(orders, key=_rank)


def _rank(order: Order) -> tuple[object, ...]:
    offer = order.offer
    return -offer.tier, offer.offering.group, offer.offering.zone or "", list(Cause).index(order.cause)


def admit(orders: Sequence[Order], snapshot: Snapshot) -> tuple[list[Order], list[Order]]:
    """Split the orders of a wave into those that the probing budget allows and those put off to the next wave."""
    memory = snapshot.memory
    admitted: list[Order] = []
    put_off: list[Order] = []
    for order in orders:
        group, zone = order.offer.group, order.offer.offering.zone
        if order.offer.limit is not None:
            if memory.availability(group, zone, snapshot.at).objections:
                put_off.append(order)
                continue
            memory = memory.with_asked(group, zone, snapshot.at)
        admitted.append(order)
    return admitted, put_off


def surplus_of(snapshot: Snapshot, stock: Stock) -> list[Removal]:
    """Instances of this pass that no pending pod needs."""
    return [
        Removal(group=place.group, instance=place.instance, decrement=True, reason="Surplus")
        for place in stock.upcoming
        if place.group is not None
        and place.instance is not None
        and place.instance in snapshot.wave.launched
        and not place.is_used
    ]
