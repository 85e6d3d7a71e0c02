"""When a window is open: days, overnight, zones and the change of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
        ("Sun 02:30-03:30 Europe/Paris", "2026-03-29T00:59:59Z", False),
        ("Sun 02:30-03:30 Europe/Paris", "2026-03-29T01:30:00Z", False),
        ("Sun 02:15-02:45 Europe/Paris", "2026-03-29T01:00:00Z", False),  # all of it is missing
        ("Sun 02:15-02:45 Europe/Paris", "2026-10-25T00:30:00Z", True),  # the hour comes twice: the first counts
        ("Sun 02:15-02:45 Europe/Paris", "2026-10-25T01:30:00Z", False),
        ("Sun 01:30-03:30 Europe/Paris", "2026-10-25T01:30:00Z", True),  # three hours long on this day
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


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
@pytest.mark.parametrize(
    "window", ["Sun 02:30-03:30", "Sun 02:15-02:45", "Sat 22:00-02:30", "Sun 00:00-24:00", "Sat-Sun 01:30-03:30"]
)
def test_it_changes_when_it_says_that_it_will(window: str, day: str) -> None:
    """Around both changes of the clock, minute by minute."""
    one = parse_window(f"{window} Europe/Paris")
    at = moment(f"{day}T20:00:00Z")
    expected = one.next_change(at)
    for _ in range(12 * 60):
        before, at = one.contains(at), at + timedelta(minutes=1)
        assert expected is not None
        assert (one.contains(at) != before) == (at == expected)
        expected = one.next_change(at)
