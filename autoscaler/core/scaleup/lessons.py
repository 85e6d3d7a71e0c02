"""What one launch result teaches, by class of refusal; it changes nothing itself.

`capacity` holds what was learned. Which AWS code means which class is the
question of `autoscaler.aws.refusals`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoscaler.core.decision import LaunchResult, Objection, Refusal, RefusalKind, Why
from autoscaler.core.model import CapacityPool, LaunchMethod, NodeGroup, Zone
from autoscaler.core.scaleup.closures import Scope, ScopeKind
from autoscaler.core.scaleup.pools import pools_of, quota_class

_NAMES_A_WHOLE_GROUP = {
    RefusalKind.CONTENTION: (ScopeKind.PAUSE, Why.IN_BACKOFF),
    RefusalKind.THROTTLED: (ScopeKind.PAUSE, Why.IN_BACKOFF),
    RefusalKind.NO_ANSWER: (ScopeKind.PAUSE, Why.IN_BACKOFF),
    RefusalKind.CONFIGURATION: (ScopeKind.GROUP, Why.MISCONFIGURED),
    RefusalKind.UNKNOWN: (ScopeKind.GROUP, Why.IN_BACKOFF),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """The pools that gave all they were asked, those that are dry, what closes, what is disproved."""

    gave: tuple[CapacityPool, ...]
    dry: Mapping[CapacityPool, str]
    closes: Mapping[Scope, Objection]
    disproved: frozenset[Scope]
    is_answer: bool  # the same question would only replay it: the next one needs a new token
    is_full: bool  # all that was asked came
    is_silent: bool  # neither instances nor refusals: a raised desired capacity, for now
    no_launch_api: bool


def read_lesson(result: LaunchResult, group: NodeGroup) -> Lesson:
    """Read a result. A refusal without a type, zone or market stands for all of the offering's."""
    dry: dict[CapacityPool, str] = {}
    closes: dict[Scope, Objection] = {}
    for refusal in result.refusals:
        pools = _pools_meant(refusal, result, group)
        if refusal.kind is RefusalKind.NO_CAPACITY:
            dry.update(dict.fromkeys(pools, refusal.code))
        for scope, why in _scopes_closed(refusal, pools, group):
            closes[scope] = Objection(why, refusal.code or refusal.kind)
    is_silent = not (result.launched or result.refusals)
    units = sum(one.weight for one in result.launched)
    is_full = len(result.launched) >= result.launch.count or units >= result.launch.units
    by_desired = result.launch.method is LaunchMethod.DESIRED
    if not (is_full or result.refusals or by_desired):
        closes[Scope(ScopeKind.PAUSE, group.name)] = Objection(Why.IN_BACKOFF, "fewer instances than asked, no error")
    given = {CapacityPool(one.instance_type, one.zone, group.market) for one in result.launched}
    kinds = {refusal.kind for refusal in result.refusals}
    return Lesson(
        gave=tuple(sorted(given - dry.keys())) if is_full else (),
        dry=dry,
        closes=closes,
        disproved=frozenset(_scopes_disproved(given, group)) if is_full else frozenset(),
        is_answer=not (is_silent and by_desired) and not any(_is_open(refusal) for refusal in result.refusals),
        is_full=is_full,
        is_silent=is_silent,
        no_launch_api=RefusalKind.NO_LAUNCH_API in kinds,
    )


def _is_open(refusal: Refusal) -> bool:
    """The call may have launched, or is about to: the same token finds out."""
    return refusal.kind is RefusalKind.NO_ANSWER or refusal.code.startswith("IdempotentCallInProgress")


def _pools_meant(refusal: Refusal, result: LaunchResult, group: NodeGroup) -> tuple[CapacityPool, ...]:
    """Return the offering's pools that the refusal names; all, when it names none of them.

    The market is always the group's: a mixed group's pools are its own.
    """
    offered = pools_of(group, result.launch.zone)
    named = tuple(
        pool
        for pool in offered
        if refusal.instance_type in (None, pool.instance_type) and refusal.zone in (None, pool.zone)
    )
    return named or offered


def _scopes_closed(refusal: Refusal, pools: tuple[CapacityPool, ...], group: NodeGroup) -> Iterator[tuple[Scope, Why]]:
    """Yield what a refusal other than for capacity closes, and the word for it."""
    kind = refusal.kind
    if kind in _NAMES_A_WHOLE_GROUP:
        scope, why = _NAMES_A_WHOLE_GROUP[kind]
        yield Scope(scope, group.name), why
    elif kind is RefusalKind.LIMIT:
        for market in {group.market, refusal.market or group.market}:
            for pool in pools:
                yield Scope(ScopeKind.QUOTA, market, quota_class(pool.instance_type)), Why.QUOTA_EXCEEDED
    elif kind is RefusalKind.NO_ADDRESSES:
        for zone in dict.fromkeys(pool.zone for pool in pools):
            yield from ((scope, Why.NO_FREE_ADDRESSES) for scope in _subnets(refusal, zone, group))
    elif kind is RefusalKind.UNSUPPORTED:
        several = refusal.instance_type is None and len({pool.instance_type for pool in pools}) > 1
        for pool in pools:
            by_type = Scope(ScopeKind.TYPE, pool.instance_type, pool.zone)
            yield Scope(ScopeKind.OFFERING, group.name, pool.zone) if several else by_type, Why.UNSUPPORTED


def _subnets(refusal: Refusal, zone: Zone, group: NodeGroup) -> Iterator[Scope]:
    known = group.subnets.get(zone)
    full = refusal.subnet or known
    if full:
        yield Scope(ScopeKind.SUBNET, full)
    if full is None or full != known:
        yield Scope(ScopeKind.ADDRESSES, group.name, zone)


def _scopes_disproved(given: set[CapacityPool], group: NodeGroup) -> Iterator[Scope]:
    """Yield what cannot be closed any more when a launch got all it asked from these pools."""
    yield Scope(ScopeKind.GROUP, group.name)
    yield Scope(ScopeKind.PAUSE, group.name)
    for pool in given:
        yield Scope(ScopeKind.QUOTA, pool.market, quota_class(pool.instance_type))
        yield Scope(ScopeKind.ADDRESSES, group.name, pool.zone)
        if pool.zone in group.subnets:
            yield Scope(ScopeKind.SUBNET, group.subnets[pool.zone])
