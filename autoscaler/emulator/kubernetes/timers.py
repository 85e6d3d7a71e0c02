"""Things that happen later, and loops that sleep until there is something to do.

Callbacks run on the emulator's thread, in the order of their deadlines; what
an object refuses by then (it is gone, it has changed) is nobody's fault.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from contextlib import suppress
from itertools import count
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from .objects import MALFORMED
from .status import ApiError

KeyT = TypeVar("KeyT", bound=Hashable)
_TURN = 0.002  # seconds of work before others get their turn


class Turn:
    """Lets the other tasks run once this one has worked for a while."""

    def __init__(self) -> None:
        self._since = anyio.current_time()

    async def yield_if_due(self) -> None:
        if anyio.current_time() - self._since > _TURN:
            await checkpoint()
            self._since = anyio.current_time()


class Alarm:
    """Wakes one sleeper; rings that come before it sleeps are kept."""

    def __init__(self) -> None:
        self._rung = False
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        self._rung = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        if not self._rung:
            self._event = anyio.Event()
            await self._event.wait()
            self._event = None
        self._rung = False


class Timers:
    """Callbacks due in some seconds."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._alarm = Alarm()

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._due, (anyio.current_time() + seconds, next(self._numbers), act))
        self._alarm.ring()

    async def run(self) -> None:
        while True:
            now = anyio.current_time()
            turn = Turn()
            while self._due and self._due[0][0] <= now:
                act = heapq.heappop(self._due)[2]
                with suppress(ApiError, *MALFORMED):  # the object has changed meanwhile, or is odd
                    act()
                await turn.yield_if_due()
            with anyio.move_on_at(self._due[0][0] if self._due else float("inf")):
                await self._alarm.wait()


class Reconciler(Generic[KeyT]):
    """Keys that events marked are reconciled one after another, each once however often it was marked."""

    def __init__(self, reconcile: Callable[[KeyT], None]) -> None:
        self._reconcile = reconcile
        self._marked: dict[KeyT, None] = {}
        self._alarm = Alarm()

    def mark(self, key: KeyT) -> None:
        self._marked[key] = None
        self._alarm.ring()

    async def run(self) -> None:
        while True:
            await self._alarm.wait()
            turn = Turn()
            while self._marked:
                key = next(iter(self._marked))
                del self._marked[key]
                with suppress(ApiError, *MALFORMED):  # whatever changed meanwhile marks the key again
                    self._reconcile(key)
                await turn.yield_if_due()
