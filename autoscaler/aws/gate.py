"""Holding back a kind of call while it fails: at most one request a second.

Closed by what every caller would meet (throttling, denial, no answer), not by
a refusal of one request's content. Opened by the first success. Spans are of
anyio's clock, in seconds.
"""

from __future__ import annotations

from random import SystemRandom

import anyio

from autoscaler.aws.refusals import classify
from autoscaler.core.decision import RefusalKind
from autoscaler.errors import AwsError

FIRST_DELAY = 1.0
LONGEST_DELAY = 10.0
PATIENCE = 5.0
BACKOFF = "Backoff"  # code of the AwsError for a call that was not made
_DENIED = (401, 403)
_random = SystemRandom()


def concerns_all(error: AwsError) -> bool:
    """Tell whether the next call of the same kind, whatever its content, would fail too."""
    kind = classify(error.code, str(error))
    if kind is RefusalKind.CONTENTION:  # comes with status 500, and concerns one group
        return False
    return kind is RefusalKind.THROTTLED or error.status in _DENIED or error.status == 0 or error.status >= 500


class Gate:
    """The gate of one operation. While closed, requests pass one at a time, further and further apart."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._failures = 0
        self._counted = 0.0
        self._next = 0.0  # when the next request may pass
        self._opened = anyio.Event()

    async def pass_through(self) -> None:
        """Wait for a turn. Raises AwsError with code Backoff when it would take longer than PATIENCE."""
        if not self._failures:
            return
        now = anyio.current_time()
        turn = max(now, self._next)
        if turn - now > PATIENCE:
            raise AwsError(BACKOFF, f"{self._operation}: it fails; not asked for another {turn - now:.0f} s")
        self._next = turn + self._delay()
        with anyio.move_on_after(turn - now):
            await self._opened.wait()

    def judge(self, error: AwsError) -> None:
        """Learn from a failure, or from an answer that only refuses this one request."""
        if not concerns_all(error):
            self.succeeded()
            return
        now = anyio.current_time()
        if not self._failures:
            self._opened = anyio.Event()
        if not self._failures or now - self._counted > FIRST_DELAY / 2:  # parallel failures are one
            self._failures += 1
            self._counted = now
        self._next = max(self._next, now + self._delay())

    def succeeded(self) -> None:
        if self._failures:
            self._failures = 0
            self._next = 0.0
            self._opened.set()

    def _delay(self) -> float:
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (self._failures - 1))
        return max(FIRST_DELAY, longest * (1 - _random.random() / 4))
