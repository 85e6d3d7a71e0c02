"""What goes wrong on demand, and the log of every request that came in.

A fault holds for the paths its regex finds, for some seconds or some times:
an HTTP status, a delay, a dropped connection, or a lost answer. Cutting watches and forgetting
history are one-off acts and live with the watches and the store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count

import anyio
from aiohttp import web

from autoscaler import clock

from .objects import Json
from .status import ApiError, bad_request

_REASONS = {
    401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip
_KEPT_REQUESTS = 200_000


@dataclass(slots=True, kw_only=True)
class Fault:
    """One rule; it ends at `until` (monotonic seconds) or after `times` requests."""

    number: int
    path: re.Pattern[str]
    method: str = ""
    status: int = 0
    retry_after: int = 0
    delay: float = 0.0
    drop: bool = False  # the connection, before anything is done
    lose: bool = False  # the answer, after all is done
    until: float | None = None
    times: int | None = None

    def applies(self, method: str, path: str, at: float) -> bool:
        if self.until is not None and at > self.until:
            return False
        return self.times != 0 and self.method in ("", method) and self.path.search(path) is not None


@dataclass(slots=True)
class Faults:
    """The active rules and the requests seen."""

    rules: list[Fault] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def add(self, rule: Json) -> int:
        """A rule: path, method, status, retryAfter, delay, drop, lose, seconds, times. Raises ApiError 400."""
        try:
            seconds = rule.get("seconds")
            made = Fault(
                number=next(self._numbers),
                path=re.compile(rule.get("path", "")),
                method=str(rule.get("method", "")).upper(),
                status=int(rule.get("status", 0)),
                retry_after=int(rule.get("retryAfter", 0)),
                delay=float(rule.get("delay", 0)),
                drop=bool(rule.get("drop", False)),
                lose=bool(rule.get("lose", False)),
                until=clock.monotonic() + float(seconds) if seconds is not None else None,
                times=int(rule["times"]) if "times" in rule else None,
            )
        except (re.error, TypeError, ValueError) as fault:
            raise bad_request(f"no fault rule: {fault}") from fault
        self.rules.append(made)
        return made.number

    def clear(self) -> None:
        self.rules.clear()

    def record(self, method: str, path: str) -> None:
        """Note one request; the oldest half is forgotten when there are very many."""
        if len(self.requests) >= _KEPT_REQUESTS:
            del self.requests[: _KEPT_REQUESTS // 2]
        at = clock.now()
        row = {"method": method, "path": path, "time": at.isoformat(), "at": at.timestamp()}
        self.requests.append(row)

    def seen(self, path: str = "", method: str = "") -> list[Json]:
        """Requests whose path (with query) the regex finds."""
        wanted = re.compile(path)
        return [row for row in self.requests if wanted.search(row["path"]) and method in ("", row["method"])]

    async def strike(self, request: web.Request) -> bool:
        """Delay, drop or refuse a request; true when it is to be done and its answer lost.

        Raises ApiError for a refusal, and after a drop, so that nothing is done.
        """
        loses = False
        for rule in list(self.rules):
            if not rule.applies(request.method, request.path_qs, clock.monotonic()):
                continue
            if rule.times is not None:
                rule.times -= 1
            if rule.delay:
                await anyio.sleep(rule.delay)
            if rule.drop and request.transport is not None:
                request.transport.abort()
                raise ApiError(500, "InternalError", f"fault {rule.number} dropped the connection")
            loses = loses or rule.lose
            if rule.status:
                details = {"retryAfterSeconds": rule.retry_after} if rule.retry_after else {}
                reason = _REASONS.get(rule.status, "Unknown")
                raise ApiError(rule.status, reason, f"fault {rule.number} on demand", details)
        return loses
