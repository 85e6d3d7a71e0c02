"""When a pass runs: soon after something changed, and never without need.

Changes come in bursts. A burst is over after `idle` seconds of silence, and
is waited for no longer than `most`; without any change the loop still looks
up every `interval`, as a safety net.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from autoscaler import clock


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
        self._bell = anyio.Event()
        self._first: float | None = None

    def ring(self) -> None:
        """Tell that something changed. Costs nothing, may be called for every event."""
        if self._first is None:
            self._first = clock.monotonic()
        self._bell.set()

    async def wait_burst(self, until: float) -> float | None:
        """Wait for a burst of changes to end; return when it began (monotonic), None without one.

        `until` is a moment of anyio's clock at which waiting without a change ends.
        """
        with anyio.move_on_at(min(until, anyio.current_time() + self._rhythm.interval)):
            await self._bell.wait()
        if not self._bell.is_set():
            return None
        with anyio.move_on_after(self._rhythm.most):
            while self._bell.is_set():
                self._bell = anyio.Event()
                with anyio.move_on_after(self._rhythm.idle):
                    await self._bell.wait()
        self._bell = anyio.Event()
        began, self._first = self._first, None
        return began
