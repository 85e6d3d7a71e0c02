"""What applications wish for their own pods when nodes go voluntarily.

Which wish applies to a pod is `tuning`'s business; here is what it means for
a node: every pod on it must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import cast

from autoscaler.core.model import Pod
from autoscaler.core.tuning import DisruptionWish, Key, Tuning, Wish
from autoscaler.core.window import Window

TuningOf = Callable[[Pod], Tuning]


def min_age(pods: Iterable[Pod], flag: timedelta | None, tuning_of: TuningOf) -> tuple[timedelta | None, str]:
    """The age at which all pods agree to leave an on-demand node, None for never; and whose wish that is.

    A pod's own wish replaces the flag, in both directions.
    """
    oldest, whose = timedelta(0), ""
    is_any = False
    for pod in pods:
        is_any = True
        wish = tuning_of(pod).get(Key.MIN_AGE)
        own = flag if wish is None else cast("timedelta | None", wish.value)
        if own is None:
            return None, _told(pod, wish) if wish is not None else "--on-demand-min-age=never"
        if own >= oldest:
            oldest, whose = own, _told(pod, wish) if wish is not None else "--on-demand-min-age"
    return (oldest, whose) if is_any else (flag, "--on-demand-min-age")


def refuses_disruption(pods: Iterable[Pod], at: datetime, tuning_of: TuningOf) -> str:
    """Tell which pod must not be evicted voluntarily now; empty: none."""
    for pod in pods:
        wish = tuning_of(pod).get(Key.DISRUPTION)
        if wish is None or wish.value is DisruptionWish.ALLOW:
            continue
        if wish.value is DisruptionWish.NEVER or not cast("Window", wish.value).contains(at):
            return _told(pod, wish)
    return ""


def next_window(pods: Iterable[Pod], at: datetime, tuning_of: TuningOf) -> datetime | None:
    """When the first window of these pods opens or closes."""
    wishes = (tuning_of(pod).get(Key.DISRUPTION) for pod in pods)
    windows = {wish.value for wish in wishes if wish is not None and isinstance(wish.value, Window)}
    return min((moment for one in windows if (moment := one.next_change(at)) is not None), default=None)


def _told(pod: Pod, wish: Wish) -> str:
    return f"{pod.key}: {wish}"
