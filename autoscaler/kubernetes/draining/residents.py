"""Residents: the pods on the nodes that are being drained, kept as the cache changes.

Only followed nodes cost anything: an index of all pods by node would cost
every cluster memory for the few nodes that go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from autoscaler.core.model import NodeName, Pod, Uid


class Residents:
    """`everyone` yields all pods of the cache."""

    def __init__(self, everyone: Callable[[], Iterable[Pod]]) -> None:
        self._everyone = everyone
        self._followed: dict[NodeName, dict[Uid, Pod]] = {}
        self._changed: dict[NodeName, anyio.Event] = {}

    def follow(self, node: NodeName) -> None:
        """Begin to keep the pods of a node."""
        self._followed[node] = {pod.uid: pod for pod in self._everyone() if pod.node == node}
        self._changed[node] = anyio.Event()

    def forget(self, node: NodeName) -> None:
        """Keep them no more."""
        self._followed.pop(node, None)
        self._changed.pop(node, None)

    def of(self, node: NodeName) -> tuple[Pod, ...]:
        """The pods of a followed node, by the cache."""
        return tuple(self._followed[node].values())

    def change(self, before: Pod | None, after: Pod | None) -> None:
        """Take in that a pod came, changed, or went."""
        if not self._followed:
            return
        for pod, is_there in ((before, False), (after, True)):
            pods = self._followed.get(pod.node) if pod is not None and pod.node is not None else None
            if pods is None or pod is None or pod.node is None:
                continue
            if is_there:
                pods[pod.uid] = pod
            else:
                pods.pop(pod.uid, None)
            self._changed[pod.node].set()

    async def wait_change(self, node: NodeName, until: float) -> None:
        """Return when the pods of a followed node change, or at that moment of anyio's clock."""
        with anyio.move_on_at(until):
            await self._changed[node].wait()
        if self._changed[node].is_set():
            self._changed[node] = anyio.Event()
