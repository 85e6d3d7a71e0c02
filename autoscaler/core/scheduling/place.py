"""Room: nodes that exist or are on their way, and how many pods of a class they take.

A `Place` is one node; a `Run` is many equal new nodes counted together, so
that packing thousands is a few divisions. Both are scratch paper of one
pass: they change while it packs, and nobody keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoscaler.core.model import GroupName, InstanceId, NodeName, Offering
from autoscaler.core.podspec import HostPort
from autoscaler.core.scheduling.classes import PodClass, Vector
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.rules import Marks
from autoscaler.core.scheduling.sharing import attach

MANY = 1 << 60  # how many pods fit that ask for nothing


def ports_conflict(wanted: tuple[HostPort, ...], taken: frozenset[HostPort]) -> bool:
    """Tell whether a wanted port is taken; 0.0.0.0 means every address of the node."""
    if not wanted or not taken:
        return False
    return any(
        one.port == other.port
        and one.protocol == other.protocol
        and ("0.0.0.0" in (one.address, other.address) or one.address == other.address)  # noqa: S104 - compared, not bound
        for one in wanted
        for other in taken
    )


def copies_in(free: Vector, request: Vector) -> int:
    """Return how many times a request fits into what is free."""
    most = MANY
    for have, want in zip(free, request, strict=True):
        if want:
            if have < want:
                return 0
            most = min(most, have // want)
    return most


def copies_of(free: Vector, one: PodClass) -> int:
    """Return how many pods of the class fit into what is free; a volume that they share is attached once."""
    after = attach(free, one.shared) if one.shared is not None else free
    return copies_in(after, one.request) if after is not None else 0


def after_taking(free: Vector, one: PodClass, count: int) -> Vector:
    """Return what is free with so many pods of the class, which fit."""
    after = attach(free, one.shared) if one.shared is not None else free
    return minus(after if after is not None else free, one.request, count)


def minus(free: Vector, request: Vector, times: int) -> Vector:
    return tuple([have - want * times for have, want in zip(free, request, strict=True)])


def plus(left: Vector, right: Vector) -> Vector:
    return tuple([one + other for one, other in zip(left, right, strict=True)])


class Room(Protocol):
    """A place or a run."""

    free: Vector
    ports: frozenset[HostPort]


def room_beside(room: Room, one: PodClass) -> int:
    """How many pods of the class fit beside what is there, whatever the node itself is like; of a run, on each node."""
    copies = 0 if one.refusals else copies_in(room.free, one.request)
    if copies and one.shared is not None:
        copies = copies_of(room.free, one)
    if copies and one.spec.host_ports:
        return 0 if ports_conflict(one.spec.host_ports, room.ports) else 1
    return copies


@dataclass(slots=True, eq=False)
class Place:
    """One node, existing or upcoming, with what is still free on it."""

    view: NodeView
    free: Vector
    ports: frozenset[HostPort] = frozenset()
    node: NodeName | None = None  # None: no Node object yet
    group: GroupName | None = None
    instance: InstanceId | None = None
    is_upcoming: bool = False
    is_used: bool = False  # takes a pending pod of this pass
    kind: NodeView | None = None  # what all nodes of its aisle look like, once they stand in aisles

    def room_for(self, one: PodClass) -> int:
        """How many pods of the class fit here now."""
        copies = room_beside(self, one)
        return 0 if copies == 0 or one.fitting.objections(self.view) else copies

    def take(self, one: PodClass, count: int) -> None:
        self.free = after_taking(self.free, one, count)
        if one.spec.host_ports:
            self.ports |= frozenset(one.spec.host_ports)
        if one.rules is not None:
            one.rules.place(self.view, count)
        self.is_used = True


@dataclass(slots=True, eq=False)
class Run:
    """`nodes` equal new nodes of one offering, each holding `contents`: (class, pods per node).

    `marks` counts the pods on each node that some rule looks at.
    """

    offering: Offering
    view: NodeView
    nodes: int
    free: Vector
    contents: tuple[tuple[PodClass, int], ...] = ()
    ports: frozenset[HostPort] = frozenset()
    marks: Marks = None
    turns: tuple[int, ...] = ()  # when each of the contents came: the turn of its class then

    def split(self, nodes: int) -> Run:
        """Take `nodes` of these nodes out into a run of their own."""
        self.nodes -= nodes
        return Run(self.offering, self.view, nodes, self.free, self.contents, self.ports, self.marks, self.turns)

    def take(self, one: PodClass, per_node: int) -> None:
        """Put `per_node` pods of the class on every node of the run."""
        self.free = after_taking(self.free, one, per_node)
        if self.contents and self.contents[-1][0] is one and self.turns[-1] == one.turn:
            self.contents = (*self.contents[:-1], (one, self.contents[-1][1] + per_node))
        else:
            self.contents = (*self.contents, (one, per_node))
            self.turns = (*self.turns, one.turn)
        if one.spec.host_ports:
            self.ports |= frozenset(one.spec.host_ports)
        if one.rules is not None:
            self.marks = one.rules.place_on_new(self.view, self.nodes, per_node, self.marks)
