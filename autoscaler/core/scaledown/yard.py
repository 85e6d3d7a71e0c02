"""Have these pods a place elsewhere? The nodes that stay, filled on trial.

The same rooms, fits and rules as scale-up. A node goes only if all of its pods
find a place beside everything placed before it in this pass; a trial that
fails leaves no trace. The node itself stays a topology domain meanwhile. Pods
are moved onto nodes that will surely stay first, and last onto those that
would go next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoscaler.core.model import NodeName
from autoscaler.core.podspec import HostPort
from autoscaler.core.scheduling.classes import PodClass, Vector
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.place import MANY, Place, copies_of, minus
from autoscaler.core.scheduling.rules import Rules
from autoscaler.core.scheduling.topology import Topology

Load = list[tuple[PodClass, int]]  # pods by class, the largest first


@dataclass(slots=True, eq=False)
class Lane:
    """The places of one topology domain by their number in the row; before `at` all are full for the class."""

    numbers: list[int]
    at: int = 0


@dataclass(slots=True, eq=False)
class Row:
    """Places in the order in which they are filled. Each class has its own lanes, one for each larger domain."""

    places: list[Place]
    _lanes: dict[int, list[Lane]] = field(default_factory=dict)
    _by_node: dict[NodeName | None, Place] = field(default_factory=dict)

    def place_of(self, node: NodeName) -> Place | None:
        """The place that a node is."""
        if not self._by_node:
            self._by_node = {place.node: place for place in self.places}
        return self._by_node.get(node)

    def lanes(self, one: PodClass) -> list[Lane]:
        found = self._lanes.get(id(one))
        if found is None:
            found = self._lanes[id(one)] = self._sort(one)
        return found

    def _sort(self, one: PodClass) -> list[Lane]:
        if one.bound is None:
            return [Lane(list(range(len(self.places))))]
        lanes: dict[tuple[str | None, ...], Lane] = {}
        by_view: dict[int, Lane] = {}
        for number, place in enumerate(self.places):
            view = place.view if place.kind is None or one.fitting.asks_host else place.kind
            lane = by_view.get(id(view))
            if lane is None:
                lane = by_view[id(view)] = lanes.setdefault(one.bound.domains_of(view), Lane([]))
            lane.numbers.append(number)
        return list(lanes.values())


@dataclass(slots=True)
class Trial:
    """What a trial has changed, to be undone."""

    mark: int
    places: list[tuple[Place, Vector, frozenset[HostPort], bool]] = field(default_factory=list)
    lanes: list[tuple[Lane, int]] = field(default_factory=list)


class Yard:
    """All places of a pass. `closed` are nodes that go, `receiving` those that pods were moved to.

    The room on the places includes what air holds; `air` tells how much that
    is, as air itself needs room that is really free. `airy` are its classes.
    """

    def __init__(self, topology: Topology) -> None:
        self.closed: set[NodeName] = set()
        self.receiving: set[NodeName] = set()
        self.air: dict[NodeName, Vector] = {}
        self.airy: set[int] = set()
        self._topology = topology
        self._trial = Trial(0)
        self._source: NodeName | None = None  # whose pods are being moved
        self._barren: dict[tuple[int, int], NodeName] = {}

    def begin(self) -> None:
        """What follows can be undone."""
        self._trial = Trial(self._topology.mark())

    def lift(self, source: NodeView, load: Load) -> None:
        """Take pods off their node."""
        for one, count in load:
            if one.rules is not None:
                one.rules.place(source, -count)

    def put(self, load: Load, row: Row) -> Load:
        """Place what there is room for; return what is left."""
        left = [(one, count) for one, wanted in load if (count := wanted - self._fill(one, wanted, row))]
        while left and any(one.bound for one, _ in left):  # some wait for others to be placed
            before = sum(count for _, count in left)
            left = [(one, count) for one, wanted in left if (count := wanted - self._fill(one, wanted, row))]
            if sum(count for _, count in left) == before:
                break
        return left

    @property
    def steps(self) -> int:
        """How often the trial has placed something so far."""
        return len(self._trial.places)

    def touched(self, since: int = 0) -> set[NodeName]:
        """The nodes that the trial has moved pods to."""
        return {place.node for place, *_ in self._trial.places[since:] if place.node is not None}

    def commit(self) -> None:
        """The trial stands."""
        self.receiving |= self.touched()

    def undo(self) -> None:
        """Take everything back since `begin`."""
        for place, free, ports, was_used in reversed(self._trial.places):
            place.free, place.ports, place.is_used = free, ports, was_used
        for lane, at in reversed(self._trial.lanes):
            lane.at = at
        self._topology.cut(self._trial.mark)

    def move(self, name: NodeName, source: NodeView, load: Load, row: Row) -> bool:
        """Move all pods of a node into a row, or none; a node whose pods have moved takes no others."""
        self.closed.add(name)
        self._source = name
        self.begin()
        self.lift(source, load)
        has_moved = not self.put(load, row)
        self._source = None
        if has_moved:
            self.commit()
            return True
        self.undo()
        self.closed.discard(name)
        return False

    def _is_barren(self, one: PodClass, row: Row) -> bool:
        """Whether it is known already that no place of the row takes any of these pods.

        Room never grows within a pass. So once every place was looked at in
        vain, one is left to be looked at: the node whose pods were to move then.
        """
        key = id(row), id(one)
        last = self._barren.get(key)
        if last is None or self._source is None or self._trial.places:
            return False
        place = row.place_of(last)
        if place is not None and last not in self.closed and self._takes(place, one):
            del self._barren[key]
            return False
        self._barren[key] = self._source
        return True

    def _fill(self, one: PodClass, wanted: int, row: Row) -> int:
        """Place up to `wanted` pods on the first places of the row that take them; return how many."""
        if one.refusals or self._is_barren(one, row):
            return 0
        is_first = not self._trial.places
        rules, lanes, left = one.bound, row.lanes(one), wanted
        self._trial.lanes += [(lane, lane.at) for lane in lanes]
        next_in = [lane.at for lane in lanes]  # beyond `at` where a rule of single nodes holds a place back
        rooms = _rooms(rules, lanes, row)
        while left and (number := _first(lanes, next_in, rooms)) is not None:
            lane = lanes[number]
            place = row.places[lane.numbers[next_in[number]]]
            copies = 0 if place.node in self.closed else self._room(place, one)
            count = min(copies, left)
            if rules is not None and copies:
                count = min(count, rooms[number], rules.room_on_node(place.view))
            if not count:
                lane.at += not copies and next_in[number] == lane.at
                next_in[number] += 1
                continue
            self._trial.places.append((place, place.free, place.ports, place.is_used))
            place.take(one, count)
            left -= count
            if rules is not None and left:
                rooms = _rooms(rules, lanes, row)
        if left == wanted and is_first and self._source is not None and _never_gains(one):
            self._barren[id(row), id(one)] = self._source
        return wanted - left

    def _takes(self, place: Place, one: PodClass) -> bool:
        return bool(self._room(place, one)) and (one.bound is None or bool(one.bound.room_on_node(place.view)))

    def _room(self, place: Place, one: PodClass) -> int:
        copies = place.room_for(one)
        if copies and id(one) in self.airy and place.node in self.air:
            return min(copies, copies_of(minus(place.free, self.air[place.node], 1), one))
        return copies


def _never_gains(one: PodClass) -> bool:
    """Whether a place that takes none of these pods takes none later either, whatever is moved onto it."""
    rules = one.bound
    return one.shared is None and (rules is None or not (rules.wide.tallies or rules.per_node.affinity))


def _rooms(rules: Rules | None, lanes: Sequence[Lane], row: Row) -> list[int]:
    """How many pods the rules allow in each lane now."""
    if rules is None:
        return [MANY]
    return [rules.room_in_domain(row.places[lane.numbers[0]].view) for lane in lanes]


def _first(lanes: Sequence[Lane], next_in: Sequence[int], rooms: Sequence[int]) -> int | None:
    """The lane whose next place comes first in the row, of those that may take pods."""
    best: tuple[int, int] | None = None
    for number, lane in enumerate(lanes):
        if rooms[number] and next_in[number] < len(lane.numbers):
            position = lane.numbers[next_in[number]]
            if best is None or position < best[0]:
                best = position, number
    return best[1] if best is not None else None


def in_load_order(load: Sequence[tuple[PodClass, int]]) -> Load:
    """The largest pods first, as they are the hardest to place; ties by what is the same in every order."""
    return sorted(load, key=lambda row: (row[0].spec.priority, row[0].request, row[0].oldest), reverse=True)
