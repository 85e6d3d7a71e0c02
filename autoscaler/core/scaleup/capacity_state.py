"""The rows of JSON values in which a capacity memory survives a restart.

`capacity` puts them together. A row that cannot be read raises
CapacityStateError, which the edge answers with an empty memory: forgetting is
cheap. A launch in flight is not written: its answer went to the dead process.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from autoscaler.core.decision import Why
from autoscaler.core.model import CapacityPool, GroupName, InstanceType, Market, Offering, Zone
from autoscaler.core.scaleup.closures import Closure, Scope, ScopeKind
from autoscaler.core.scaleup.pools import SUCCESSES_TO_CLOSE, Answered, PoolRecord

Row = list[str | int | float | None]
VERSION = 1


class CapacityStateError(ValueError):
    """A saved memory that cannot be read; the message names the fault."""


def read_rows(state: object, name: str, width: int) -> list[list[object]]:
    """Return the rows under `name`, each of `width` values; an absent list is empty."""
    rows = state.get(name, []) if isinstance(state, dict) else None
    if not isinstance(rows, list):
        raise CapacityStateError(f"{name}: not a list")
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            raise CapacityStateError(f"{name}: {row!r} is not a row of {width} values")
    return rows


def write_time(time: datetime) -> str:
    return time.isoformat()


def read_time(value: object) -> datetime:
    """Read an aware time, as UTC."""
    try:
        time = datetime.fromisoformat(_text(value))
        if time.tzinfo is None:
            raise CapacityStateError(f"{value!r} has no time zone")
        return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CapacityStateError(f"{value!r} is not a time: {error}") from None


POOL_WIDTH, CLOSURE_WIDTH, ANSWERED_WIDTH = 11, 9, 4


def write_pool(pool: CapacityPool, record: PoolRecord) -> Row:
    group, zone = record.via or ("", None)
    times = [write_time(time) for time in (record.until, record.asked, record.seen)]
    return [*pool, *times, record.refusals, record.successes, group, zone, record.detail]


def read_pool(row: list[object]) -> tuple[CapacityPool, PoolRecord]:
    kind, place, market, until, asked, seen, refusals, successes, group, zone, detail = row
    pool = CapacityPool(InstanceType(_text(kind)), Zone(_text(place)), _word(Market, market))
    via = Offering(GroupName(_text(group)), None if zone is None else Zone(_text(zone)))
    record = PoolRecord(
        until=read_time(until),
        asked=read_time(asked),
        seen=read_time(seen),
        refusals=_count(refusals, 1, 1 << 31),
        successes=_count(successes, 0, SUCCESSES_TO_CLOSE - 1),
        via=via if group else None,
        detail=_text(detail),
    )
    return pool, record


def write_closure(scope: Scope, closure: Closure) -> Row:
    times = [write_time(time) for time in (closure.until, closure.failed, closure.forgotten)]
    return [*scope, *times, closure.span.total_seconds(), closure.why, closure.detail]


def read_closure(row: list[object]) -> tuple[Scope, Closure]:
    kind, name, part, until, failed, forgotten, span, why, detail = row
    scope = Scope(_word(ScopeKind, kind), _text(name), _text(part))
    closure = Closure(
        until=read_time(until),
        failed=read_time(failed),
        forgotten=read_time(forgotten),
        span=timedelta(seconds=_seconds(span)),
        why=_word(Why, why),
        detail=_text(detail),
    )
    return scope, closure


def write_answered(offering: Offering, answered: Answered) -> Row:
    return [offering.group, offering.zone, answered.count, write_time(answered.at)]


def read_answered(row: list[object]) -> tuple[Offering, Answered]:
    group, zone, count, at = row
    offering = Offering(GroupName(_text(group)), None if zone is None else Zone(_text(zone)))
    return offering, Answered(_count(count, 0, 1 << 62), read_time(at))


_Word = TypeVar("_Word", bound=StrEnum)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise CapacityStateError(f"{value!r} is not a text")
    return value


def _count(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise CapacityStateError(f"{value!r} is not a number from {least} to {most}")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1e7:
        raise CapacityStateError(f"{value!r} is not a span in seconds")
    return float(value)


def _word(words: type[_Word], value: object) -> _Word:
    try:
        return words(_text(value))
    except ValueError:
        raise CapacityStateError(f"{value!r} is not a {words.__name__}") from None
