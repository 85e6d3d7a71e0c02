"""The loop's one mouth: after each wave and each pass it counts, logs and makes events.

Events are returned as values, for the Kubernetes side to write; in a dry run
the caller drops them. Remembers only which pods' waits were measured already,
and when it told of a pass last.
"""

from __future__ import annotations

from datetime import datetime

from structlog.typing import FilteringBoundLogger

from autoscaler.core.model import Uid
from autoscaler.metrics import Metrics
from autoscaler.publish.events import Anchors, Event, events
from autoscaler.publish.lines import log_pass, log_spare, log_waiting, log_wave
from autoscaler.publish.numbers import count_node_time, count_pass, count_reactions, count_wave
from autoscaler.publish.report import PassReport, WaveReport


class Publisher:
    """Tells waves and passes. Call it from one task."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger, anchors: Anchors) -> None:
        self._metrics = metrics
        self._log = log
        self._anchors = anchors
        self._measured: set[Uid] = set()
        self._not_served: frozenset[str] = frozenset()
        self._told_at: datetime | None = None
        self._lacking: frozenset[str] = frozenset()

    def tell_wave(self, report: WaveReport) -> tuple[Event, ...]:
        """Tell one wave, once its answers are in. Returns the events to be written."""
        self._measured |= count_reactions(self._metrics, report, self._measured)
        count_wave(self._metrics, report)
        log_wave(self._log, report)
        self._not_served = log_waiting(self._log, report, self._not_served)
        return events(report, self._anchors)

    def tell_pass(self, report: PassReport) -> None:
        """Sum up a pass, after the last of its waves was told."""
        if self._measured:
            self._measured &= {pod.uid for pod in report.last.snapshot.pods if pod.node is None}
        count_pass(self._metrics, report)
        count_node_time(self._metrics, report.last.snapshot, self._told_at)
        self._told_at = report.last.snapshot.at
        log_pass(self._log, report)
        self._lacking = log_spare(self._log, report, self._lacking)
