"""Snapshot to Decision: the only entry to the core.

A pass asks, in this order: which pods need a place, what room is there
already, what must be bought and where, and what is to be told of the rest.
Equal snapshots, in any order, give equal decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from autoscaler.core.decision import Decision, Removal, Verdict
from autoscaler.core.index import Index
from autoscaler.core.model import GroupName, Offering, Pod, PodKey, keys_of
from autoscaler.core.scaleup.buy import Buyer, Purchase
from autoscaler.core.scaleup.candidates import choose_candidates
from autoscaler.core.scaleup.housing import Housed, fill_stock
from autoscaler.core.scaleup.judge import Judge
from autoscaler.core.scaleup.offers import Market, Offer, open_market, tiers_of
from autoscaler.core.scaleup.residents import settle_residents
from autoscaler.core.scaleup.stock import Shelves, Stock, take_stock
from autoscaler.core.scaleup.template import Overheads, build_templates
from autoscaler.core.scaleup.waves import Order, to_launch, widen
from autoscaler.core.scheduling.classes import PodClass, classify, in_buying_order
from autoscaler.core.scheduling.topology import build_topology
from autoscaler.core.snapshot import Snapshot


def plan(snapshot: Snapshot) -> Decision:
    """Decide what one pass, or the next wave of it, wants done."""
    index = Index(snapshot)
    candidates = choose_candidates(snapshot, index.census.pending)
    classes, dimensions = classify(candidates.pods)
    templates = build_templates(index, snapshot.policy)
    overheads = Overheads(snapshot.daemonsets, snapshot.policy)
    tiers = tiers_of(snapshot)

    def rank(group: GroupName) -> tuple[int, str]:
        return -(tiers[group] or 0), group

    shelves = Shelves(
        snapshot=snapshot, index=index, templates=templates, overheads=overheads, dimensions=dimensions, rank=rank
    )
    stock = take_stock(shelves)
    verdicts: dict[PodKey, Verdict] = dict(candidates.verdicts)
    market = open_market(snapshot, index, templates, stock, dimensions)
    ordered = _ordered(classes, market)
    topology = build_topology(snapshot, index, classes)
    settle_residents(topology, shelves, stock, market)
    housed = fill_stock(stock, ordered, topology)
    buyer = Buyer(market, dimensions, snapshot.policy, topology)
    wanted = [(one, pods) for one in ordered if (pods := homeless(one, housed))]
    purchase = buyer.buy([(one, len(pods)) for one, pods in wanted])
    surplus = widen(buyer, snapshot.wave.width, snapshot.policy.max_launch_surplus)
    bought, orders = assign(purchase, wanted, surplus)
    orders, put_off = admit(orders, snapshot)
    for order in put_off:
        for pod in order.pods:
            del bought[pod.uid]
    judge = Judge(market, buyer)
    keys: dict[str, PodKey] = {}  # by uid; made once, as many new tuples wake the garbage collector
    for one in classes:
        made = keys_of(one.pods)
        keys.update(zip([pod.uid for pod in one.pods], made, strict=True))
        verdicts.update(zip(made, judge.verdicts(one, housed, bought), strict=True))
    launches = tuple(to_launch(order, snapshot, keys) for order in orders)
    removals = [] if snapshot.unreadable_nodes else list(stock.overdue)
    if not launches:
        removals += surplus_of(snapshot, stock)
    return Decision(
        at=snapshot.at,
        launches=launches,
        verdicts=verdicts,
        removals=tuple(sorted(removals, key=lambda one: (one.group, one.instance))),
        undecided=bool(purchase.held or put_off),
        next_at=min((moment for moment in (candidates.delay_ends, stock.deadline) if moment is not None), default=None),
    )


def homeless(one: PodClass, housed: Housed) -> list[Pod]:
    return [pod for pod in one.pods if pod.uid not in housed] if housed else one.pods


def _ordered(classes: Sequence[PodClass], market: Market) -> list[PodClass]:
    size = len(classes[0].request) if classes else 0
    largest = tuple(max((offer.free[position] for offer in market.offers), default=0) for position in range(size))
    return in_buying_order(classes, largest)


def assign(purchase: Purchase, wanted: Sequence[tuple[PodClass, list[Pod]]],
           surplus: Mapping[Offering, int]) -> tuple[dict[str, Offer], list[Order]]:  # fmt: skip
    """Tell which pod goes to which offering, and sum the orders up by offering."""
    queues = {id(one): iter(pods) for one, pods in wanted}
    nodes: dict[Offering, int] = dict.fromkeys(surplus, 0)
    pods_of: dict[Offering, list[Pod]] = {offering: [] for offering in surplus}
    bought: dict[str, Offer] = {}
    for run in purchase.packing.runs:
        nodes[run.offering] = nodes.get(run.offering, 0) + run.nodes
        members = pods_of.setdefault(run.offering, [])
        for one, per_node in run.contents:
            taken = list(islice(queues[id(one)], per_node * run.nodes))
            members += taken
            bought.update(dict.fromkeys([pod.uid for pod in taken], purchase.offers[run.offering]))
    orders = [
        Order(
            offer=purchase.offers[offering],
            nodes=count + surplus.get(offering, 0),
            surplus=surplus.get(offering, 0),
            pods=tuple(pods_of[offering]),
        )
        for offering, count in nodes.items()
    ]
    return bought, sorted(orders, key=lambda o: (-o.offer.tier, o.offer.offering.group, o.offer.offering.zone or ""))


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
