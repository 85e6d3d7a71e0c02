"""Evictor: moves the pods off one node, the least important first, at the pace that their budgets allow.

Level-triggered: each round looks at who is still there. A pod held by its
budget is asked again later and later, and not before the API server says so;
it has its patience anew whenever another pod of the node was let go. Pods of a
higher priority are left alone until all lower ones have been let go, so that
a drain that gets stuck has disturbed the fewest. Mirror pods never move,
DaemonSet pods only where the flags say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import anyio

from autoscaler import clock
from autoscaler.core.model import NodeName, Pod, Uid
from autoscaler.core.scaledown.drainability import is_long_terminating
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.act import Eviction, evict
from autoscaler.kubernetes.draining.residents import Residents
from autoscaler.kubernetes.draining.settings import HEADROOM, DrainSettings
from autoscaler.kubernetes.transport import Api

_FIRST_PAUSE, _LAST_PAUSE = 1.0, 10.0  # seconds between two requests for one pod
_LOOK_AGAIN = 1.0
_PARALLEL = 16
_FORBIDDEN = 403


class Result(StrEnum):
    """What became of a pod."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


Tell = Callable[[Pod, Result, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionTools:
    """What an Evictor works with.

    `is_off` says why the drain was called off, empty as long as it was not;
    `is_dead` that the node's kubelet does not answer.
    """

    api: Api
    residents: Residents
    settings: DrainSettings
    may_write: Callable[[], bool]
    tell: Tell
    is_off: Callable[[], str]
    is_dead: Callable[[], bool]


@dataclass(slots=True)
class _Asked:
    """Where a pod stands; moments of anyio's clock."""

    since: float
    again: float
    pause: float = _FIRST_PAUSE
    earliest: float = 0.0  # before that the API server does not want to be asked
    let_go: bool = False
    is_final: bool = False  # asking again does not help
    detail: str = ""


class Evictor:
    """Empties one followed node. `evicted` counts the pods that were let go."""

    def __init__(self, node: NodeName, tools: EvictionTools) -> None:
        self.evicted = 0
        self._node = node
        self._tools = tools
        self._asked: dict[Uid, _Asked] = {}
        self._moved_at = anyio.current_time()  # when a pod was let go last
        self._grace = 0.0  # the longest that was given
        self._limiter = anyio.CapacityLimiter(_PARALLEL)

    async def run(self, deadline: float) -> str:
        """Return once nobody is left, empty, or why that will not happen; `deadline` is anyio's clock."""
        while True:
            pods = self._movable()
            if not pods:
                return ""
            fault = self._tools.is_off() or self._overdue(pods, deadline)
            if fault:
                self._give_up(pods)
                return fault
            due, next_at = self._due(pods)
            if due:
                await self._evict_all(due)
            else:
                await self._tools.residents.wait_change(self._node, min(next_at, anyio.current_time() + _LOOK_AGAIN))

    async def evict_daemonsets(self, *, is_empty: bool) -> None:
        """Ask DaemonSet pods to leave, where the flags want it; nobody waits for them."""
        settings = self._tools.settings
        pods = [pod for pod in self._tools.residents.of(self._node) if pod.is_of_daemonset and not pod.is_mirror]
        await self._evict_all([pod for pod in pods if settings.evicts(pod, is_empty=is_empty)])

    def _movable(self) -> list[Pod]:
        tools = self._tools
        pods = movable(tools.residents.of(self._node), is_dead=tools.is_dead())
        return [pod for pod in pods if tools.settings.bands or not pod.is_of_daemonset]

    def _due(self, pods: Sequence[Pod]) -> tuple[list[Pod], float]:
        """The pods to be asked now, and when the next one is."""
        now, settings = anyio.current_time(), self._tools.settings
        for pod in pods:
            known = self._asked.setdefault(pod.uid, _Asked(now, now))
            if pod.deleted_at is not None and not known.let_go:  # by somebody else
                self._let_go(known, float(settings.grace_of(pod)))
        waiting = pods if settings.bands else [pod for pod in pods if not self._asked[pod.uid].let_go]
        lowest = min((settings.band_of(pod) for pod in waiting), default=0)
        band = [pod for pod in pods if settings.band_of(pod) <= lowest and pod.deleted_at is None]
        due = [pod for pod in band if self._asked[pod.uid].again <= now]
        next_at = min((self._asked[pod.uid].again for pod in band), default=float("inf"))
        return sorted(due, key=lambda pod: (pod.spec.priority, pod.key)), next_at

    def _overdue(self, pods: Sequence[Pod], deadline: float) -> str:
        """Say which pod is not let go, or does not go, in time."""
        now, patience = anyio.current_time(), self._tools.settings.eviction_patience
        for pod in pods:
            known = self._asked.get(pod.uid)
            if known is None or known.let_go or not known.detail:
                continue
            if known.is_final or now - max(known.since, self._moved_at) >= patience:
                return f"pod {pod.key} could not be evicted within {patience:g} s: {known.detail}"
        left = [pod for pod in pods if (known := self._asked.get(pod.uid)) and known.let_go]
        if len(left) == len(pods) and now - self._moved_at > self._grace + HEADROOM:
            return f"pod {left[0].key} is still there {self._grace + HEADROOM:g} s after its eviction"
        if now > deadline:
            return f"{len(pods)} pods are left at the deadline, pod {pods[0].key} among them"
        return ""

    def _give_up(self, pods: Sequence[Pod]) -> None:
        for pod in pods:
            known = self._asked.get(pod.uid)
            if known is not None and known.detail and not known.let_go:
                self._tools.tell(pod, Result.FAILED, known.detail)

    async def _evict_all(self, pods: Sequence[Pod]) -> None:
        async with anyio.create_task_group() as tasks:
            for pod in pods:
                tasks.start_soon(self._evict, pod)

    async def _evict(self, pod: Pod) -> None:
        now = anyio.current_time()
        known = self._asked.setdefault(pod.uid, _Asked(now, now))
        if not self._tools.may_write():
            known.again, known.detail = now + _FIRST_PAUSE, "the lease is not held"
            return
        grace = self._tools.settings.grace_of(pod)
        try:
            async with self._limiter:
                answer = await evict(self._tools.api, pod, grace_seconds=grace)
        except KubernetesError as error:
            known.is_final = error.status == _FORBIDDEN
            self._put_off(known, str(error), error.retry_after)
            return
        if answer.outcome is Eviction.BLOCKED:
            self._put_off(known, answer.detail, answer.retry_after)
            return
        if not known.let_go and answer.outcome is Eviction.ACCEPTED:
            self.evicted += 1
            self._tools.tell(pod, Result.SUCCEEDED, "")
        self._let_go(known, float(grace))

    def _let_go(self, known: _Asked, grace: float) -> None:
        """The pod is going; should the cache still show it untouched much later, it is asked again."""
        now = anyio.current_time()
        known.let_go, known.again = True, now + _LAST_PAUSE
        self._moved_at = now
        self._grace = max(self._grace, grace)
        for other in self._asked.values():  # budgets move again: soon the next ones may go
            if not other.let_go:
                other.pause = _FIRST_PAUSE
                other.again = min(other.again, max(now + _FIRST_PAUSE, other.earliest))

    def _put_off(self, known: _Asked, detail: str, retry_after: float) -> None:
        now = anyio.current_time()
        known.detail = detail
        known.earliest = now + retry_after
        known.again = max(now + known.pause, known.earliest)
        known.pause = min(2 * known.pause, _LAST_PAUSE)


def movable(pods: Sequence[Pod], *, is_dead: bool) -> list[Pod]:
    """The pods whose going a drain waits for, those of DaemonSets included.

    A pod that should long be gone is not waited for: its kubelet is gone, or a
    finalizer holds it, and nobody will end it. With a kubelet known to be
    dead, that is so as soon as its grace period is over.
    """
    at = clock.now()
    return [
        pod
        for pod in pods
        if not (pod.is_mirror or pod.is_finished or is_long_terminating(pod, at))
        and not (is_dead and pod.deleted_at is not None and at > pod.deleted_at)
    ]
