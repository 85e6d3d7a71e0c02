"""The control loop: waits for a change, runs a pass, and survives what it meets.

The only `except Exception` of the product is here: whatever goes wrong in a
pass is told and counted, and the next pass starts from the world again.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import structlog

from autoscaler import clock
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.pace import Pace
from autoscaler.loop.passes import Pass
from autoscaler.loop.ports import Eyes
from autoscaler.metrics import Metrics, series
from autoscaler.publish.numbers import count_error
from autoscaler.web.health import Health

log = structlog.get_logger()

SHORTEST_PAUSE = 1.0  # seconds between two passes when one failed, was blind, or a deadline woke it


@dataclass(frozen=True, kw_only=True)
class Gauges:
    """Where the loop notes how it is doing."""

    health: Health
    metrics: Metrics


class Controller:
    """Runs passes for ever."""

    def __init__(self, eyes: Eyes, passes: Pass, pace: Pace, ledger: Ledger, gauges: Gauges) -> None:
        self._eyes = eyes
        self._passes = passes
        self._pace = pace
        self._ledger = ledger
        self._gauges = gauges

    async def run(self) -> None:
        """Loop until cancelled."""
        self._gauges.health.begin(clock.monotonic())
        rung_at: float | None = None
        while True:
            self._gauges.health.note_activity(clock.monotonic())
            self._note_alive()
            seen = self._eyes.change()
            if await self._attempt(rung_at):
                rung_at = await self._wait(seen)
            else:
                rung_at = None
                await self._pause()

    async def _pause(self) -> None:
        """Wait before another attempt; what was blind looks again as soon as there may be something to see."""
        if self._eyes.blind():
            await self._pace.wait_burst(anyio.current_time() + SHORTEST_PAUSE)
        else:
            await anyio.sleep(SHORTEST_PAUSE)

    async def _attempt(self, rung_at: float | None) -> bool:
        try:
            done = await self._passes.run(rung_at)
        except Exception as error:
            log.exception("pass.failed")
            count_error(self._gauges.metrics, error)
            return False
        if done:
            self._gauges.health.note_success(clock.monotonic())
            self._pace.rest(self._passes.effort)
        return done

    async def _wait(self, seen: object) -> float | None:
        """Wait until the world has changed or a backoff has ended; return when the change was seen.

        A pass whose inputs did not change is not run: waking without a change
        and without an end in sight only notes that the loop lives.
        """
        until = self._next_end()
        while True:
            began = await self._pace.wait_burst(until)
            self._gauges.health.note_success(clock.monotonic())
            self._note_alive()
            if self._eyes.blind() or anyio.current_time() >= until or self._eyes.change() != seen:
                return began
            self._gauges.metrics.add(series.PASSES, result="unchanged")

    def _note_alive(self) -> None:
        self._gauges.metrics.put(series.LAST_ACTIVITY, clock.now().timestamp(), activity="main")

    def _next_end(self) -> float:
        """When time alone changes a decision: a backoff, a delay or a deadline ends; on anyio's clock."""
        at = clock.now()
        ends = [end for end in (self._ledger.memory.next_change(at), self._passes.next_at) if end is not None]
        if not ends:
            return float("inf")
        return anyio.current_time() + max((min(ends) - at).total_seconds(), SHORTEST_PAUSE)
