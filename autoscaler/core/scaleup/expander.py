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

from autoscaler.core.model import Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.families import Family, spread_over_zones
from autoscaler.core.scaleup.offers import Caps, Offer
from autoscaler.core.scheduling.classes import Dimensions, PodClass
from autoscaler.core.scheduling.place import Packing, Run

CRITERIA = {"most-pods": 0, "least-nodes": 1, "least-waste": 2}


@dataclass(slots=True)
class Option:
    """One family's answer: its new nodes, the pods placed by class, and what it costs."""

    family: Family
    caps: Caps
    zones: Counter[Zone]
    packing: Packing = field(default_factory=Packing)
    placed: dict[int, int] = field(default_factory=dict)  # by id of the class

    def merit(self, dimensions: Dimensions, policy: Policy) -> tuple[object, ...]:
        """Sort key; the least is the best."""
        zones = {zone for offer in self.family.offers for zone in offer.zones}
        counts = [self.zones[zone] for zone in zones]
        skew = max(counts, default=0) - min(counts, default=0)
        found = [-sum(self.placed.values()), self.packing.nodes, self._waste(dimensions)]
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


def estimate(family: Family, wanted: Sequence[tuple[PodClass, int]], caps: Caps) -> Option:
    """Pack classes, in the order given, on new nodes of one family within the caps."""
    option = Option(family, caps.copy(), Counter(family.nodes))
    for one, count in wanted:
        hosts = [
            (offer, per_node) for offer in family.offers if not offer.objections and (per_node := offer.per_node(one))
        ]
        if not hosts:
            continue
        left = count - option.packing.fill(one, count)
        left -= _open_nodes(option, one, hosts, left)
        if left < count:
            option.placed[id(one)] = count - left
    return option


def _open_nodes(option: Option, one: PodClass, hosts: list[tuple[Offer, int]], count: int) -> int:
    """Open new nodes for pods that found no room; return how many pods they take."""
    per_node = {id(offer): copies for offer, copies in hosts}
    left = count
    while left > 0:
        needed = -(-left // max(per_node.values()))
        chosen = spread_over_zones([offer for offer, _ in hosts], needed, option.zones, option.caps)
        if not chosen:
            break
        for offer, nodes in chosen:
            left -= _put_on_new(option.packing, offer, one, (nodes, per_node[id(offer)], left))
    return count - left


def _put_on_new(packing: Packing, offer: Offer, one: PodClass, amounts: tuple[int, int, int]) -> int:
    nodes, per_node, left = amounts
    full = min(nodes, left // per_node)
    rest = min(left - full * per_node, per_node) if full < nodes else 0
    for count, pods in ((full, per_node), (1 if rest else 0, rest)):
        if count:
            run = Run(offer.offering, offer.view, count, offer.free, ports=offer.ports)
            run.take(one, pods)
            packing.runs.append(run)
    return full * per_node + rest
