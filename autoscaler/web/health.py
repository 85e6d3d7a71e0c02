"""Whether the loop is alive and gets its work done, by cluster-autoscaler's rules.

Pure: times are seconds of the monotonic clock and come from the caller. A
process that does not lead is always well, since it is not meant to act.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """How old the last sign of life and the last successful pass may be.

    Until the first success both may be `max_startup`, raised to the largest
    of the three. Defaults and meanings are cluster-autoscaler's.
    """

    max_inactivity: timedelta = timedelta(minutes=10)
    max_failing: timedelta = timedelta(minutes=15)
    max_startup: timedelta = timedelta(minutes=20)


class Health:
    """The two times that count; watched from `begin` to `rest`."""

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._activity: float | None = None
        self._success: float = 0.0
        self._succeeded = False

    def begin(self, at: float) -> None:
        """Watch from now on: this process leads."""
        if self._activity is None:
            self._activity = self._success = at

    def rest(self) -> None:
        """Stop watching: another process leads."""
        self._activity = None
        self._succeeded = False

    def note_activity(self, at: float) -> None:
        """A pass began, or found nothing to do. Counts only once watched."""
        if self._activity is not None:
            self._activity = max(self._activity, at)

    def note_success(self, at: float) -> None:
        """A pass ended well. Counts only once watched."""
        if self._activity is not None:
            self._activity = max(self._activity, at)
            self._success = max(self._success, at)
            self._succeeded = True

    def verdict(self, now: float) -> tuple[str, ...]:
        """Return what is wrong, in whole sentences; nothing when all is well."""
        if self._activity is None:
            return ()
        limits = self._limits
        inactivity, failing = limits.max_inactivity, limits.max_failing
        if not self._succeeded:
            inactivity = failing = max(limits.max_startup, inactivity, failing)
        faults = []
        if now - self._activity > inactivity.total_seconds():
            faults.append(_sentence("sign of life", now - self._activity, inactivity))
        if now - self._success > failing.total_seconds():
            faults.append(_sentence("successful pass", now - self._success, failing))
        return tuple(faults)


def _sentence(what: str, age: float, limit: timedelta) -> str:
    return f"last {what} {age:.0f} s ago; at most {limit.total_seconds():.0f} s are allowed"
