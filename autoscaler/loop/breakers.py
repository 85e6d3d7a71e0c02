"""Breakers: an API that fails half of its calls has every removal stopped until it recovers.

A refusal, for capacity, by a budget or of a permission, is an answer of an API
that works. Each AWS operation counts by itself, the API server as a whole.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from autoscaler.core.decision import Objection, RefusalKind, Why

LAST_CALLS = 20
WITHIN = 120.0  # seconds
FAILURES = frozenset({RefusalKind.NO_ANSWER, RefusalKind.THROTTLED, RefusalKind.UNKNOWN})
TOO_MANY_REQUESTS = 429


@dataclass(slots=True)
class Breakers:
    """The last calls of each API: when each failed, None where it did not. Seconds on one clock."""

    _calls: dict[str, deque[float | None]] = field(default_factory=dict)

    def note(self, api: str, *, failed: bool, now: float) -> None:
        """Remember a call that was just answered, or was not."""
        calls = self._calls.setdefault(api, deque(maxlen=LAST_CALLS))
        calls.append(now if failed else None)

    def note_aws(self, operation: str, refusal: RefusalKind | None, now: float) -> None:
        """Remember a call to AWS by the class of its error; None for none."""
        self.note(operation, failed=refusal in FAILURES, now=now)

    def note_kubernetes(self, path: str, status: int, now: float) -> None:
        """Remember a request by its HTTP status, 0 without an answer. A budget that allows none is an answer."""
        is_overload = status == TOO_MANY_REQUESTS and not path.endswith("/eviction")
        self.note("Kubernetes", failed=status == 0 or status >= 500 or is_overload, now=now)

    def open(self, now: float) -> tuple[Objection, ...]:
        """Say which APIs stop removals now."""
        return tuple(
            Objection(Why.CLUSTER_UNHEALTHY, f"{failed} of the last {LAST_CALLS} calls to {api} failed")
            for api, calls in sorted(self._calls.items())
            if (failed := sum(at is not None and now - at < WITHIN for at in calls)) > LAST_CALLS // 2
        )
