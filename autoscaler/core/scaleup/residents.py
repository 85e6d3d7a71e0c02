"""Which DaemonSets' pods will be on the nodes that are yet to come.

Pods may want to be beside them, or away from them, or count them; so the
topology is told, where any of its tallies counts such a pod. Those that the
pods of a zone keep off its nodes for good leave their room to others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from autoscaler.core.scaleup.offers import Market, Offer
from autoscaler.core.scaleup.stock import Shelves, Stock
from autoscaler.core.scheduling.place import plus
from autoscaler.core.scheduling.topology import Topology
from autoscaler.core.snapshot import DaemonSet


def settle_residents(topology: Topology, shelves: Shelves, stock: Stock, market: Market) -> Market:
    """Tell the topology of the DaemonSets on upcoming nodes and on those that can be bought.

    Returns the market without those that are repelled; the stock is changed.
    """
    if not topology.counts_daemonsets:
        return market
    landing_on = shelves.overheads.landing_on
    offers: list[Offer] = []
    for offer in market.offers:
        landing = list(landing_on(offer.view, offer.template.allocatable))
        topology.settle(offer.view, landing)
        away = _repelled(topology, offer, landing)
        offers.append(_with_room_of(offer, away, shelves) if away else offer)
    for place in stock.upcoming:
        template = shelves.templates.get(place.group) if place.group is not None else None
        if template is not None:
            running = shelves.running_on(place.node) if place.node is not None else frozenset()
            landing = list(landing_on(place.view, template.allocatable, running))
            topology.settle(place.view, landing)
            away = [one for one in landing if one.uid in topology.repelled(place.view)]
            for one in away:
                place.free = plus(place.free, shelves.vector(one.spec.requests))
                place.ports -= frozenset(one.spec.host_ports)
    return replace(market, offers=tuple(offers))


def _repelled(topology: Topology, offer: Offer, landing: Iterable[DaemonSet]) -> list[DaemonSet]:
    repelled = topology.repelled(offer.view)
    return [one for one in landing if one.uid in repelled]


def _with_room_of(offer: Offer, away: Iterable[DaemonSet], shelves: Shelves) -> Offer:
    free, empty, ports = offer.free, offer.empty, offer.ports
    for one in away:
        free = plus(free, shelves.vector(one.spec.requests))
        empty = empty + one.spec.requests
        ports -= frozenset(one.spec.host_ports)
    return replace(offer, free=free, empty=empty, ports=ports)
