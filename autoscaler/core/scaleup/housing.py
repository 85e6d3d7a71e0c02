"""Which pending pods find room on what exists or is on its way, and where.

Room is filled as the scheduler's queue would: by priority, then age, then
name. What was just bought for these pods was packed in another order, though,
the largest first; where the queue's order leaves somebody without a place on
upcoming nodes, that one is tried too, or each pass would buy again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.model import ZONE_LABEL, Pod
from autoscaler.core.scaleup.stock import Stock
from autoscaler.core.scheduling.classes import PodClass, in_queue_order
from autoscaler.core.scheduling.place import Place
from autoscaler.core.scheduling.rules import Rules
from autoscaler.core.scheduling.shelf import PlaceShelf
from autoscaler.core.scheduling.topology import Topology

Housed = dict[str, Place]  # by uid
Queue = Iterable[tuple[PodClass, Sequence[Pod]]]


def fill_stock(stock: Stock, classes: Sequence[PodClass], topology: Topology) -> Housed:
    """Give pods the room that exists, then the upcoming room; `classes` come in buying order."""
    housed: Housed = {}
    _fill(stock.existing, _queue(stock.existing, classes), housed)
    if topology.is_active:
        for place in stock.upcoming:
            topology.join(place.view)
        topology.expect()
    empty = [replace(place) for place in stock.upcoming]
    mark = topology.mark()
    wanting = _queue(stock.upcoming, classes)
    found = dict(housed)
    _fill(stock.upcoming, wanting, found)
    if len(wanting) > 1 and any(pod.uid not in found for _, pods in wanting for pod in pods):
        other = dict(housed)
        deeds = topology.cut(mark)
        _fill_by_size(empty, classes, other)
        if _score(other, classes) > _score(found, classes):
            stock.upcoming, found = empty, other
        else:
            topology.cut(mark)
            topology.replay(deeds)
    return found


def fill_again(stock: Stock, waiting: Queue, housed: Housed) -> None:
    """Give pods with rules the room that there is, now that others have got a place elsewhere."""
    for places in (stock.existing, stock.upcoming):
        _fill(places, waiting, housed)


def _queue(places: Sequence[Place], classes: Sequence[PodClass]) -> list[tuple[PodClass, list[Pod]]]:
    """The pods in queue order, without classes that no place takes."""
    return in_queue_order([one for one in classes if any(place.room_for(one) for place in places)])


@dataclass(slots=True)
class _Bound:
    """Filling with pods that have rules: one that nothing takes now is tried again after others were placed."""

    places: Sequence[Place]
    housed: Housed
    shelves: dict[int, PlaceShelf] = field(default_factory=dict)
    waiting: dict[int, tuple[PodClass, list[Pod]]] = field(default_factory=dict)
    refused_at: dict[int, int] = field(default_factory=dict)  # by class: how many were housed when none more was

    def add(self, one: PodClass, rules: Rules, pods: list[Pod]) -> None:
        """Place pods of a class; those that find no place now wait."""
        if id(one) not in self.shelves:
            self.shelves[id(one)] = PlaceShelf(one, rules, self.places)
        start = 0
        if self.refused_at.get(id(one)) != len(self.housed):
            for place, count in self.shelves[id(one)].put(len(pods)):
                self.housed.update((pod.uid, place) for pod in pods[start : start + count])
                start += count
        if start < len(pods):
            self.refused_at[id(one)] = len(self.housed)
            self.waiting.setdefault(id(one), (one, []))[1].extend(pods[start:])

    def retry(self) -> None:
        """Try those that wait until nobody finds a place any more."""
        before = -1
        while self.waiting and before != len(self.housed):
            before = len(self.housed)
            waiting, self.waiting = self.waiting, {}
            for one, pods in waiting.values():
                if one.rules is not None:
                    self.add(one, one.rules, pods)


def _fill(places: Sequence[Place], queue: Queue, housed: Housed) -> None:
    starts: dict[int, int] = {}  # room only shrinks: never look at a full place again
    bound = _Bound(places, housed)
    for one, run in queue:
        pods = [pod for pod in run if pod.uid not in housed]
        if one.bound is not None:
            bound.add(one, one.bound, pods)
            continue
        position = starts.get(id(one), 0)
        while pods and position < len(places):
            place = places[position]
            count = min(place.room_for(one), len(pods))
            if not count:
                position += 1
                continue
            place.take(one, count)
            housed.update((pod.uid, place) for pod in pods[:count])
            pods = pods[count:]
        starts[id(one)] = position
    bound.retry()


def _fill_by_size(places: Sequence[Place], classes: Sequence[PodClass], housed: Housed) -> None:
    """Fill in buying order; each class takes first what the fewest others can use."""
    kinds = [(place.group, place.view.labels.get(ZONE_LABEL), place.node, place.free, place.ports) for place in places]
    models = dict(zip(kinds, places, strict=True))
    takers = [one for one in classes if any(pod.uid not in housed for pod in one.pods)]
    able = {id(one): {kind for kind, place in models.items() if place.room_for(one)} for one in takers}
    rivals = Counter(kind for mine in able.values() for kind in mine)
    for one in takers:
        mine = [number for number, kind in enumerate(kinds) if kind in able[id(one)]]
        mine.sort(key=lambda number: rivals[kinds[number]])
        _fill([places[number] for number in mine], [(one, one.pods)], housed)
    _fill(places, [(one, one.pods) for one in takers if one.bound is not None], housed)


def _score(housed: Housed, classes: Sequence[PodClass]) -> list[tuple[int, int]]:
    """Pods housed by priority, the highest first: more is better."""
    counts: Counter[int] = Counter()
    for one in classes:
        counts[-one.spec.priority] += sum(pod.uid in housed for pod in one.pods)
    return sorted(counts.items())
