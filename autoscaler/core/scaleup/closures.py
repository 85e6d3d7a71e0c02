"""What AWS refuses for other reasons than capacity: quotas, addresses, types, templates.

Each refusal closes one scope for a span that doubles while it repeats and
starts anew after a quiet time. Dry pools are the business of `pools`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.policy import Policy


class ScopeKind(StrEnum):
    """What a closure covers; the comment tells `name` and `part` of its scope."""

    GROUP = "group"  # group: launches failed
    NODELESS = "nodeless"  # group: instances came, but no Node did
    PAUSE = "pause"  # group: again in seconds
    QUOTA = "quota"  # market, quota class
    SUBNET = "subnet"  # subnet id
    ADDRESSES = "addresses"  # group, zone: full, and which subnet is not known
    TYPE = "type"  # instance type, zone
    OFFERING = "offering"  # group, zone: unsupported, and which type is not known


class Scope(NamedTuple):
    """Names what is closed; `part` is empty where `name` says all."""

    kind: ScopeKind
    name: str
    part: str = ""


class Growth(NamedTuple):
    """How long a scope is closed: the first span, the longest, and the quiet time that forgets."""

    first: timedelta
    longest: timedelta
    reset: timedelta


_GROWTH = {
    ScopeKind.PAUSE: Growth(timedelta(seconds=2), timedelta(minutes=1), timedelta(minutes=3)),
    ScopeKind.QUOTA: Growth(timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=3)),
    ScopeKind.SUBNET: Growth(timedelta(minutes=3), timedelta(minutes=15), timedelta(hours=1)),
    ScopeKind.ADDRESSES: Growth(timedelta(minutes=3), timedelta(minutes=15), timedelta(hours=1)),
    ScopeKind.TYPE: Growth(timedelta(hours=6), timedelta(hours=6), timedelta(hours=6)),
    ScopeKind.OFFERING: Growth(timedelta(hours=1), timedelta(hours=6), timedelta(hours=12)),
}


def growth_of(kind: ScopeKind, policy: Policy) -> Growth:
    """Return the spans for a kind; the group's are cluster-autoscaler's flags."""
    if kind is ScopeKind.GROUP or kind is ScopeKind.NODELESS:
        return Growth(policy.initial_group_backoff, policy.max_group_backoff, policy.group_backoff_reset)
    return _GROWTH[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A closed scope. Kept after `until`, as the next span depends on it, up to `forgotten`."""

    until: datetime
    span: timedelta
    failed: datetime  # the last failure
    forgotten: datetime
    why: Why
    detail: str

    def objection(self) -> Objection:
        return Objection(self.why, f"{self.detail}, until {self.until:%H:%M:%S}")


def close(known: Closure | None, growth: Growth, at: datetime, reason: Objection) -> Closure:
    """Close a scope again.

    A failure inside the window moves its end and does not lengthen the span,
    as cluster-autoscaler has it; one after it doubles the span.
    """
    if known is None or at >= known.failed + growth.reset:
        span = growth.first
    elif at < known.until:
        span = known.span
    else:
        span = min(known.span * 2, growth.longest)
    until = at + span if known is None else max(at + span, known.until)
    return Closure(
        until=until, span=span, failed=at, forgotten=max(until, at + growth.reset), why=reason.why, detail=reason.detail
    )
