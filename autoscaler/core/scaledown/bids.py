"""For which causes could a node go, and what holds each of them back now?

A `Bid` is a node and a cause. Without holds it may go in this pass, if places,
budgets and minimum sizes allow; with holds it is unneeded, but not yet.
Reasons that rule a cause out altogether are kept with the node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler.core.decision import DrainCause, Objection, Why
from autoscaler.core.duration import format_duration
from autoscaler.core.scaledown.cases import DISABLED_BY_US, Case
from autoscaler.core.scaledown.gates import Gates, cooldown
from autoscaler.core.scaledown.wishes import TuningOf, min_age, next_window, refuses_disruption
from autoscaler.core.scaleup.stock import BEING_DELETED_TAINT
from autoscaler.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Bid:
    """A node that could go for a cause, unless held."""

    case: Case
    cause: DrainCause
    holds: tuple[Objection, ...] = ()


@dataclass(slots=True)
class Bidding:
    """All bids of a pass. `against` are the reasons why a node makes no other bid; `next_at`: when one changes."""

    snapshot: Snapshot
    gates: Gates
    tuning_of: TuningOf
    bids: list[Bid] = field(default_factory=list)
    against: dict[str, list[Objection]] = field(default_factory=dict)
    next_at: datetime | None = None

    def offer(self, case: Case) -> None:
        """Let a node bid as unready, empty or unneeded; the first of these that fits it."""
        reasons = [*case.standing, *case.blockers]
        cause = self._cause(case)
        if cause is None:
            reasons.append(Objection(Why.NOT_UNDERUTILIZED, self._fullness(case)))
        elif cause is DrainCause.UNREADY and not case.urgent and not self.snapshot.policy.scale_down.unready_enabled:
            reasons.append(Objection(Why.SCALE_DOWN_UNREADY_DISABLED, "--scale-down-unready-enabled=false"))
        if cause is not DrainCause.EMPTY and cause is not None and case.is_seen:
            reasons += self._against_evictions(case)
        if case.utilization is None and cause is None:
            reasons[-1] = Objection(Why.UNEXPECTED_ERROR, "the node does not say how much it can allocate")
        self.against[case.name] = reasons
        if not reasons and cause is not None:
            self.bids.append(Bid(case=case, cause=cause, holds=tuple(self._holds(case, cause))))

    def may_return(self, case: Case) -> bool:
        """Tell whether an on-demand node is old enough to look further; else note why not."""
        flag = self.snapshot.policy.scale_down.on_demand_min_age
        is_young = flag is None or self.snapshot.at - case.node.created < flag
        return not is_young or self.offer_return(case, is_sure=False)

    def offer_return(self, case: Case, *, is_sure: bool = True, unwilling: str = "") -> bool:
        """Let an on-demand node bid for the return to spot; tell whether it may. Unless `is_sure`, it only tells.

        `unwilling` says which of its pods wants no spot node, and why.
        """
        policy, at = self.snapshot.policy.scale_down, self.snapshot.at
        excused = DISABLED_BY_US in case.node.annotations
        reasons = [one for one in case.standing if not (excused and one.why is Why.SCALE_DOWN_DISABLED_ANNOTATION)]
        reasons += [*case.blockers, *self._against_evictions(case)]
        age, whose = min_age(case.moving, policy.on_demand_min_age, self.tuning_of)
        if age is None or unwilling:
            reasons.append(Objection(Why.OPTED_OUT, unwilling or whose))
        elif at - case.node.created < age:
            self._wake(case.node.created + age)
            reasons.append(Objection(Why.TOO_YOUNG, f"{_span(at - case.node.created)} of {_span(age)}, by {whose}"))
        self.against.setdefault(case.name, [])
        if reasons:
            self._add(case, reasons)
            return False
        if not is_sure:
            return True
        holds = (*self._general(DrainCause.RETURN_TO_SPOT), *self._retry(case))
        self.bids.append(Bid(case=case, cause=DrainCause.RETURN_TO_SPOT, holds=holds))
        return True

    def _add(self, case: Case, reasons: list[Objection]) -> None:
        known = self.against[case.name]
        known += [one for one in reasons if one not in known]

    def _cause(self, case: Case) -> DrainCause | None:
        if case.urgent:
            return DrainCause.UNREADY
        if not case.is_seen or not case.is_underutilized:
            return None
        if case.is_unready:
            return DrainCause.UNREADY
        return DrainCause.EMPTY if case.is_empty else DrainCause.UNNEEDED

    def _fullness(self, case: Case) -> str:
        return str(case.utilization) if case.utilization is not None else "unknown"

    def _against_evictions(self, case: Case) -> Iterator[Objection]:
        """What forbids evictions from this node."""
        is_ours = any(taint.key == BEING_DELETED_TAINT for taint in case.node.taints)
        if case.node.is_cordoned and case.moving and not is_ours:
            yield Objection(Why.FOREIGN_CORDON, "somebody else cordoned it")
        refusal = refuses_disruption(case.moving, self.snapshot.at, self.tuning_of)
        if refusal:
            opens = next_window(case.moving, self.snapshot.at, self.tuning_of)
            if opens is not None:
                self._wake(opens)
            yield Objection(Why.OPTED_OUT, refusal)

    def _holds(self, case: Case, cause: DrainCause) -> Iterator[Objection]:
        snapshot, policy = self.snapshot, case.policy
        yield from self._general(cause if case.moving else DrainCause.EMPTY)
        yield from self._retry(case)
        if cause is DrainCause.UNREADY:
            if not case.urgent:
                span = max(policy.unready_time, self._time_to_start(case))
                yield from self._not_long_enough(case, span, Why.NOT_UNREADY_LONG_ENOUGH)
            return
        yield from self._not_long_enough(case, policy.unneeded_time, Why.NOT_UNNEEDED_LONG_ENOUGH)
        held, ends = cooldown(snapshot.scale_down, policy, case.group.name, snapshot.at)
        if ends is not None:
            self._wake(ends)
        yield from held

    def _general(self, cause: DrainCause) -> tuple[Objection, ...]:
        return self.gates.all if cause is DrainCause.EMPTY else (*self.gates.all, *self.gates.evictions)

    def _retry(self, case: Case) -> Iterator[Objection]:
        memory = self.snapshot.scale_down
        until = memory.blocked.get(case.name) if memory is not None else None
        if until is not None and self.snapshot.at < until:
            self._wake(until)
            yield Objection(Why.RETRY_LATER, f"an attempt failed; not before {until:%H:%M:%S}")

    def _not_long_enough(self, case: Case, span: timedelta, why: Why) -> Iterator[Objection]:
        since = self.since(case)
        if self.snapshot.at - since <= span:
            self._wake(since + span)
            yield Objection(why, f"{_span(self.snapshot.at - since)} of {_span(span)}")

    def _time_to_start(self, case: Case) -> timedelta:
        """What a node that was never ready is given before it counts as unready."""
        never_was = not case.node.was_ready or case.node.ready
        return self.snapshot.policy.max_node_startup_time if never_was else timedelta(0)

    def since(self, case: Case) -> datetime:
        """Since when the node is unneeded. Without a memory: since it exists, or is unready."""
        memory, node = self.snapshot.scale_down, case.node
        if memory is not None:
            return memory.unneeded.get(case.name, self.snapshot.at)
        if case.is_unready and not node.ready and node.ready_changed is not None:
            return max(node.ready_changed, node.created)
        return node.created

    def _wake(self, at: datetime) -> None:
        if at > self.snapshot.at:
            self.next_at = min(at, self.next_at or at)


def _span(span: timedelta) -> str:
    return format_duration(timedelta(seconds=int(span.total_seconds())))
