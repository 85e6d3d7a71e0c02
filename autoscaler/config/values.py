"""How the text of a flag becomes a value, and a value its text again.

A reader takes text and raises ValueError with what it expected; who gave the
text, and where, is the caller's to tell. The markers speak pydantic's protocol
but import it only when a value is read, so that `--help` does without.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from autoscaler.core.duration import format_duration, parse_duration
from autoscaler.core.scaledown.policy import BadCondition

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

EXPANDERS = ("random", "most-pods", "least-waste", "least-nodes", "price", "priority", "grpc")
_CONDITION = re.compile(r"[A-Za-z][-A-Za-z0-9_./]*")


@dataclass(frozen=True, slots=True)
class NodesSpec:
    """One `--nodes`: a group by name, with the limits that replace the ASG's own."""

    min: int
    max: int
    name: str

    def __str__(self) -> str:
        return f"{self.min}:{self.max}:{self.name}"


@dataclass(frozen=True, slots=True)
class MinMax:
    """Both ends included; the unit is the flag's."""

    min: int
    max: int

    def __str__(self) -> str:
        return f"{self.min}:{self.max}"


@dataclass(frozen=True, slots=True)
class Dry:
    """One `--ice`: a group without capacity, in one zone or in all (None)."""

    group: str
    zone: str | None

    def __str__(self) -> str:
        return f"{self.group}:{self.zone}" if self.zone else self.group


@dataclass(frozen=True, slots=True)
class Reads:
    """Marks a type as read from text by `read`.

    `repeatable` flags hand over every occurrence as a tuple, the others the
    last one; `placeholder` stands for the value in the help.
    """

    read: Callable[[Any], Any]
    placeholder: str
    repeatable: bool = False

    def __get_pydantic_core_schema__(self, _source: object, _handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.read)


@dataclass(frozen=True, slots=True)
class Within:
    """Marks a number or span as bounded, both ends included; None is no bound."""

    low: Any = None
    high: Any = None

    def check(self, value: Any) -> Any:
        if (self.low is not None and not value >= self.low) or (self.high is not None and not value <= self.high):
            ends = [f"at least {render(self.low)}"] if self.low is not None else []
            ends += [f"at most {render(self.high)}"] if self.high is not None else []
            raise ValueError(f"expected {' and '.join(ends)}")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))


def render(value: object) -> str:
    """Write a value as the flag would be given; credentials inside an address are left out."""
    match value:
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case datetime():
            return value.isoformat()
        case tuple():
            return ",".join(render(item) for item in value)
        case Mapping() if not value:
            return ""
        case Mapping():
            return "asg:tag=" + ",".join(key if tag is None else f"{key}={tag}" for key, tag in value.items())
        case str() if "@" in value and "://" in value:
            parts = urlsplit(value)
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        case float():
            return f"{value:g}"
        case None:
            return "never"
        case _:
            return str(value)


def read_switch(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError("expected true or false")


def read_words(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(texts):
        raise ValueError("expected a value that is not empty")
    return texts


def read_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def read_conditions(texts: tuple[str, ...]) -> tuple[BadCondition, ...]:
    """Read draino's form: `Type`, `Type=Status` or `Type=Status,10m`; a duration belongs to what stands before it."""
    found: list[BadCondition] = []
    for text in texts:
        for number, part in enumerate(read_names((text,))):
            try:
                lasts = parse_duration(part)
            except ValueError:
                name, _, status = part.partition("=")
                if not _CONDITION.fullmatch(name) or (status or "True") not in ("True", "False", "Unknown"):
                    raise ValueError(f"{part!r}: expected KernelDeadlock or OutOfDisk=True,10m") from None
                found.append(BadCondition(name, status or "True"))
                continue
            if not number or lasts < timedelta(0):
                raise ValueError(f"{part!r}: expected a condition before the duration, such as OutOfDisk=True,10m")
            found[-1] = replace(found[-1], lasts=lasts)
    return tuple(dict.fromkeys(found))


def read_expanders(texts: tuple[str, ...]) -> tuple[str, ...]:
    names = read_names(texts)
    if not names or len(set(names)) < len(names) or not set(names) <= set(EXPANDERS):
        raise ValueError(f"expected different names out of {', '.join(EXPANDERS)}, separated by commas")
    return names


def read_range(text: str) -> MinMax:
    low, _, high = text.partition(":")
    if not (low.isdecimal() and high.isdecimal()) or int(low) > int(high):
        raise ValueError("expected MIN:MAX, two integers of which the first is not larger")
    return MinMax(int(low), int(high))


def read_nodes(texts: tuple[str, ...]) -> tuple[NodesSpec, ...]:
    return tuple(_read_nodes_spec(text) for text in texts)


def _read_nodes_spec(text: str) -> NodesSpec:
    low, _, rest = text.partition(":")
    high, _, name = rest.partition(":")
    if not (low.isdecimal() and high.isdecimal() and name.strip()) or int(low) > int(high):
        raise ValueError("expected MIN:MAX:NAME, two integers of which the first is not larger, and the ASG's name")
    return NodesSpec(int(low), int(high), name)


def read_discovery(texts: tuple[str, ...]) -> Mapping[str, str | None]:
    """Merge all occurrences into one set of tags, of which a group must have every one.

    A tag without `=` may have any value (None); of a repeated key the last counts.
    Source: cluster-autoscaler's AWS provider, whose users rely on it.
    """
    tags: dict[str, str | None] = {}
    for text in texts:
        if not text.startswith("asg:tag=") or text == "asg:tag=":
            raise ValueError("expected asg:tag=KEY[=VALUE],...")
        for item in text.removeprefix("asg:tag=").split(","):
            key, equals, value = item.partition("=")
            if not key:
                raise ValueError("expected asg:tag=KEY[=VALUE],... without an empty key")
            tags[key] = value if equals else None
    return tags


def read_backoff(text: str) -> tuple[timedelta, timedelta]:
    """Read the first span and the further ones; one alone stands for both."""
    try:
        spans = [parse_duration(part.strip()) for part in text.split(",")]
    except ValueError:
        spans = []
    if not 1 <= len(spans) <= 2 or spans[0] <= timedelta(0) or spans[-1] < spans[0]:
        raise ValueError("expected one or two positive durations, such as 30s,60s, the second not shorter")
    return spans[0], spans[-1]


def read_age(text: str) -> timedelta | None:
    """Read a duration, or `never` as None."""
    if text == "never":
        return None
    try:
        return _read_span(text)
    except ValueError as error:
        raise ValueError(f"{error}, or never") from None


def _read_span(text: str) -> timedelta:
    span = parse_duration(text)
    if span < timedelta(0):
        raise ValueError("expected a duration that is not negative")
    return span


def read_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and port.isdecimal() and int(port) < 2**16) or (":" in host and not host.startswith("[")):
        raise ValueError("expected [HOST]:PORT, such as :8085")
    return text


def read_bands(text: str) -> str:
    if text and not all(re.fullmatch(r"-?[0-9]+:[0-9]+", band) for band in text.split(",")):
        raise ValueError("expected PRIORITY:SECONDS,..., such as 1000:100,0:60")
    return text


def read_dry(texts: tuple[str, ...]) -> tuple[Dry, ...]:
    found = []
    for text in texts:
        group, colon, zone = text.rpartition(":") if ":" in text else (text, "", "")
        if not group or (colon and not zone):
            raise ValueError("expected GROUP or GROUP:ZONE")
        found.append(Dry(group, zone or None))
    return tuple(found)


def read_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("expected a moment with its offset, such as 2026-01-01T12:00:00Z")
    return moment


def read_path(text: str) -> Path:
    if not text:
        raise ValueError("expected the name of a file")
    return Path(text)


def read_paths(texts: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(read_path(text) for text in texts)


Switch = Annotated[bool, Reads(read_switch, "")]
Span = Annotated[timedelta, Reads(_read_span, "DURATION")]
PositiveSpan = Annotated[timedelta, Reads(parse_duration, "DURATION"), Within(timedelta(microseconds=1))]
Count = Annotated[int, Within(0)]
PositiveCount = Annotated[int, Within(1)]
Share = Annotated[float, Within(0, 1)]
Percentage = Annotated[float, Within(0, 100)]
Rate = Annotated[float, Within(0.1, 100_000)]
Words = Annotated[tuple[str, ...], Reads(read_words, "VALUE", repeatable=True)]
Names = Annotated[tuple[str, ...], Reads(read_names, "NAME,...", repeatable=True)]
File = Annotated[Path | None, Reads(read_path, "FILE")]
