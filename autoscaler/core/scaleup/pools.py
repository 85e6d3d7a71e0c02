"""One capacity pool's circuit breaker, and the budget of probing calls over all pools.

Closed (no record) -> open (dry until a time) -> half-open (1, then 2, 4, 8
nodes a launch) -> closed. Nothing here decides what to launch: `capacity`
asks and tells. Holds no clock and no chance: callers pass times and jitter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from autoscaler.core.model import CapacityPool, InstanceType, NodeGroup, Offering, Zone

PROBES_PER_MINUTE = 20  # probing calls over all pools
PROBE_WINDOW = timedelta(minutes=1)
YIELD_FOR = timedelta(seconds=5)  # how long a free probing call is kept for those that waited longer
ANSWER_DUE = timedelta(minutes=1)  # a launch without an answer for so long no longer occupies its pools
SUCCESSES_TO_CLOSE = 4  # launches of at most 1, 2, 4 and 8 nodes

_FAMILY = re.compile(r"[a-z]+")
_STANDARD = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})
_SHARED_CLASS = {"g": "g-vt", "gr": "g-vt", "vt": "g-vt", "u": "high-memory"}


@lru_cache(maxsize=4096)
def quota_class(instance_type: InstanceType | str) -> str:
    """Return the EC2 vCPU quota that the type counts against: "standard", "g-vt", "p", "x", …

    Spot and on-demand have one quota each per class. An unknown family is a
    class of its own, so that its limit closes nothing else.
    Source: EC2's "Running On-Demand … instances" and "All … Spot Instance Requests" quotas.
    """
    found = _FAMILY.match(instance_type)
    family = found[0] if found else instance_type
    return "standard" if family in _STANDARD else _SHARED_CLASS.get(family, family)


def pools_of(group: NodeGroup, zone: Zone | None) -> tuple[CapacityPool, ...]:
    """Return the pools that a launch may draw on; without a zone, those of all zones of the group.

    A group whose types are unknown draws on pools of its own, which it shares
    with no other group.
    """
    types = [shape.instance_type for shape in group.shapes]
    if not types:
        types = sorted({instance.instance_type for instance in group.instances}) or [InstanceType(f"({group.name})")]
    zones = group.zones if zone is None else (zone,)
    return tuple(CapacityPool(kind, place, group.market) for place in zones for kind in dict.fromkeys(types))


@dataclass(frozen=True, slots=True)
class Answered:
    """How many launches of an offering were answered, and when the last was."""

    count: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    """What is remembered of a pool that refused; a pool without a record is closed, that is healthy.

    `via` is the offering by which the pool was last asked: pools with the
    same one cost a single call.
    """

    until: datetime  # dry until then, half-open afterwards
    asked: datetime
    seen: datetime  # the last answer
    refusals: int = 1  # in a row, never less than one
    successes: int = 0  # since the last refusal
    in_flight: bool = False
    via: Offering | None = None
    detail: str = ""

    @property
    def allowance(self) -> int:
        """Nodes that one launch may ask while the pool is half-open."""
        return 1 << self.successes

    @property
    def is_proven(self) -> bool:
        return self.successes > 0

    def is_open(self, at: datetime) -> bool:
        return at < self.until

    def is_busy(self, at: datetime) -> bool:
        """A launch from it has no answer yet."""
        return self.in_flight and at < self.asked + ANSWER_DUE

    def is_due(self, at: datetime) -> bool:
        """Waits for a probing call."""
        return not (self.is_proven or self.is_open(at) or self.is_busy(at))

    def asked_at(self, at: datetime, via: Offering) -> PoolRecord:
        return replace(self, asked=at, in_flight=True, via=via)

    def answered(self) -> PoolRecord:
        """An answer that says nothing about the pool."""
        return replace(self, in_flight=False) if self.in_flight else self

    def succeeded(self, at: datetime) -> PoolRecord | None:
        """Count a launch that got all it asked; None: closed, nothing left to remember."""
        if self.successes + 1 >= SUCCESSES_TO_CLOSE:
            return None
        return replace(self, successes=self.successes + 1, until=min(self.until, at), seen=at, in_flight=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRefusal:
    """One refusal for lack of capacity; `asked` is when the call was sent, if known."""

    at: datetime
    asked: datetime
    via: Offering | None
    detail: str
    spans: tuple[timedelta, timedelta]  # the first one, all further ones
    jitter: float  # in [0, 1): shortens the span by up to a tenth

    def record(self, known: PoolRecord | None) -> PoolRecord:
        """Open the pool anew.

        The span runs from the asking, so that the calls keep their distance
        whatever AWS takes to answer. A refusal of an open pool (two launches
        of one wave that share it) is the same refusal told twice.
        """
        told_twice = known is not None and known.is_open(self.at)
        refusals = (known.refusals if known is not None else 0) + (not told_twice)
        asked = known.asked if known is not None and known.in_flight else self.asked
        until = asked + self.spans[min(refusals, 2) - 1] * (1 - 0.1 * self.jitter)
        if known is not None:
            until = max(until, known.until)
        return PoolRecord(until=until, asked=asked, seen=self.at, refusals=refusals, via=self.via, detail=self.detail)


@dataclass(frozen=True, slots=True)
class ProbeBudget:
    """When the last probing calls were sent, in order; at most PROBES_PER_MINUTE are kept."""

    sent: tuple[datetime, ...] = ()

    def spend(self, at: datetime) -> ProbeBudget:
        return ProbeBudget(tuple(sorted((*self.sent, at)))[-PROBES_PER_MINUTE:])

    def free(self, at: datetime) -> int:
        """How many probing calls may be sent now."""
        return PROBES_PER_MINUTE - sum(at < sent + PROBE_WINDOW for sent in self.sent)

    def free_since(self) -> datetime | None:
        """Since when, or from when, the longest unused call is free; None: since ever."""
        return self.sent[0] + PROBE_WINDOW if len(self.sent) == PROBES_PER_MINUTE else None

    def opens_at(self, at: datetime, asked: datetime, due: Iterable[PoolRecord]) -> datetime:
        """Return when an offering last asked at `asked` may be probed; not after `at`: now.

        Rotation: a free call is kept for the offerings that have waited
        longer than this one, as long as they are enough to use all free
        calls, but only for YIELD_FOR: whoever has not taken it by then does
        not want it. Among those that waited equally long, the first to ask
        has it, and that is the highest tier.
        """
        since = self.free_since()
        if since is None:
            return at
        if self.free(at) <= 0:
            return since
        if at >= since + YIELD_FOR:
            return at
        ahead = {record.via or record.asked for record in due if record.asked < asked}
        return since + YIELD_FOR if len(ahead) >= self.free(at) else at
