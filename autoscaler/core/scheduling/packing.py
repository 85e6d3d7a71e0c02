"""Packing: the new nodes of a plan, filled first fit in the order in which they were opened.

Many equal nodes are one `Run`, so that thousands are packed by a few
divisions. Pods with rules are placed by the shelf instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import le

from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.place import Run
from autoscaler.core.scheduling.shelf import RunShelf


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
        if one.bound is not None:
            return RunShelf(one, one.bound, (self,)).put(count)
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
        return Packing([Run(r.offering, r.view, r.nodes, r.free, r.contents, r.ports, r.marks) for r in self.runs])
