"""Room: nodes that exist or are on their way, and how many pods of a class they take.

A `Place` is one node; a `Run` is many equal new nodes counted together, so
that packing thousands is a few divisions. Both are scratch paper of one
pass: they change while it packs, and nobody keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import le

from autoscaler.core.model import GroupName, InstanceId, NodeName, Offering
from autoscaler.core.podspec import HostPort
from autoscaler.core.scheduling.classes import PodClass, Vector
from autoscaler.core.scheduling.fit import NodeView

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


def minus(free: Vector, request: Vector, times: int) -> Vector:
    return tuple([have - want * times for have, want in zip(free, request, strict=True)])


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

    def room_for(self, one: PodClass) -> int:
        """How many pods of the class fit here now."""
        copies = 0 if one.refusals else copies_in(self.free, one.request)
        if copies == 0 or one.fitting.objections(self.view):
            return 0
        if one.spec.host_ports:
            return 0 if ports_conflict(one.spec.host_ports, self.ports) else 1
        return copies

    def take(self, one: PodClass, count: int) -> None:
        self.free = minus(self.free, one.request, count)
        if one.spec.host_ports:
            self.ports |= frozenset(one.spec.host_ports)
        self.is_used = True


@dataclass(slots=True, eq=False)
class Run:
    """`nodes` equal new nodes of one offering, each holding `contents`: (class, pods per node)."""

    offering: Offering
    view: NodeView
    nodes: int
    free: Vector
    contents: tuple[tuple[PodClass, int], ...] = ()
    ports: frozenset[HostPort] = frozenset()

    def room_for(self, one: PodClass) -> int:
        """How many pods of the class fit on each node of the run."""
        copies = 0 if one.refusals else copies_in(self.free, one.request)
        if copies == 0 or one.fitting.objections(self.view):
            return 0
        if one.spec.host_ports:
            return 0 if ports_conflict(one.spec.host_ports, self.ports) else 1
        return copies

    def split(self, nodes: int) -> Run:
        """Take `nodes` of these nodes out into a run of their own."""
        self.nodes -= nodes
        return Run(self.offering, self.view, nodes, self.free, self.contents, self.ports)

    def take(self, one: PodClass, per_node: int) -> None:
        """Put `per_node` pods of the class on every node of the run."""
        self.free = minus(self.free, one.request, per_node)
        self.contents = (*self.contents, (one, per_node))
        if one.spec.host_ports:
            self.ports |= frozenset(one.spec.host_ports)


def _fill_run(run: Run, one: PodClass, per_node: int, left: int, result: list[Run]) -> int:
    """Move the nodes that take pods of the class from the run to `result`; return the pods still left."""
    full = min(run.nodes, left // per_node)
    for nodes, pods in ((full, per_node), (1 if run.nodes > full and left % per_node else 0, left - full * per_node)):
        if nodes:
            taken = run.split(nodes)
            taken.take(one, pods)
            result.append(taken)
            left -= nodes * pods
    return left


@dataclass(slots=True)
class Packing:
    """New nodes with what lies on them, in the order in which they were opened."""

    runs: list[Run] = field(default_factory=list)

    def fill(self, one: PodClass, count: int) -> int:
        """Put up to `count` pods of the class into room that is left; return how many found a place."""
        if not count or one.refusals:
            return 0
        left, request, runs = count, one.request, self.runs
        first, second = request[:2]  # every pass counts cpu and memory; most runs are full, so look there first
        open_at = [
            position
            for position, run in enumerate(runs)
            if (free := run.free)[0] >= first and free[1] >= second and all(map(le, request, free))
        ]
        result: list[Run] = []
        done = 0  # runs up to here are in the result
        for position in open_at:
            run = runs[position]
            per_node = run.room_for(one)
            if per_node:
                result += runs[done:position]
                done = position + 1
                left = _fill_run(run, one, per_node, left, result)
                if run.nodes:
                    result.append(run)
                if not left:
                    break
        if done:
            self.runs = result + runs[done:]
        return count - left

    @property
    def nodes(self) -> int:
        return sum(run.nodes for run in self.runs)

    def copy(self) -> Packing:
        return Packing([Run(r.offering, r.view, r.nodes, r.free, r.contents, r.ports) for r in self.runs])
