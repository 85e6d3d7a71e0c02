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
from autoscaler.core.scheduling.place import Place, copies_in, minus
from autoscaler.core.scheduling.topology import Topology

Load = list[tuple[PodClass, int]]  # pods by class, the largest first


@dataclass(slots=True, eq=False)
class Row:
    """Places in the order in which they are filled; `starts`: the first that may still take pods of a class."""

    places: list[Place]
    starts: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Trial:
    """What a trial has changed, to be undone."""

    mark: int
    places: list[tuple[Place, Vector, frozenset[HostPort], bool]] = field(default_factory=list)
    starts: list[tuple[Row, int, int]] = field(default_factory=list)


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
        for row, key, start in reversed(self._trial.starts):
            row.starts[key] = start
        self._topology.cut(self._trial.mark)

    def move(self, name: NodeName, source: NodeView, load: Load, row: Row) -> bool:
        """Move all pods of a node into a row, or none; a node whose pods have moved takes no others."""
        self.closed.add(name)
        self.begin()
        self.lift(source, load)
        if not self.put(load, row):
            self.commit()
            return True
        self.undo()
        self.closed.discard(name)
        return False

    def _fill(self, one: PodClass, wanted: int, row: Row) -> int:
        """Place up to `wanted` pods; room only shrinks, so a full place is not looked at again."""
        rules = one.bound
        start = first = row.starts.get(id(one), 0)
        left = wanted
        for position in range(start, len(row.places)):
            place = row.places[position]
            copies = 0 if one.refusals or place.node in self.closed else self._room(place, one)
            if not copies:
                first += position == first
                continue
            if rules is not None:
                copies = min(copies, rules.room_in_domain(place.view), rules.room_on_node(place.view))
                if not copies:
                    continue
            count = min(copies, left)
            self._trial.places.append((place, place.free, place.ports, place.is_used))
            place.take(one, count)
            left -= count
            if rules is None:
                first = position if count < copies else position + 1
            if not left:
                break
        if first > start:
            self._trial.starts.append((row, id(one), start))
            row.starts[id(one)] = first
        return wanted - left

    def _room(self, place: Place, one: PodClass) -> int:
        copies = place.room_for(one)
        if copies and id(one) in self.airy and place.node in self.air:
            return min(copies, copies_in(minus(place.free, self.air[place.node], 1), one.request))
        return copies


def in_load_order(load: Sequence[tuple[PodClass, int]]) -> Load:
    """The largest pods first, as they are the hardest to place; ties by what is the same in every order."""
    return sorted(load, key=lambda row: (row[0].spec.priority, row[0].request, row[0].oldest), reverse=True)
