"""Which family of a tier is the best for the pods at hand.

Each candidate is packed from empty nodes with every pod that would buy in
this tier, in buying order, and the results are compared: most pods placed,
fewest nodes, least waste, zone skew, name. `--expander` names move their
criterion to the front; `priority` itself is the tiers, which come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.model import Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.families import Family, spread_over_zones
from autoscaler.core.scaleup.offers import Caps, Offer
from autoscaler.core.scheduling.classes import Dimensions, PodClass
from autoscaler.core.scheduling.place import Packing, Run

Hosts = Sequence[tuple[Offer, int]]  # offers that take pods of a class, and how many an empty node takes

CRITERIA = {"most-pods": 0, "least-nodes": 1, "least-waste": 2}


class Wish(NamedTuple):
    """Pods of one class that want new nodes, and the family's offers that take them."""

    one: PodClass
    pods: int
    hosts: Hosts


@dataclass(slots=True)
class Option:
    """One family's answer: its new nodes, the pods placed by class, and what it costs."""

    family: Family
    caps: Caps
    zones: Counter[Zone]
    packing: Packing = field(default_factory=Packing)
    nodes: int = 0  # new ones
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


def choose(families: Sequence[tuple[Family, Sequence[Wish]]], caps: Caps, policy: Policy,
           dimensions: Dimensions) -> Option:  # fmt: skip
    """Pack the wishes on each family, and return the best packing.

    Families of large nodes come first: once all pods have a place, whoever
    needs more nodes has lost, and most of the small ones are soon out.
    """
    best: Option | None = None
    is_bounded = not any(name in CRITERIA for name in policy.expanders)
    by_size = sorted(families, key=lambda one: -one[0].offers[0].template.allocatable["cpu"])
    for family, wishes in by_size:
        is_full = best is not None and sum(best.placed.values()) == sum(wish.pods for wish in wishes)
        option = estimate(family, wishes, caps, best.nodes if best is not None and is_full and is_bounded else None)
        if best is None or (
            option is not None and option.merit(dimensions, policy) < best.merit(dimensions, policy)
        ):
            best = option
    if best is None:
        raise ValueError("no family to choose from")
    return best


def estimate(family: Family, wishes: Iterable[Wish], caps: Caps, most: int | None = None) -> Option | None:
    """Pack classes, in the order given, on new nodes of one family within the caps.

    None when it takes more than `most` nodes.
    """
    option = Option(family, caps.copy(), Counter(family.nodes))
    for one, count, hosts in wishes:
        if not hosts:
            continue
        left = count - option.packing.fill(one, count)
        left -= _open_nodes(option, one, hosts, left)
        if left < count:
            option.placed[id(one)] = count - left
        if most is not None and option.nodes > most:
            return None
    return option


def _open_nodes(option: Option, one: PodClass, hosts: Hosts, count: int) -> int:
    """Open new nodes for pods that found no room; return how many pods they take."""
    per_node = {id(offer): copies for offer, copies in hosts}
    left = count
    while left > 0:
        needed = -(-left // max(per_node.values()))
        chosen = spread_over_zones([offer for offer, _ in hosts], needed, option.zones, option.caps)
        if not chosen:
            break
        opened = len(option.packing.runs)
        for offer, nodes in chosen:
            left -= _put_on_new(option.packing, offer, one, (nodes, per_node[id(offer)], left))
        option.nodes += sum(run.nodes for run in option.packing.runs[opened:])
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
