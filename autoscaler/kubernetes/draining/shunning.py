"""Shunning: the soft taint on nodes that may go soon, so that the scheduler prefers others.

Few writes at a time, as cluster-autoscaler has it: the rest waits for the next
pass. A taint is worth little: whatever fails is left for the next time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import anyio
import structlog

from autoscaler import clock
from autoscaler.core.model import Node, NodeName
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.draining.marks import Shun, is_candidate, is_marked
from autoscaler.kubernetes.draining.nodes import NodeWriter

log = structlog.get_logger()


class Shunning:
    """Keeps the soft taints as wanted. `most` is the number of writes in one go, `seconds` the time for them."""

    def __init__(self, nodes: NodeWriter, most: int, seconds: float) -> None:
        self._nodes = nodes
        self._most = most
        self._seconds = seconds
        self._wanted = anyio.Event()
        self._pending: list[tuple[Node, bool]] = []
        self._swept = False

    def want(self, shunned: Collection[NodeName], nodes: Iterable[Node]) -> None:
        """Say which nodes should carry the taint now. What is being drained is left alone.

        With no writes allowed, what an earlier process left is taken off once.
        """
        if self._most == 0 and self._swept:
            return
        wanted = set(shunned) if self._most else set()
        there = [node for node in nodes if node.deleted_at is None and not is_marked(node)]
        wrong = [(node, node.name in wanted) for node in there if is_candidate(node) != (node.name in wanted)]
        wrong.sort(key=lambda one: (one[1], one[0].name))  # those that are needed again come first
        self._pending = wrong[: self._most] if self._most else wrong
        self._swept = True
        if self._pending:
            self._wanted.set()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            pending, self._pending = self._pending, []
            with anyio.move_on_after(self._seconds):
                await self._write(pending)

    async def _write(self, pending: Iterable[tuple[Node, bool]]) -> None:
        for node, is_shunned in pending:
            try:
                await self._nodes.edit(node.name, node.uid, Shun(clock.now() if is_shunned else None))
            except KubernetesError as error:
                log.warning("soft_taint.write_failed", node=node.name, error=str(error))
                return
