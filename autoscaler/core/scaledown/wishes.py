"""What applications wish for their own pods when nodes go voluntarily.

Read from the pods here; where a wish stands on a workload, a namespace or a
PriorityClass, whoever reads those hands it down. One that cannot be read
counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from autoscaler.core.duration import parse_duration
from autoscaler.core.model import Pod
from autoscaler.core.window import Window, parse_window

PREFIX = "priority-autoscaler/"
MIN_AGE = PREFIX + "on-demand-min-age"
MARKET = PREFIX + "on-demand"
DISRUPTION = PREFIX + "disruption"


def min_age(pods: Iterable[Pod], flag: timedelta | None) -> tuple[timedelta | None, str]:
    """The age at which all pods agree to leave an on-demand node, None for never; and whose wish that is.

    A pod's own wish replaces the flag, in both directions.
    """
    oldest, whose = timedelta(0), ""
    is_any = False
    for pod in pods:
        is_any = True
        text = pod.annotations.get(MIN_AGE)
        own = flag
        if text == "never":
            own = None
        elif text is not None:
            own = _span(text, flag)
        if own is None:
            return None, f"{pod.key}: {MIN_AGE}: never" if text == "never" else "--on-demand-min-age=never"
        if own >= oldest:
            oldest, whose = own, f"{pod.key}: {MIN_AGE}: {text}" if text is not None else "--on-demand-min-age"
    return (oldest, whose) if is_any else (flag, "--on-demand-min-age")


def _span(text: str, otherwise: timedelta | None) -> timedelta | None:
    try:
        span = parse_duration(text)
    except ValueError:
        return otherwise
    return span if span >= timedelta(0) else otherwise


def wants_on_demand(pods: Iterable[Pod]) -> str:
    """Tell which pod runs on on-demand nodes only; empty: none does."""
    return next((f"{pod.key}: {MARKET}: only" for pod in pods if pod.annotations.get(MARKET) == "only"), "")


def refuses_disruption(pods: Iterable[Pod], at: datetime) -> str:
    """Tell which pod must not be evicted voluntarily now; empty: none."""
    for pod in pods:
        text = pod.annotations.get(DISRUPTION)
        if text is None or text == "allow":
            continue
        window = None if text == "never" else _window(text)
        if text == "never" or (window is not None and not window.contains(at)):
            return f"{pod.key}: {DISRUPTION}: {text}"
    return ""


@lru_cache(maxsize=256)
def _window(text: str) -> Window | None:
    try:
        return parse_window(text)
    except ValueError:
        return None
