"""Go's durations: "1h5m30s", "1.5h", "250ms", "0".

As Go's time.ParseDuration reads them: a unit is required except for zero, a
sign may stand in front. A timedelta holds microseconds; finer is cut off.
"""

import re
from datetime import timedelta
from decimal import Decimal

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # the micro sign
    "μs": 10**3,  # the Greek letter, which Go takes too
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)")
_LARGEST = 2**63 - 1  # nanoseconds: what Go's Duration holds
_EXPECTED = "expected a duration such as 10s, 1h30m or 250ms"


def parse_duration(text: str) -> timedelta:
    """Read one duration. Raises ValueError that says what is expected."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(_EXPECTED)
    exact = sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    if exact > _LARGEST:
        raise ValueError("expected a duration of less than 292 years")
    span = timedelta(microseconds=int(exact) // 1000)
    return -span if text.startswith("-") else span


def format_duration(span: timedelta) -> str:
    """Write the shortest form that `parse_duration` reads back as the same span."""
    left = abs(span) // timedelta(microseconds=1)
    parts = ["-"] if span < timedelta(0) else []
    for unit in ("h", "m", "s", "ms", "us"):
        amount, left = divmod(left, _NANOSECONDS[unit] // 1000)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
