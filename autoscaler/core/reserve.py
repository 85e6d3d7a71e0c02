"""What an operator wants spare: headroom, and floors by time. What becomes of these values is `headroom`'s business."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from autoscaler.core.resources import Resources
from autoscaler.core.sizes import Size
from autoscaler.core.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Room to be kept spare: `size` times a placeholder that asks for `requests`.

    `groups` None: on any node. `per_zone`: in each zone of these groups by
    itself. `window` None: always.
    """

    name: str  # where it is written, for people and for the order
    size: Size
    requests: Resources
    groups: re.Pattern[str] | None = None
    per_zone: bool = False
    window: Window | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least number of nodes of some groups together, while the window is open and `warmup` before."""

    name: str
    groups: re.Pattern[str]
    nodes: int
    window: Window | None = None
    warmup: timedelta = timedelta(0)

    def applies(self, at: datetime) -> bool:
        """Whether the window is open, or opens within the time to warm up."""
        window = self.window
        if window is None or window.contains(at):
            return True
        opens = window.next_change(at)
        return opens is not None and opens - at <= self.warmup

    def changes(self, at: datetime) -> Iterator[datetime]:
        """Yield when that may be different; the next three changes of the window are enough."""
        moment: datetime | None = at
        for _ in range(3):
            moment = self.window.next_change(moment) if self.window is not None and moment is not None else None
            if moment is not None:
                yield moment
                yield moment - self.warmup


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """All that an operator wants spare."""

    headroom: tuple[Headroom, ...] = ()
    floors: tuple[Floor, ...] = ()

    def joined_by(self, headroom: tuple[Headroom, ...]) -> Reserve:
        """The same, and headroom that stands elsewhere than in the policy."""
        return replace(self, headroom=(*self.headroom, *headroom))
