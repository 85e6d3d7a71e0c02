"""When a pass runs: soon after something changed, and never without need.

Changes come in bursts. A burst is over after `idle` seconds of silence, and
is waited for no longer than `most`; without any change the loop still looks
up every `interval`, as a safety net. A change that nobody waits for, such as
the coming and going of running pods, is looked at when passes have rested:
they take a fiftieth of the time by it, however big the cluster is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import anyio

from autoscaler import clock

REST = 50.0  # times as long as a pass took; at most the interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Seconds."""

    idle: float = 0.1
    most: float = 0.25
    interval: float = 10.0


class Pace:
    """A bell that many may ring and one waits for."""

    def __init__(self, rhythm: Rhythm) -> None:
        self._rhythm = rhythm
        self._stirred = anyio.Event()
        self._is_rung = self._is_murmured = False
        self._first: float | None = None
        self._rested_at = -math.inf

    def ring(self) -> None:
        """Tell that something changed. Costs nothing, may be called for every event."""
        if self._first is None:
            self._first = clock.monotonic()
        self._is_rung = True
        self._stirred.set()

    def murmur(self) -> None:
        """Tell that something changed that nobody waits for."""
        if not self._is_murmured:
            self._is_murmured = True
            self._stirred.set()

    def rest(self, seconds: float) -> None:
        """Tell how long a pass took: murmurs wait in proportion."""
        self._rested_at = anyio.current_time() + min(REST * seconds, self._rhythm.interval)

    async def wait_burst(self, until: float) -> float | None:
        """Wait for a burst of changes to end; return when it began (monotonic), None without one.

        `until` is a moment of anyio's clock at which waiting without a change ends.
        """
        await self._wait_stir(min(until, anyio.current_time() + self._rhythm.interval))
        self._is_murmured = True  # one more is no part of the burst
        with anyio.move_on_after(self._rhythm.most):
            while self._is_rung:
                self._is_rung, self._stirred = False, anyio.Event()
                with anyio.move_on_after(self._rhythm.idle):
                    await self._stirred.wait()
        self._is_rung = self._is_murmured = False
        began, self._first = self._first, None
        return began

    async def _wait_stir(self, end: float) -> None:
        """Wait for a ring, for a murmur once passes have rested, or for the end."""
        while not self._is_rung:
            due = min(end, self._rested_at) if self._is_murmured else end
            if anyio.current_time() >= due:
                return
            self._stirred = anyio.Event()
            with anyio.move_on_at(due):
                await self._stirred.wait()
