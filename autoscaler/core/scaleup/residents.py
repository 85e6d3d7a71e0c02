"""Which DaemonSets' pods will be on the nodes that are yet to come.

Pods may want to be beside them, or away from them, or count them; so the
topology is told, where any of its tallies counts such a pod.
"""

from __future__ import annotations

from autoscaler.core.scaleup.offers import Market
from autoscaler.core.scaleup.stock import Shelves, Stock
from autoscaler.core.scheduling.topology import Topology


def settle_residents(topology: Topology, shelves: Shelves, stock: Stock, market: Market) -> None:
    """Tell the topology of the DaemonSets on upcoming nodes and on those that can be bought."""
    if not topology.counts_daemonsets:
        return
    landing_on = shelves.overheads.landing_on
    for offer in market.offers:
        topology.settle(offer.view, landing_on(offer.view, offer.template.allocatable))
    for place in stock.upcoming:
        template = shelves.templates.get(place.group) if place.group is not None else None
        if template is not None:
            running = shelves.running_on(place.node) if place.node is not None else frozenset()
            topology.settle(place.view, landing_on(place.view, template.allocatable, running))
