"""Windows of time: `Mon-Fri 09:00-17:00 Europe/Paris`.

Days, then times, then an IANA zone. A window whose end is not after its
beginning runs overnight, and belongs to the day on which it begins. Local
time counts, so that a change of the clock moves a window with the people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIMES = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_EXPECTED = "expected a window such as `Mon-Fri 09:00-17:00 Europe/Paris`"
_DAY = timedelta(days=1)
_RESOLUTION = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A weekly window; `days` are those on which it begins, Monday is 0."""

    days: frozenset[int]
    start: time
    length: timedelta
    zone: tzinfo
    text: str

    def contains(self, at: datetime) -> bool:
        """Tell whether the window is open; its beginning belongs to it, its end does not."""
        return any(start <= at < end for start, end in self._around(at))

    def next_change(self, at: datetime) -> datetime | None:
        """Return when it opens or closes next; None for one that never does."""
        moments = [moment for span in self._around(at, ahead=9) for moment in span]
        return min((moment for moment in moments if moment > at), default=None)

    def _around(self, at: datetime, ahead: int = 2) -> Iterator[tuple[datetime, datetime]]:
        """Beginnings and ends about a moment. Of a time that comes twice the first counts."""
        today = at.astimezone(self.zone).date()
        for offset in range(-2, ahead):
            day = today + offset * _DAY
            if day.weekday() in self.days:
                start = datetime.combine(day, self.start)
                begins, ends = (_in_utc(each, self.zone) for each in (start, start + self.length))
                if begins < ends:
                    yield begins, ends


def _in_utc(local: datetime, zone: tzinfo) -> datetime:
    """When the clocks first show a time, or a later one where a change of the clock leaves it out."""
    found = local.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) <= local:
        return found
    before = found - _DAY / 4
    while found - before > _RESOLUTION:  # the moment of the change lies between
        middle = before + (found - before) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < local:
            before = middle
        else:
            found = middle
    return found.replace(microsecond=0)


def parse_window(text: str) -> Window:
    """Read a window. Raises ValueError that says what is wrong."""
    parts = text.split()
    if len(parts) != 3:
        raise ValueError(_EXPECTED)
    days, times, zone = parts
    match = _TIMES.fullmatch(times)
    if match is None or (match[3] == "24" and match[4] != "00"):
        raise ValueError(f"{times!r}: expected times such as 09:00-17:00")
    start = timedelta(hours=int(match[1]), minutes=int(match[2]))
    end = timedelta(hours=int(match[3]), minutes=int(match[4]))
    length = end - start if end > start else end - start + _DAY
    return Window(_read_days(days), time(int(match[1]), int(match[2])), length, _read_zone(zone), text)


def _read_days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        ends = [_read_day(name) for name in part.split("-")]
        if len(ends) > 2:
            raise ValueError(f"{part!r}: expected days such as Mon or Mon-Fri")
        first, last = ends[0], ends[-1]
        found.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return frozenset(found)


def _read_day(text: str) -> int:
    try:
        return _DAYS.index(text.lower())
    except ValueError:
        raise ValueError(f"{text!r}: expected days such as Mon or Mon-Fri") from None


def _read_zone(text: str) -> tzinfo:
    if text == "UTC":
        return UTC
    fault = f"{text!r}: unknown time zone, expected one such as Europe/Paris"
    if not _ZONE.fullmatch(text):
        raise ValueError(fault)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ValueError(fault) from None
