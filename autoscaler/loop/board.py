"""The board: keeps the status ConfigMap current while this process leads.

cluster-autoscaler writes it in every loop. Here a change is written at once,
but no two within two seconds, and without one it is confirmed every ten
seconds, as long as what the last pass saw still holds: whoever reads an old
`lastProbeTime` knows that nobody decides.
"""

from __future__ import annotations

from datetime import datetime

import anyio

from autoscaler import clock
from autoscaler.kubernetes.status_map import StatusMap
from autoscaler.loop.ports import Eyes
from autoscaler.metrics import Metrics, series
from autoscaler.publish.report import PassReport
from autoscaler.publish.status import Status, status_of
from autoscaler.publish.status_text import go_time, status_text

SHORTEST, LONGEST = 2.0, 10.0  # seconds between two writes


class Board:
    """Takes passes and writes when it is time."""

    def __init__(self, paper: StatusMap, eyes: Eyes, metrics: Metrics) -> None:
        self._paper = paper
        self._eyes = eyes
        self._metrics = metrics
        self._status = Status()
        self._at: datetime | None = None
        self._seen: object = None
        self._changed = anyio.Event()

    def take(self, report: PassReport) -> None:
        """Take how things stand after a pass; returns at once."""
        before, self._at = self._status, report.last.snapshot.at
        self._status = status_of(report.last.snapshot, report.last.decision, before)
        self._seen = self._eyes.change()
        if self._status != before:
            self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            written = self._status
            await self._write(written)
            await anyio.sleep(SHORTEST)
            with anyio.move_on_after(LONGEST - SHORTEST):
                while self._status == written:
                    self._changed = anyio.Event()
                    await self._changed.wait()

    async def _write(self, status: Status) -> None:
        now = clock.now()
        text = status_text(status, self._probed(now), now)
        stands = await self._paper.write(text, go_time(now))
        if stands is not None:
            self._metrics.add(series.STATUS_WRITES, result="written" if stands else "failed")

    def _probed(self, now: datetime) -> datetime:
        """When the status was last known to hold: now, if nothing has changed since the last pass."""
        if self._at is None or (self._eyes.change() == self._seen and not self._eyes.blind()):
            return now
        return self._at
