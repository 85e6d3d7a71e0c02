"""The second look: should a node that was marked a moment ago still go?

The core decides it once more on fresh caches, with the same rules, as if the
node carried no marks yet. It decides about this node alone: no other node may
take its turn or its pods' places, and what holds only the start of drains
(times, delays, limits) does not hold one that was started.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import anyio
from anyio import to_thread

from autoscaler import clock
from autoscaler.core.decision import Decision, DrainCause
from autoscaler.core.model import Node, NodeName
from autoscaler.core.planner import plan
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.draining.engine import DrainOrder
from autoscaler.kubernetes.draining.marks import STAMP, TO_BE_DELETED, read_stamp
from autoscaler.loop.ports import Eyes

LONG = timedelta(days=30)  # longer than any time or delay of a flag
UNLIMITED = 1_000_000
PATIENCE = 30.0  # seconds for the caches to be fresh again
POLL = 1.0


class Recheck:
    """Asks the core again; one node at a time, as each is a whole pass."""

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes
        self._alone = anyio.Lock()

    async def objection(self, order: DrainOrder) -> str:
        """Say why the node should stay after all; empty if it should go."""
        until = anyio.current_time() + PATIENCE
        while reasons := self._eyes.blind():
            if anyio.current_time() > until:
                return f"not everything can be seen now: {'; '.join(reasons)}"
            await anyio.sleep(POLL)
        if order.cause is DrainCause.EMPTY:
            return ""  # that nothing runs there is the drain's own look
        async with self._alone:
            snapshot = as_if_unmarked(self._eyes.look(clock.now()), order.node)
            decision = await to_thread.run_sync(plan, snapshot)
        return why_kept(decision, order.node)


def why_kept(decision: Decision, node: NodeName) -> str:
    """Say why a decision keeps a node; empty if it drains it."""
    if any(drain.node == node for drain in decision.drains):
        return ""
    objections = decision.kept.get(node, ())
    return "; ".join(str(one) for one in objections) or "it is needed again"


def as_if_unmarked(snapshot: Snapshot, name: NodeName) -> Snapshot:
    """The same world, in which only this node may go, and carries no marks."""
    at = snapshot.at
    nodes = [_unmarked(node) if node.name == name else node for node in snapshot.nodes]
    memory = snapshot.scale_down or ScaleDownMemory()
    memory = ScaleDownMemory(
        unneeded={**memory.unneeded, name: at - LONG},
        waiting=memory.waiting,
        blocked={node.name: at + LONG for node in nodes if node.name != name},
    )
    scale_down = replace(
        snapshot.policy.scale_down, max_parallelism=UNLIMITED, max_drain_parallelism=UNLIMITED, budget=None
    )
    return replace(snapshot, nodes=nodes, scale_down=memory, policy=replace(snapshot.policy, scale_down=scale_down))


def _unmarked(node: Node) -> Node:
    stamp = read_stamp(node.annotations)
    return replace(
        node,
        taints=tuple(taint for taint in node.taints if taint.key != TO_BE_DELETED),
        annotations={key: value for key, value in node.annotations.items() if key != STAMP},
        is_cordoned=node.is_cordoned and not (stamp is not None and stamp.cordoned),
    )
