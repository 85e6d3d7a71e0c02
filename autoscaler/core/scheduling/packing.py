"""Packing: the new nodes of a plan, filled first fit, one kind of node after the other.

Many equal nodes are one `Run`, so that thousands are packed by a few
divisions. Pods with rules are placed by the shelf instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autoscaler.core.scheduling.aisles import Aisle, Block
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.place import Run, room_beside


class Packing:
    """New nodes with what lies on them; `nodes` counts them."""

    __slots__ = ("_aisles", "nodes")

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._aisles: dict[int, Aisle[Run]] = {}  # by identity of the view, which the runs of a kind share
        self.nodes = 0
        for run in runs:
            self.add(run)

    @property
    def runs(self) -> Iterator[Run]:
        """Every run, in the order in which they are filled."""
        return (run for aisle in self._aisles.values() for run in aisle)

    @property
    def aisles(self) -> Iterable[Aisle[Run]]:
        return self._aisles.values()

    def add(self, run: Run) -> None:
        """Open the nodes of a run."""
        aisle = self._aisles.get(id(run.view))
        if aisle is None:
            aisle = self._aisles[id(run.view)] = Aisle(run.view)
        aisle.add(run)
        self.nodes += run.nodes

    def remove(self, run: Run) -> None:
        """Do without the nodes of a run after all."""
        for block in reversed(self._aisles[id(run.view)].blocks):  # it is mostly the last that came
            if run in block.sites:
                block.sites.remove(run)
                block.measure()
                self.nodes -= run.nodes
                return

    def fill(self, one: PodClass, count: int) -> int:
        """Put up to `count` pods of a class without rules into room that is left; return how many found a place."""
        left = count if not one.refusals else 0
        for aisle in self._aisles.values() if left else ():
            if one.fitting.objections(aisle.view):
                continue
            for block in aisle.blocks.copy():
                if block.may_take(one.request):
                    left = _fill_block(aisle, block, one, left)
                    if not left:
                        return count
        return count - left if not one.refusals else 0

    def copy(self) -> Packing:
        return Packing(
            Run(r.offering, r.view, r.nodes, r.free, r.contents, r.ports, r.marks, r.turns) for r in self.runs
        )


def _fill_block(aisle: Aisle[Run], block: Block[Run], one: PodClass, count: int) -> int:
    """Fill the nodes of a block; return the pods still left."""
    left = count
    block.is_stale = True
    for run in block.with_room(one.request):
        per_node = room_beside(run, one)
        if per_node:
            left -= sum(part.nodes * pods for part, pods in take_part(block, run, one, (per_node, left)))
            if not left:
                break
    else:
        block.measure()
    aisle.part(block)
    return left


def take_part(
    block: Block[Run], run: Run, one: PodClass, amounts: tuple[int, int], most: int | None = None
) -> list[tuple[Run, int]]:
    """Put pods on nodes of a run that lies in a block: so many on each, as far as they go, and the rest on one more.

    `amounts` are pods on each node and pods in all; no more than `most` nodes
    are used. Returns the runs that took pods, and how many pods each of their nodes.
    """
    per_node, left = amounts
    full = min(run.nodes if most is None else most, left // per_node)
    rest = left - full * per_node if run.nodes > full and (most is None or full < most) else 0
    taken: list[tuple[Run, int]] = []
    for nodes, pods in ((full, per_node), (1 if rest else 0, min(rest, per_node))):
        if nodes:
            part = run
            if nodes < run.nodes:
                part = run.split(nodes)
                block.sites.insert(block.sites.index(run), part)
            part.take(one, pods)
            taken.append((part, pods))
    return taken
