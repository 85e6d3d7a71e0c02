"""Every call since the start: what was asked, when, and how it ended.

Tests and benches count and time calls here instead of guessing. `at` is aware
UTC, `started` and `seconds` are on the monotonic clock. Has its own lock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from autoscaler import clock


@dataclass(slots=True, kw_only=True)
class Call:
    """One request. `status` 0: in flight, or its connection was dropped.

    Of LaunchInstances also how many instances its answer named, and the error
    codes in it: an answer with errors is a success on the wire.
    """

    number: int
    at: datetime
    started: float
    service: str
    action: str
    parameters: Mapping[str, str]
    status: int = 0
    code: str = ""
    seconds: float | None = None
    launched: int = 0
    refusals: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.parameters.get("AutoScalingGroupName", "")

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat(), "parameters": dict(self.parameters), "group": self.group}


class Journal:
    """The calls in order of arrival, and how many of each action ran side by side."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._calls: list[Call] = []
        self._in_flight: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()

    def open(self, service: str, action: str, parameters: Mapping[str, str]) -> Call:
        with self._lock:
            call = Call(
                number=len(self._calls) + 1,
                at=clock.now(),
                started=clock.monotonic(),
                service=service,
                action=action,
                parameters=parameters,
            )
            self._calls.append(call)
            self._in_flight[action] += 1
            self._peaks[action] = max(self._peaks[action], self._in_flight[action])
            self._lock.notify_all()
            return call

    def close(self, call: Call, status: int, code: str) -> None:
        with self._lock:
            call.status, call.code = status, code
            call.seconds = clock.monotonic() - call.started
            self._in_flight[call.action] -= 1
            self._lock.notify_all()

    def calls(self, action: str | None = None, since: int = 0) -> list[Call]:
        """Calls of one action or all, after the one numbered `since`."""
        with self._lock:
            return [call for call in self._calls[since:] if action is None or call.action == action]

    def in_flight(self, action: str) -> int:
        with self._lock:
            return self._in_flight[action]

    def peak(self, action: str) -> int:
        """The most calls of this action that ever ran side by side."""
        with self._lock:
            return self._peaks[action]

    def wait_in_flight(self, action: str, count: int, timeout: float) -> bool:
        """Wait until so many calls of the action are in flight; False when the time ran out."""
        with self._lock:
            return self._lock.wait_for(lambda: self._in_flight[action] >= count, timeout)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
            self._peaks.clear()
