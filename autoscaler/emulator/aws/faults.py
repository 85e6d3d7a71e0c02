"""Trouble on demand: slow, throttled, denied, failing, dropped and held calls.

A fault names actions by a shell pattern ("LaunchInstances", "Describe*", "*")
and optionally a group; it acts a number of times, for a time, or until it is
taken away. The first fault that matches acts. Has its own lock, and whoever
waits here holds no other: slow calls proceed side by side.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from autoscaler import clock
from autoscaler.emulator.aws.model import AwsFault

Kind = Literal["error", "drop", "drop-after"]
THROTTLED = {"ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503)}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One rule.

    `error` answers with code, message and status instead of doing anything;
    `drop` closes the connection before, `drop-after` after the call was carried
    out. `times` and `seconds` bound it; None: no bound.
    """

    kind: Kind = "error"
    action: str = "*"
    group: str = "*"
    code: str = "Throttling"
    message: str = "Rate exceeded"
    status: int = 400
    times: int | None = None
    seconds: float | None = None
    until: float | None = None

    def covers(self, action: str, group: str) -> bool:
        return fnmatchcase(action, self.action) and fnmatchcase(group, self.group)

    def error(self) -> AwsFault:
        return AwsFault(self.code, self.message, self.status)


class Faults:
    """All rules in force."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._faults: list[Fault] = []
        self._latencies: dict[str, float] = {}
        self._held: dict[str, int] = {}
        self.launch_api = True

    def add(self, fault: Fault) -> None:
        with self._changed:
            if fault.seconds is not None:
                fault.until = clock.monotonic() + fault.seconds
            self._faults.append(fault)

    def clear(self) -> None:
        """No faults, no latency, nothing held, LaunchInstances back."""
        with self._changed:
            self._faults.clear()
            self._latencies.clear()
            self._held.clear()
            self.launch_api = True
            self._changed.notify_all()

    def take(self, action: str, group: str) -> Fault | None:
        """The fault that this call meets, counted."""
        with self._changed:
            now = clock.monotonic()
            self._faults = [one for one in self._faults if one.times != 0 and (one.until is None or now < one.until)]
            found = next((one for one in self._faults if one.covers(action, group)), None)
            if found is not None and found.times is not None:
                found.times -= 1
            return found

    def set_latency(self, action: str, seconds: float) -> None:
        """How long calls of this action take (a pattern; the longest pattern that matches counts)."""
        with self._changed:
            self._latencies[action] = seconds

    def hold(self, action: str) -> None:
        """Keep calls of this action (a pattern) waiting until they are released."""
        with self._changed:
            self._held[action] = 1

    def release(self, action: str) -> None:
        with self._changed:
            self._held.pop(action, None)
            self._changed.notify_all()

    def wait(self, action: str) -> None:
        """Let the time of one call pass."""
        with self._changed:
            self._changed.wait_for(lambda: not any(fnmatchcase(action, held) for held in self._held))
            matching = [pattern for pattern in self._latencies if fnmatchcase(action, pattern)]
            seconds = self._latencies[max(matching, key=len)] if matching else 0.0
        if seconds > 0:
            threading.Event().wait(seconds)


def throttling(service: str, action: str = "*", times: int | None = None, seconds: float | None = None) -> Fault:
    """The service's own words for too many calls."""
    code, message, status = THROTTLED.get(service, ("Throttling", "Rate exceeded", 400))
    return Fault(action=action, code=code, message=message, status=status, times=times, seconds=seconds)


def access_denied(service: str, action: str, times: int | None = None) -> Fault:
    """The service's own words for a permission that is missing."""
    if service == "ec2":
        message = "You are not authorized to perform this operation."
        return Fault(action=action, code="UnauthorizedOperation", message=message, status=403, times=times)
    message = (
        f"User: arn:aws:sts::111122223333:assumed-role/autoscaler/session is not authorized to perform: "
        f"{service}:{action} because no identity-based policy allows the {service}:{action} action"
    )
    code = "AccessDenied" if service == "autoscaling" else "AccessDeniedException"
    return Fault(action=action, code=code, message=message, status=403, times=times)
