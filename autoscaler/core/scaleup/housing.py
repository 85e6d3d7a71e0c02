"""Which pending pods find room on what exists or is on its way, and where.

Room is filled as the scheduler's queue would: by priority, then age, then
name. What was just bought for these pods was packed in another order, though;
where the queue's order leaves somebody without a place on upcoming nodes,
other ways are tried too, or each pass would buy again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.model import ZONE_LABEL, Pod
from autoscaler.core.scaleup.stock import Stock
from autoscaler.core.scheduling.aisles import Aisle, Questions, in_aisles
from autoscaler.core.scheduling.classes import PodClass, in_queue_order
from autoscaler.core.scheduling.place import Place, room_beside
from autoscaler.core.scheduling.rules import Rules
from autoscaler.core.scheduling.shelf import PlaceShelf
from autoscaler.core.scheduling.tally import Deed
from autoscaler.core.scheduling.topology import Topology

Housed = dict[str, Place]  # by uid
Queue = Iterable[tuple[PodClass, Sequence[Pod]]]


class Hall:
    """Places in aisles, and who may go where."""

    def __init__(self, aisles: Sequence[Aisle[Place]]) -> None:
        self._aisles = aisles

    @classmethod
    def of(cls, places: Iterable[Place], questions: Questions) -> Hall:
        return cls(in_aisles(places, questions))

    def aisles(self, one: PodClass) -> Sequence[Aisle[Place]]:
        """The aisles as the class sees them: to one that asks for hosts by name, each place may be different."""
        if not one.fitting.asks_host:
            return self._aisles
        found: dict[object, list[Place]] = {}
        for aisle in self._aisles:
            for place in aisle.with_room(one.request):
                if not one.fitting.objections(place.view):
                    domains = one.bound.domains_of(place.view) if one.bound is not None else ()
                    found.setdefault(domains, []).append(place)
        return [Aisle(places[0].view, places) for places in found.values()]

    def able(self, one: PodClass) -> Iterator[Place]:
        """Yield the places that have room for pods of the class when they are looked at, rules and ports aside."""
        if one.refusals:
            return
        for aisle in self.aisles(one):
            if one.fitting.objections(aisle.view):
                continue
            for block in aisle.blocks:
                if block.may_take(one.request):
                    is_empty = True
                    for place in block.with_room(one.request):
                        is_empty = False
                        yield place
                    if is_empty:
                        block.is_stale = True
                        block.measure()

    def has_room(self, one: PodClass) -> bool:
        return any(room_beside(place, one) for place in self.able(one))


class Housing:
    """The rooms of a pass and who was given a place in them: `housed` by uid."""

    def __init__(self, stock: Stock, topology: Topology, questions: Questions) -> None:
        self.housed: Housed = {}
        self._stock = stock
        self._topology = topology
        self._questions = questions
        self._halls: list[Hall] = []  # existing, upcoming
        for place in (*stock.existing, *stock.upcoming):
            if min(place.free) < 0:  # more is on it than it has; who asks for nothing of that may be there all the same
                place.free = tuple([max(have, 0) for have in place.free])

    def fill(self, classes: Sequence[PodClass]) -> None:
        """Give pods the room that exists, then the upcoming room; `classes` come in buying order."""
        stock, topology = self._stock, self._topology
        existing = Hall.of(stock.existing, self._questions)
        _fill(existing, _queue(existing, classes), self.housed)
        if topology.is_active:
            for place in stock.upcoming:
                topology.join(place.view)
            topology.expect()
        self._halls = [existing, self._fill_upcoming(classes)]

    def _fill_upcoming(self, classes: Sequence[PodClass]) -> Hall:
        """Try one way after the other until all have a place, and keep the one that houses most."""
        stock, topology = self._stock, self._topology
        best: _Trial | None = None
        for way in (_in_turn, _by_freedom, _by_size):
            trial = _Trial([replace(place) for place in stock.upcoming], dict(self.housed))
            mark = topology.mark()
            is_done = way(trial, classes, self._questions)
            trial.deeds = topology.cut(mark)
            if best is None or _score(trial.housed, classes) > _score(best.housed, classes):
                best = trial
            if is_done:
                break
        assert best is not None
        stock.upcoming, self.housed = best.places, best.housed
        topology.replay(best.deeds)
        return Hall.of(stock.upcoming, self._questions)

    def fill_again(self, waiting: Queue, *, anew: bool = False) -> None:
        """Give pods the room that there is, now that others have got a place elsewhere; `anew`: room has grown."""
        if anew:
            self._halls = [Hall.of(each, self._questions) for each in (self._stock.existing, self._stock.upcoming)]
        for hall in self._halls:
            _fill(hall, waiting, self.housed)


@dataclass(slots=True)
class _Trial:
    """One way of filling the upcoming nodes."""

    places: list[Place]
    housed: Housed
    deeds: list[Deed] = field(default_factory=list)


def _queue(hall: Hall, classes: Sequence[PodClass]) -> list[tuple[PodClass, list[Pod]]]:
    """The pods in queue order, without classes that no place takes."""
    return in_queue_order([one for one in classes if hall.has_room(one)])


@dataclass(slots=True)
class _Bound:
    """Filling with pods that have rules: one that nothing takes now is tried again after others were placed."""

    hall: Hall
    housed: Housed
    shelves: dict[int, PlaceShelf] = field(default_factory=dict)
    waiting: dict[int, tuple[PodClass, list[Pod]]] = field(default_factory=dict)
    refused_at: dict[int, int] = field(default_factory=dict)  # by class: how many were housed when none more was

    def add(self, one: PodClass, rules: Rules, pods: list[Pod]) -> None:
        """Place pods of a class; those that find no place now wait."""
        if id(one) not in self.shelves:
            self.shelves[id(one)] = PlaceShelf(one, rules, self.hall.aisles(one))
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


def _fill(hall: Hall, queue: Queue, housed: Housed) -> None:
    able: dict[int, Iterator[Place]] = {}  # room only shrinks: never look at a full place again
    current: dict[int, Place | None] = {}
    bound = _Bound(hall, housed)
    is_spare = False
    for one, run in queue:
        if one.is_virtual and not is_spare:
            is_spare = True
            bound.retry()
        pods = [pod for pod in run if pod.uid not in housed]
        if one.bound is not None:
            bound.add(one, one.bound, pods)
            continue
        if id(one) not in able:
            able[id(one)] = hall.able(one)
            current[id(one)] = next(able[id(one)], None)
        while pods and (place := current[id(one)]) is not None:
            count = min(room_beside(place, one), len(pods))
            if not count:
                current[id(one)] = next(able[id(one)], None)
                continue
            place.take(one, count)
            housed.update((pod.uid, place) for pod in pods[:count])
            pods = pods[count:]
    bound.retry()


def _in_turn(trial: _Trial, classes: Sequence[PodClass], questions: Questions) -> bool:
    """As the queue of the scheduler has them. Each way returns whether no other could house more."""
    hall = Hall.of(trial.places, questions)
    wanting = _queue(hall, classes)
    _fill(hall, wanting, trial.housed)
    return len(wanting) < 2 or all(pod.uid in trial.housed for _, pods in wanting for pod in pods)


def _by_freedom(trial: _Trial, classes: Sequence[PodClass], questions: Questions) -> bool:
    """As they were bought: the hardest to place come first."""
    takers = sorted(_homeless(classes, trial.housed), key=lambda one: (-one.spec.priority, one.freedom))
    hall = Hall.of(trial.places, questions)
    _fill(hall, [(one, one.pods) for one in takers], trial.housed)
    return not _homeless(takers, trial.housed)


def _by_size(trial: _Trial, classes: Sequence[PodClass], questions: Questions) -> bool:
    """In buying order; each class takes first what the fewest others can use."""
    kinds: dict[object, list[Place]] = {}
    for place in trial.places:
        kind = (place.group, place.view.labels.get(ZONE_LABEL), place.node, place.free, place.ports)
        kinds.setdefault(kind, []).append(place)
    takers = _homeless(classes, trial.housed)
    able = {id(one): [kind for kind, members in kinds.items() if members[0].room_for(one)] for one in takers}
    rivals = Counter(kind for mine in able.values() for kind in mine)
    aisles = {kind: in_aisles(members, questions) for kind, members in kinds.items()}
    for one in takers:
        mine = sorted(able[id(one)], key=lambda kind: rivals[kind])
        _fill(Hall([aisle for kind in mine for aisle in aisles[kind]]), [(one, one.pods)], trial.housed)
    everywhere = Hall([aisle for each in aisles.values() for aisle in each])
    _fill(everywhere, [(one, one.pods) for one in takers if one.bound is not None], trial.housed)
    return True


def _homeless(classes: Iterable[PodClass], housed: Housed) -> list[PodClass]:
    return [one for one in classes if any(pod.uid not in housed for pod in one.pods)]


def _score(housed: Housed, classes: Sequence[PodClass]) -> list[tuple[int, int]]:
    """Pods housed by priority, the highest first: more is better."""
    counts: Counter[int] = Counter()
    for one in classes:
        counts[-one.spec.priority] += sum(pod.uid in housed for pod in one.pods)
    return sorted(counts.items())
