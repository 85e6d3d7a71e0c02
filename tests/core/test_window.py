"""When a window is open: days, overnight, zones and the change of the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler.core.window import parse_window


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("window", "at", "is_open"),
    [
        ("Mon-Fri 09:00-17:00 Europe/Paris", "2026-01-02T08:00:00Z", True),  # a Friday, 09:00 in Paris
        ("Mon-Fri 09:00-17:00 Europe/Paris", "2026-01-02T07:59:59Z", False),
        ("Mon-Fri 09:00-17:00 Europe/Paris", "2026-01-02T16:00:00Z", False),  # the end does not belong to it
        ("Mon-Fri 09:00-17:00 Europe/Paris", "2026-01-03T12:00:00Z", False),  # Saturday
        ("Mon-Fri 09:00-17:00 Europe/Paris", "2026-07-03T07:00:00Z", True),  # summer time
        ("Fri 22:00-06:00 UTC", "2026-01-02T21:59:00Z", False),
        ("Fri 22:00-06:00 UTC", "2026-01-03T05:59:00Z", True),  # Saturday morning belongs to Friday
        ("Fri 22:00-06:00 UTC", "2026-01-02T05:00:00Z", False),
        ("Sat-Mon 00:00-24:00 UTC", "2026-01-04T12:00:00Z", True),
        ("sat,mon 00:00-00:00 UTC", "2026-01-05T23:59:59Z", True),  # a whole day
        ("sat,mon 00:00-00:00 UTC", "2026-01-04T12:00:00Z", False),
        ("Sun 02:30-03:30 Europe/Paris", "2026-03-29T01:15:00Z", True),  # 03:15, the hour from two to three is missing
        ("Mon-Sun 20:00-08:00 America/New_York", "2026-01-02T02:00:00Z", True),
    ],
)
def test_a_window_is_open(window: str, at: str, is_open: bool) -> None:
    assert parse_window(window).contains(moment(at)) is is_open


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        ("2026-01-02T07:00:00Z", "2026-01-02T08:00:00Z"),
        ("2026-01-02T08:00:00Z", "2026-01-02T16:00:00Z"),
        ("2026-01-02T16:00:00Z", "2026-01-05T08:00:00Z"),
    ],
)
def test_the_next_change_is_its_beginning_or_its_end(at: str, changes: str) -> None:
    assert parse_window("Mon-Fri 09:00-17:00 Europe/Paris").next_change(moment(at)) == moment(changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mon-Fri 09:00-17:00",
        "Mon-Fri 9-17 UTC",
        "Mon-Fri 09:00-24:30 UTC",
        "Mon-Fri 25:00-26:00 UTC",
        "Monday 09:00-17:00 UTC",
        "Mon-Wed-Fri 09:00-17:00 UTC",
        "Mon-Fri 09:00-17:00 Europe/Atlantis",
        "Mon-Fri 09:00-17:00 ../../etc/passwd",
        "Mon-Fri 09:00-17:00 Europe",
    ],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_window(text)
