"""What the edges did, turned into figures: API calls, caches, events.

The edges keep plain numbers of their own and know no metrics; whoever holds
both hands them over here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autoscaler.core.decision import RefusalKind
from autoscaler.metrics import Metrics, series

_FAULTS = (RefusalKind.CONFIGURATION, RefusalKind.NO_LAUNCH_API, RefusalKind.UNKNOWN)
_TOO_MANY_REQUESTS = 429


class CacheState(NamedTuple):
    """One kind of objects as cached; `age` in seconds, `malformed` since the start."""

    kind: str
    objects: int
    age: float
    malformed: int = 0


def count_aws_call(metrics: Metrics, operation: str, refusal: RefusalKind | None, seconds: float) -> None:
    """Count one AWS call, by the class of its error; None for none.

    A refusal for capacity, a limit or a race is an answer of an API that works.
    """
    status, result = "success", "answered"
    if refusal is RefusalKind.THROTTLED:
        status = result = "throttled"
        metrics.add(series.API_THROTTLES, api="aws", side="server")
    elif refusal is RefusalKind.NO_ANSWER:
        status = result = "timeout"
    elif refusal is not None:
        status, result = "error", "error" if refusal in _FAULTS else "answered"
    metrics.observe(series.AWS_SECONDS, seconds, endpoint=operation, status=status)
    metrics.add(series.API_CALLS, api="aws", result=result)


def count_kubernetes_call(metrics: Metrics, path: str, status: int) -> None:
    """Count one request by its HTTP status; 0 when there was no answer. Conflicts are answers, as is a budget's no."""
    if status == _TOO_MANY_REQUESTS and path.endswith("/eviction"):
        result = "answered"
    elif status == _TOO_MANY_REQUESTS:
        metrics.add(series.API_THROTTLES, api="kubernetes", side="server")
        result = "throttled"
    elif status == 0:
        result = "timeout"
    else:
        result = "answered" if status < 400 or status in (404, 409, 410) else "error"
    metrics.add(series.API_CALLS, api="kubernetes", result=result)


def count_caches(metrics: Metrics, states: Iterable[CacheState]) -> None:
    """Say how much each cache holds and how fresh it is. Several of one kind count together, the oldest age."""
    found: dict[str, CacheState] = {}
    for state in states:
        known = found.get(state.kind, CacheState(state.kind, 0, 0.0))
        found[state.kind] = CacheState(
            state.kind, known.objects + state.objects, max(known.age, state.age), known.malformed + state.malformed
        )
    for kind, state in found.items():
        metrics.put(series.CACHE_OBJECTS, state.objects, kind=kind)
        metrics.put(series.CACHE_AGE, state.age, kind=kind)
        metrics.carry(series.MALFORMED_OBJECTS, state.malformed, kind=kind)


def count_events(metrics: Metrics, *, sent: int, repeated: int, dropped: int) -> None:
    """Take over what the writer of events counted since the start."""
    for result, total in (("sent", sent), ("repeated", repeated), ("dropped", dropped)):
        metrics.carry(series.EVENTS, total, result=result)
