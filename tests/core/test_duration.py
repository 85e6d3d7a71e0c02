"""Durations are Go's."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("-0", timedelta(0)),
        ("10s", timedelta(seconds=10)),
        ("+10s", timedelta(seconds=10)),
        ("-10s", timedelta(seconds=-10)),
        ("1h5m30s", timedelta(hours=1, minutes=5, seconds=30)),
        ("30s1h", timedelta(hours=1, seconds=30)),
        ("1.5h", timedelta(minutes=90)),
        (".5m", timedelta(seconds=30)),
        ("1.s", timedelta(seconds=1)),
        ("100ms", timedelta(milliseconds=100)),
        ("7us", timedelta(microseconds=7)),
        ("7µs", timedelta(microseconds=7)),
        ("7μs", timedelta(microseconds=7)),
        ("1999ns", timedelta(microseconds=1)),
        ("87600h", timedelta(hours=87600)),
    ],
)
def test_reads_what_go_reads(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "10", "s", ".s", "1 s", "10S", "1d", "1h-5m", "h1", "0x1s", "1e3s", "٣s", "10s\n"]
)
def test_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


def test_refuses_more_than_go_can_hold() -> None:
    assert parse_duration("2562047h") < timedelta(days=106752)
    with pytest.raises(ValueError, match="292 years"):
        parse_duration("2562048h")


@given(st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000)))
def test_what_is_written_reads_back_the_same(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize("text", ["0s", "1m", "1h30m", "250ms", "-2h"])
def test_writes_the_short_form(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
