"""The drain of one node, from its marks to the end of its instance, or back.

Marked, looked at again, emptied, and confirmed by a fresh read before the
instance ends: no cache is trusted with that, and a process that has lost the
node to its successor finds the other's stamp. Whatever does not work out is
undone. Cancelled, it leaves what a successor finds by the stamp, and
cluster-autoscaler by the taint; nothing that only we know to take off.
Only the nodes that a Decision names come here; nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Protocol

import anyio
import msgspec
import structlog

from autoscaler import clock
from autoscaler.core.decision import DrainCause
from autoscaler.core.model import GroupName, InstanceId, Node, NodeName, Pod, Uid
from autoscaler.core.scaledown.outcome import Ending
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.cluster import ClusterCache
from autoscaler.kubernetes.draining.evictor import EvictionTools, Evictor, Result, movable
from autoscaler.kubernetes.draining.marks import (
    DELAYS_DELETION,
    TO_BE_DELETED,
    Leave,
    Mark,
    Restamp,
    Stamp,
    Step,
    Unmark,
    read_stamp,
)
from autoscaler.kubernetes.draining.nodes import Edit, Edited, NodeWriter
from autoscaler.kubernetes.draining.present import pods_on
from autoscaler.kubernetes.draining.settings import DrainSettings
from autoscaler.kubernetes.draining.volumes import Volumes
from autoscaler.kubernetes.transport import Api

log = structlog.get_logger()

SCALE_DOWN_DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"

UNDONE = frozenset({Ending.CALLED_OFF, Ending.STOPPED, Ending.FAILED})

_CACHE_PATIENCE = 30.0  # seconds for a write of ours to show in the cache
_POLL = 0.2
_VOLUME_PATIENCE = 120.0
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 30.0
_LAST_SECONDS = 3.0  # for the last write of a drain that is cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOrder:
    """A node to be drained, and the instance behind it. `adopted`: what a predecessor had begun."""

    node: NodeName
    uid: Uid
    cause: DrainCause
    group: GroupName
    instance: InstanceId
    pods: int = 0
    attempt: int = 1
    adopted: Stamp | None = None

    @property
    def is_empty(self) -> bool:
        """Chosen as it holds nothing: then nothing may have come meanwhile."""
        return self.cause is DrainCause.EMPTY


class End(NamedTuple):
    """How a drain ended, and why; `evicted` pods were let go on the way."""

    ending: Ending
    detail: str = ""
    evicted: int = 0


@dataclass(frozen=True, kw_only=True)
class DrainTools:
    """What drains work with. `objection` says why a marked node should not go after all, empty if it should."""

    api: Api
    cluster: ClusterCache
    settings: DrainSettings
    identity: str
    may_write: Callable[[], bool]
    is_paused: Callable[[], bool]
    objection: Callable[[DrainOrder], Awaitable[str]]
    volumes: Volumes


class Principal(Protocol):
    """Whom a drain works for."""

    async def terminate(self, order: DrainOrder) -> bool:
        """End the instance; False when that was refused."""

    def tell_pod(self, order: DrainOrder, pod: Pod, result: Result, detail: str) -> None:
        """Hear what became of a pod."""


class NodeDrain:
    """One drain. `has_evicted` tells whether it is past its first eviction."""

    def __init__(self, order: DrainOrder, tools: DrainTools, principal: Principal) -> None:
        self.order = order
        self.has_evicted = order.adopted is not None and order.adopted.step is Step.EVICTING
        self._tools = tools
        self._principal = principal
        self._nodes = NodeWriter(tools.api, tools.may_write)
        self._deadline = 0.0  # anyio's clock
        self._stamp = self._new_stamp()
        self._evictor: Evictor | None = None

    async def run(self) -> End:
        """Drain the node; whatever happens, it is left terminated, as it was before, or another's."""
        residents = self._tools.cluster.residents
        residents.follow(self.order.node)
        try:
            try:
                end = await self._drain()
            except KubernetesError as error:
                end = End(Ending.FAILED, str(error))
            if end.ending in UNDONE:
                end = await self._undo(end)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_LAST_SECONDS, shield=True):
                await self._leave()
            raise
        finally:
            residents.forget(self.order.node)
        return end._replace(evicted=self._evictor.evicted if self._evictor else 0)

    async def _leave(self) -> None:
        """Leave the node to whoever comes next."""
        try:
            await self._nodes.edit(self.order.node, self.order.uid, Leave(self._tools.identity))
        except KubernetesError as error:
            log.warning("drain.left_out_of_balance", node=self.order.node, error=str(error))

    def _new_stamp(self) -> Stamp:
        """The stamp of this drain; an adopted one keeps its beginning and its deadline."""
        adopted = self.order.adopted
        left = timedelta(seconds=self._tools.settings.longest(self.order.pods))
        self._deadline = anyio.current_time() + left.total_seconds()
        if adopted is not None:
            self._deadline = anyio.current_time() + (adopted.deadline - clock.now()).total_seconds()
            return msgspec.structs.replace(adopted, owner=self._tools.identity)
        now = clock.now()
        return Stamp(
            owner=self._tools.identity,
            cause=str(self.order.cause),
            since=now,
            deadline=now + left,
            attempt=self.order.attempt,
        )

    async def _drain(self) -> End:
        """Carry the drain out, step by step. Raises KubernetesError."""
        for step in (self._mark, self._wait_seen, self._look_again, self._empty, self._wait_delays, self._terminate):
            end = await step()
            if end is not None:
                return end
        return End(Ending.REMOVED)

    async def _mark(self) -> End | None:
        """Put the marks on the node, or make those of a predecessor ours."""
        adopted = self.order.adopted
        if adopted is None:
            return await self._edit(Mark(self._stamp, self._tools.settings.cordons, clock.now()))
        return await self._edit(Restamp(self._stamp, adopted.owner))

    async def _edit(self, edit: Edit) -> End | None:
        edited = await self._nodes.edit(self.order.node, self.order.uid, edit)
        if edited is Edited.GONE:
            return End(Ending.GONE)
        return End(Ending.TAKEN) if edited is Edited.LEFT else None

    async def _wait_seen(self) -> End | None:
        """Wait until the scheduler has surely seen the taint, and our cache the marks."""
        began = anyio.current_time()
        pause = 0.0 if self.has_evicted else self._tools.settings.delay_after_taint
        while True:
            passed = anyio.current_time() - began
            if self._is_seen():
                if passed >= pause:
                    return None
                off = self._off()
                if off is not None:
                    return off
            elif self._node() is None:
                return End(Ending.GONE)
            elif passed > pause + _CACHE_PATIENCE:
                return End(Ending.FAILED, "the cache does not show the taint; what runs on the node is not known")
            await anyio.sleep(_POLL)

    async def _look_again(self) -> End | None:
        """Ask on fresh caches whether the node should still go."""
        off = self._off()
        if off is not None:
            return off
        if self.order.is_empty and (left := self._left()):
            return End(Ending.CALLED_OFF, f"pod {left[0].key} runs here now")
        objection = await self._tools.objection(self.order)
        return End(Ending.CALLED_OFF, objection) if objection else None

    async def _empty(self) -> End | None:
        """Evict what must move, then ask the pods of DaemonSets."""
        tools = self._tools
        if self._evictor is None:
            self._evictor = Evictor(self.order.node, self._eviction_tools())
        if self._left():
            if not self.has_evicted:
                if tools.is_paused():
                    return End(Ending.CALLED_OFF, "paused")
                self._stamp = msgspec.structs.replace(self._stamp, step=Step.EVICTING)
                end = await self._edit(Restamp(self._stamp, tools.identity))
                if end is not None:
                    return end
                self.has_evicted = True
            fault = await self._evictor.run(self._deadline)
            if fault:
                return self._off() or End(Ending.FAILED, fault)
        if not tools.settings.bands:
            await self._evictor.evict_daemonsets(is_empty=self.order.is_empty)
        return None

    async def _wait_delays(self) -> End | None:
        """Wait for those who want the node to stay a little, and for its volumes; both only for a time."""
        until = anyio.current_time() + self._tools.settings.deletion_delay
        while True:
            document = await self._nodes.read(self.order.node, self.order.uid)
            if document is None:
                return End(Ending.GONE)
            annotations = document["metadata"].get("annotations") or {}
            delaying = [name for name in annotations if name.startswith(DELAYS_DELETION)]
            if not delaying or anyio.current_time() >= until:
                break
            await anyio.sleep(_FIRST_PAUSE)
        until = min(self._deadline, anyio.current_time() + _VOLUME_PATIENCE)
        attached = await self._tools.volumes.wait_detached(self.order.node, until, self._staying_volumes)
        if delaying or attached:
            log.warning("drain.not_awaited", node=self.order.node, delayed_by=delaying, volumes=list(attached))
        return None

    async def _terminate(self) -> End | None:
        """End the instance once a fresh read shows that the node is ours and empty."""
        until, pause = anyio.current_time() + self._tools.settings.end_patience, 2 * _FIRST_PAUSE
        while True:
            end, left = await self._confirm()
            if end is not None:
                return end
            if left and (self.order.is_empty or anyio.current_time() > self._deadline):
                ending = Ending.CALLED_OFF if self.order.is_empty else Ending.FAILED
                return End(ending, f"pod {left[0].key} runs here now")
            if left:
                await anyio.sleep(_FIRST_PAUSE)  # the cache follows
                end = await self._empty()
                if end is not None:
                    return end
                continue
            if await self._principal.terminate(self.order):
                return None
            if anyio.current_time() > until:
                return End(Ending.FAILED, f"instance {self.order.instance} could not be terminated")
            await anyio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    async def _confirm(self) -> tuple[End | None, Sequence[Pod]]:
        """Read node and pods anew: who drains it, and who is left."""
        document = await self._nodes.read(self.order.node, self.order.uid)
        if document is None:
            return End(Ending.GONE), ()
        stamp = read_stamp(document["metadata"].get("annotations"))
        if stamp is None:
            return End(Ending.STOPPED, "the stamp was taken off by somebody"), ()
        if stamp.owner != self._tools.identity:
            return End(Ending.TAKEN), ()
        return None, self._awaited(await pods_on(self._tools.api, self.order.node))

    async def _undo(self, end: End) -> End:
        """Take the marks off, however long it takes, as long as this process may write."""
        pause = _FIRST_PAUSE
        while True:
            try:
                edited = await self._nodes.edit(self.order.node, self.order.uid, Unmark(self._tools.identity))
            except KubernetesError as error:
                log.warning("drain.undo_failed", node=self.order.node, error=str(error), tried_again=True)
                await anyio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE)
            else:
                return End(Ending.GONE) if edited is Edited.GONE else end

    def _off(self) -> End | None:
        """Tell, by the cache, whether somebody stopped the drain."""
        node = self._node()
        if node is None:
            return End(Ending.GONE)
        stamp = read_stamp(node.annotations)
        if stamp is not None and stamp.owner != self._tools.identity:
            return End(Ending.TAKEN)
        if stamp is None or all(taint.key != TO_BE_DELETED for taint in node.taints):
            return End(Ending.STOPPED, "its marks were taken off by somebody")
        if stamp.cordoned and not node.is_cordoned:
            return End(Ending.STOPPED, "it was uncordoned by somebody")
        if node.annotations.get(SCALE_DOWN_DISABLED) == "true":
            return End(Ending.STOPPED, f"{SCALE_DOWN_DISABLED} was set")
        if self._tools.is_paused() and not self.has_evicted:
            return End(Ending.CALLED_OFF, "paused")
        return None

    def _is_seen(self) -> bool:
        node = self._node()
        stamp = None if node is None else read_stamp(node.annotations)
        return stamp is not None and stamp.owner == self._tools.identity

    def _node(self) -> Node | None:
        return self._tools.cluster.nodes.objects.get(self.order.uid)

    def _left(self) -> list[Pod]:
        """Those who must go first, by the cache."""
        return self._awaited(self._tools.cluster.residents.of(self.order.node))

    def _staying_volumes(self) -> frozenset[str]:
        """What the pods use that are still here once all others have gone: nobody waits for them."""
        cluster = self._tools.cluster
        return cluster.volumes_of(cluster.residents.of(self.order.node))

    def _awaited(self, pods: Sequence[Pod]) -> list[Pod]:
        node = self._node()
        left = movable(pods, is_dead=node is not None and not node.ready)
        return [pod for pod in left if self._tools.settings.bands or not pod.is_of_daemonset]

    def _eviction_tools(self) -> EvictionTools:
        tools = self._tools

        def is_off() -> str:
            end = self._off()
            return "" if end is None else end.detail or str(end.ending)

        def is_dead() -> bool:
            node = self._node()
            return node is not None and not node.ready

        return EvictionTools(
            api=tools.api,
            residents=tools.cluster.residents,
            settings=tools.settings,
            may_write=tools.may_write,
            tell=lambda pod, result, detail: self._principal.tell_pod(self.order, pod, result, detail),
            is_off=is_off,
            is_dead=is_dead,
        )
