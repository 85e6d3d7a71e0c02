"""What the pods that buy in a tier want together, and so the least that any family needs for them.

Nothing is packed here: sums over classes that ask the same of an empty node
tell for hundreds of families which could turn out best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import le
from typing import NamedTuple

from autoscaler.core.scaleup.families import Family
from autoscaler.core.scaleup.offers import Offer
from autoscaler.core.scaleup.openings import Hosts
from autoscaler.core.scheduling.classes import Dimensions, PodClass, Vector
from autoscaler.core.scheduling.tally import Tally

HostsOf = Callable[[Family, PodClass], Hosts]


class Wish(NamedTuple):
    """Pods of one class that want new nodes."""

    one: PodClass
    pods: int


class Demand:
    """All wishes of a tier together: what bounds every family from below."""

    def __init__(self, wishes: Sequence[Wish], hosts: HostsOf) -> None:
        self.wishes = wishes
        self.hosts = hosts
        self.pods = sum(wish.pods for wish in wishes)
        self.is_bound = any(wish.one.bound is not None for wish in wishes)
        # Classes that ask the same of an empty node have the same hosts.
        found: dict[int, list[Wish]] = {}
        for wish in wishes:
            found.setdefault(id(wish.one.fitting), []).append(wish)
        self._parts = [_sum_up(part) for part in found.values()]
        self._all = _join(self._parts)
        eager = sorted(wishes, key=lambda wish: (-wish.one.spec.priority, wish.one.freedom))
        self.orders = [wishes] if eager == wishes else [eager, wishes]
        self._largest: Vector = tuple(map(max, zip(*[part.one.alone for part in self._parts], strict=True)))
        self._welcome: dict[tuple[object, ...], bool] = {}

    def hosted(self, family: Family) -> _Part:
        """What the family can host of it, one pod a node or more."""
        if self._takes_all(family.open):
            return self._all
        return _join([part for part in self._parts if self.hosts(family, part.one)])

    def _takes_all(self, offers: Sequence[Offer]) -> bool:
        """Whether each of the offers surely hosts every class; most families of large nodes do."""
        if not all(all(map(le, self._largest, offer.free)) for offer in offers):
            return False
        kinds = tuple([(id(offer.view), offer.ports) for offer in offers])
        found = self._welcome.get(kinds)
        if found is None:
            found = self._welcome[kinds] = all(offer.per_node(part.one) for part in self._parts for offer in offers)
        return found

    def bound(self, family: Family, planned: int, dimensions: Dimensions) -> list[float]:
        """What no packing on the family can beat: pods placed (negative), nodes, waste.

        Nodes: the sum of the requests over an empty node, and as many as there
        are pods that must not be on a node together. Where pods may also go to
        nodes `planned` before, nothing but the pods is bounded.
        """
        part = self.hosted(family)
        if self.is_bound and planned:
            return [-part.pods, 0, 0.0]
        empty = [max(amounts) for amounts in zip(*(offer.free for offer in family.offers), strict=True)]
        totals = zip(part.total, empty, strict=True)
        nodes = max((-(-want // have) for want, have in totals if want and have > 0), default=0)
        nodes = max(nodes, max(part.lonely.values(), default=0))
        waste = 0.0
        for name in ("cpu", "memory"):
            position = dimensions.names.index(name)
            sizes = [(offer.free[position], offer.template.allocatable[name]) for offer in family.offers]
            if nodes and all(size for _, size in sizes):
                unused = min(free / size for free, size in sizes)
                waste += unused - part.total[position] / (nodes * min(size for _, size in sizes))
        return [-part.pods, nodes, waste - 1e-6]


@dataclass(slots=True)
class _Part:
    """Wishes summed up: `lonely` counts the pods of which a node holds one at most, by the tally that says so."""

    one: PodClass
    pods: int
    total: Vector
    lonely: Counter[Tally]


def _sum_up(wishes: Sequence[Wish]) -> _Part:
    one, pods = wishes[0].one, sum(wish.pods for wish in wishes)
    lonely: Counter[Tally] = Counter()
    for wish in wishes:
        if wish.one.rules is not None and wish.one.rules.lonely:
            lonely.update(dict.fromkeys(wish.one.rules.lonely, wish.pods))
    return _Part(one, pods, tuple([amount * pods for amount in one.request]), lonely)


def _join(parts: Sequence[_Part]) -> _Part:
    lonely: Counter[Tally] = Counter()
    for part in parts:
        if part.lonely:
            lonely.update(part.lonely)
    total = tuple(map(sum, zip(*[part.total for part in parts], strict=True)))
    return _Part(parts[0].one, sum(part.pods for part in parts), total, lonely)
