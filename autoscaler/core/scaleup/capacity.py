"""Memory of AWS refusals, keyed by capacity pool, quota, subnet and group.

Forgetting is cheap (one refused launch); remembering too long is dear (pods
wait). So entries expire by themselves, and the memory is passive: without a
pod that asks, nothing is probed. Holds no clock and no chance: callers pass
times and jitter. One pool's states are in `pools`, all else that closes in
`closures`, the form that survives a restart in `capacity_state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from autoscaler.core.decision import LaunchResult, Objection, Why
from autoscaler.core.model import CapacityPool, GroupName, LaunchMethod, NodeGroup, Offering, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup import capacity_state as saved
from autoscaler.core.scaleup.closures import Closure, Scope, ScopeKind, close, growth_of
from autoscaler.core.scaleup.lessons import Lesson, read_lesson
from autoscaler.core.scaleup.pools import (
    ANSWER_DUE,
    PROBE_WINDOW,
    PROBES_PER_MINUTE,
    YIELD_FOR,
    Answered,
    PoolRecord,
    PoolRefusal,
    ProbeBudget,
    pools_of,
    quota_class,
)

MEMORY_SPAN = timedelta(hours=3)  # a pool or an offering without an answer for so long is forgotten
MAX_ENTRIES = 2000  # of each kind; the oldest go first
LAUNCH_API_RETRY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an offering may be asked now: it may when nothing objects.

    `limit` is the largest number of nodes to ask in one launch, while the
    offering is tried again after a refusal; None: as many as wanted.
    """

    objections: tuple[Objection, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityMemory:
    """What AWS refused, and for how long that counts. Immutable; updates return a new one.

    Promise (P3): a pool that stays dry is probed at most 4 times in any 3
    minutes, all pools together at most 20 times in any minute. A probe is a
    launch from an offering whose pools have all refused and not yet given
    anything since; so a planner that asks several offerings at once passes
    each through `with_asked` before it looks at the next. Offerings that share
    only some of their pools are probed each for its own sake, and tell about
    the shared ones in passing.
    """

    pools: Mapping[CapacityPool, PoolRecord] = field(default_factory=dict)
    closures: Mapping[Scope, Closure] = field(default_factory=dict)
    answered: Mapping[Offering, Answered] = field(default_factory=dict)
    budget: ProbeBudget = field(default_factory=ProbeBudget)
    launch_api_missing_until: datetime | None = None
    launch_api_denied: Mapping[GroupName, datetime] = field(default_factory=dict)  # until when, to these groups alone

    def availability(self, group: NodeGroup, zone: Zone | None, at: datetime) -> Availability:
        """Tell whether the offering may be asked at `at`, and for how many nodes.

        It objects only when all of its pools are closed in one way or the
        other, or the group itself is.
        """
        if not (self.pools or self.closures):
            return Availability()
        objections = {found.why: found for found in self._group_objections(group.name, at)}
        barred = bool(objections)
        limit = 0
        asked: list[datetime] = []
        refused: dict[Why, Objection] = {}
        for pool in pools_of(group, zone):
            objection = self._pool_objection(pool, group, at)
            if objection is not None:
                refused.setdefault(objection.why, objection)
                continue
            record = self.pools.get(pool)
            if record is None:
                return Availability(tuple(objections.values()))
            limit = max(limit, record.allowance)
            asked.append(record.asked)
        if limit == 1:
            opens = self.budget.opens_at(at, min(asked), self._due(at))
            if opens > at:
                limit, refused = (
                    0,
                    {Why.IN_BACKOFF: Objection(Why.IN_BACKOFF, f"waits its turn, until {opens:%H:%M:%S}")},
                )
        if limit == 0:
            objections = refused | objections
        elif not barred:
            return Availability(limit=limit)
        return Availability(tuple(objections.values()))

    def with_asked(self, group: NodeGroup, zone: Zone | None, at: datetime) -> CapacityMemory:
        """Note that the offering is being asked: its dry pools are busy until the answer is learned."""
        records = {pool: self.pools[pool] for pool in pools_of(group, zone) if pool in self.pools}
        if not records:
            return self
        offering = Offering(group.name, zone)
        budget = self.budget.spend(at) if self._is_probe(group, zone, at) else self.budget
        busy = {pool: record.asked_at(at, offering) for pool, record in records.items() if not record.is_open(at)}
        return replace(self, pools={**self.pools, **busy}, budget=budget)

    def learn(self, result: LaunchResult, group: NodeGroup, policy: Policy, jitter: float) -> CapacityMemory:
        """Take in one answer. `jitter` in [0, 1) shortens what it opens by up to a tenth."""
        at = result.at
        asked = at - timedelta(seconds=min(max(result.seconds, 0.0), ANSWER_DUE.total_seconds()))
        lesson = self._sharpened(read_lesson(result, group), result, group, asked)
        offering = Offering(group.name, result.launch.zone)
        told = pools_of(group, result.launch.zone)
        was_told = any(pool in self.pools and self.pools[pool].in_flight for pool in told)
        probed = not was_told and lesson.is_answer and self._is_probe(group, result.launch.zone, asked)
        pools = dict(self.pools)
        for pool in told:
            if pool in pools and not (result.launch.method is LaunchMethod.DESIRED and lesson.is_silent):
                pools[pool] = pools[pool].answered()
        for pool in lesson.gave:
            if pool in self.pools and at >= self.pools[pool].seen:
                better = self.pools[pool].succeeded(at)
                if better is None:
                    del pools[pool]
                else:
                    pools[pool] = better
        for pool, detail in lesson.dry.items():
            refusal = PoolRefusal(
                at=at, asked=asked, via=offering, detail=detail, spans=policy.capacity_backoff, jitter=jitter
            )
            pools[pool] = refusal.record(self.pools.get(pool))
        answered = dict(self.answered)
        if lesson.is_answer:
            answered[offering] = Answered(self.refusal_number(group, result.launch.zone) + 1, at)
        missing, denied = self._launch_api_after(lesson, group.name, at)
        return replace(
            self,
            pools=pools,
            closures=self._closures_after(lesson, at, policy),
            answered=answered,
            budget=self.budget.spend(asked) if probed else self.budget,
            launch_api_missing_until=missing,
            launch_api_denied=denied,
        ).without_expired(at)

    def refusal_number(self, group: NodeGroup, zone: Zone | None) -> int:
        """Count the answers of the offering, for the client token.

        A token replays its old answer, so a new question after any answer
        needs a new one; a call that was lost or is in progress keeps it.
        """
        found = self.answered.get(Offering(group.name, zone))
        return found.count if found else 0

    def group_failed(self, name: GroupName, detail: str, at: datetime, policy: Policy) -> CapacityMemory:
        """Back the group off because its instances do not become Nodes: 5 to 30 minutes, doubling.

        Successful launches prove nothing here; only a quiet time
        (`group_backoff_reset`) makes the next span the first one again.
        """
        scope = Scope(ScopeKind.NODELESS, name)
        reason = Objection(Why.IN_BACKOFF, detail)
        closed = close(self.closures.get(scope), growth_of(scope.kind, policy), at, reason)
        return replace(self, closures={**self.closures, scope: closed})

    def with_dry(self, pools: Iterable[CapacityPool], until: datetime, detail: str) -> CapacityMemory:
        """Declare pools dry until then, whatever is known of them."""
        dry = {pool: PoolRecord(until=until, asked=until, seen=until, detail=detail) for pool in pools}
        return replace(self, pools={**self.pools, **dry})

    def next_change(self, at: datetime) -> datetime | None:
        """Return when an offering may become available that is not now; None: nothing is pending."""
        times = [record.until for record in self.pools.values()]
        times += [record.asked + ANSWER_DUE for record in self.pools.values() if record.in_flight]
        times += [closure.until for closure in self.closures.values()]
        if self.launch_api_missing_until is not None:
            times.append(self.launch_api_missing_until)
        times += self.launch_api_denied.values()
        if any(True for _ in self._due(at)):
            times += [sent + PROBE_WINDOW for sent in self.budget.sent]
            since = self.budget.free_since()
            times += [since + YIELD_FOR] if since is not None else []
        return min((time for time in times if time > at), default=None)

    def dry_pools(self, at: datetime) -> tuple[CapacityPool, ...]:
        """Return the pools that may not be asked now for lack of capacity, in order."""
        return tuple(sorted(pool for pool, record in self.pools.items() if record.is_open(at)))

    def _launch_api_after(
        self, lesson: Lesson, name: GroupName, at: datetime
    ) -> tuple[datetime | None, Mapping[GroupName, datetime]]:
        """Where another group has had answers, the permission is a matter of this one: IAM can go by its tags."""
        if not lesson.no_launch_api:
            return self.launch_api_missing_until, self.launch_api_denied
        if any(offering.group != name for offering in self.answered):
            return self.launch_api_missing_until, {**self.launch_api_denied, name: at + LAUNCH_API_RETRY}
        return at + LAUNCH_API_RETRY, self.launch_api_denied

    def has_launch_api(self, name: GroupName, at: datetime) -> bool:
        """Whether LaunchInstances is worth a try; after an hour without it, it is again."""
        closed = (self.launch_api_missing_until, self.launch_api_denied.get(name))
        return all(until is None or at >= until for until in closed)

    def without_expired(self, at: datetime) -> CapacityMemory:
        """Forget what is too old to matter, and the oldest of what is too many."""
        pools = {pool: kept for pool, kept in self.pools.items() if at < max(kept.seen + MEMORY_SPAN, kept.until)}
        closures = {scope: kept for scope, kept in self.closures.items() if at < kept.forgotten}
        answered = {offering: kept for offering, kept in self.answered.items() if at < kept.at + MEMORY_SPAN}
        denied = {name: until for name, until in self.launch_api_denied.items() if at < until}
        if len(pools) > MAX_ENTRIES:
            pools = dict(sorted(pools.items(), key=lambda item: (item[1].seen, item[0]))[-MAX_ENTRIES:])
        if len(closures) > MAX_ENTRIES:
            closures = dict(sorted(closures.items(), key=lambda item: (item[1].failed, item[0]))[-MAX_ENTRIES:])
        if len(answered) > MAX_ENTRIES:
            answered = dict(sorted(answered.items(), key=lambda item: item[1].at)[-MAX_ENTRIES:])
        return replace(self, pools=pools, closures=closures, answered=answered, launch_api_denied=denied)

    def to_state(self) -> dict[str, object]:
        """Return all of it as JSON values, to be read by `from_state` of this version."""
        missing = self.launch_api_missing_until
        return {
            "version": saved.VERSION,
            "pools": [saved.write_pool(pool, record) for pool, record in self.pools.items()],
            "closures": [saved.write_closure(scope, closure) for scope, closure in self.closures.items()],
            "answered": [saved.write_answered(offering, kept) for offering, kept in self.answered.items()],
            "probes": [[saved.write_time(sent)] for sent in self.budget.sent],
            "launchApiMissingUntil": None if missing is None else saved.write_time(missing),
            "launchApiDenied": [[name, saved.write_time(until)] for name, until in self.launch_api_denied.items()],
        }

    @classmethod
    def from_state(cls, state: object) -> CapacityMemory:
        """Read what `to_state` wrote. Raises CapacityStateError for anything else."""
        if not isinstance(state, dict) or state.get("version") != saved.VERSION:
            raise saved.CapacityStateError(f"capacity memory: not of version {saved.VERSION}")
        missing = state.get("launchApiMissingUntil")
        probes = [saved.read_time(row[0]) for row in saved.read_rows(state, "probes", 1)]
        return cls(
            pools=dict(saved.read_pool(row) for row in saved.read_rows(state, "pools", saved.POOL_WIDTH)),
            closures=dict(saved.read_closure(row) for row in saved.read_rows(state, "closures", saved.CLOSURE_WIDTH)),
            answered=dict(saved.read_answered(row) for row in saved.read_rows(state, "answered", saved.ANSWERED_WIDTH)),
            budget=ProbeBudget(tuple(sorted(probes)[-PROBES_PER_MINUTE:])),
            launch_api_missing_until=None if missing is None else saved.read_time(missing),
            launch_api_denied={
                GroupName(str(name)): saved.read_time(until)
                for name, until in saved.read_rows(state, "launchApiDenied", 2)
            },
        )

    def _sharpened(self, lesson: Lesson, result: LaunchResult, group: NodeGroup, asked: datetime) -> Lesson:
        """Let an answer that tells nothing new stand for the whole offering.

        Otherwise an offering of several types would be asked again at once,
        and for ever, when AWS names only the type that is known to be dry.
        """
        is_news = any(self._closed(scope, asked) is None for scope in lesson.closes) or any(
            pool not in self.pools or not self.pools[pool].is_open(asked) for pool in lesson.dry
        )
        if lesson.is_full or lesson.is_silent or not result.refusals or is_news or lesson.no_launch_api:
            return lesson
        code = result.refusals[0].code
        if lesson.dry:
            return replace(lesson, dry=dict.fromkeys(pools_of(group, result.launch.zone), code) | dict(lesson.dry))
        pause = Scope(ScopeKind.PAUSE, group.name)
        return replace(lesson, closes={**lesson.closes, pause: Objection(Why.IN_BACKOFF, code)})

    def _closures_after(self, lesson: Lesson, at: datetime, policy: Policy) -> dict[Scope, Closure]:
        """Close what the lesson closes; what it disproves is forgotten once its time is over."""
        kept = {
            scope: closure
            for scope, closure in self.closures.items()
            if scope not in lesson.disproved or at < closure.until
        }
        for scope, reason in lesson.closes.items():
            kept[scope] = close(self.closures.get(scope), growth_of(scope.kind, policy), at, reason)
        return kept

    def _closed(self, scope: Scope, at: datetime) -> Objection | None:
        closure = self.closures.get(scope)
        return closure.objection() if closure is not None and at < closure.until else None

    def _group_objections(self, name: GroupName, at: datetime) -> Iterator[Objection]:
        for kind in (ScopeKind.GROUP, ScopeKind.NODELESS, ScopeKind.PAUSE):
            found = self._closed(Scope(kind, name), at)
            if found is not None:
                yield found

    def _pool_objection(self, pool: CapacityPool, group: NodeGroup, at: datetime) -> Objection | None:
        if self.closures:
            for scope in _scopes_of(pool, group):
                found = self._closed(scope, at)
                if found is not None:
                    return found
        record = self.pools.get(pool)
        if record is None:
            return None
        if record.is_open(at):
            ends = f", until {record.until:%H:%M:%S}" if record.until - at < timedelta(hours=12) else ""
            return Objection(Why.IN_BACKOFF, record.detail + ends)
        if record.is_busy(at):
            return Objection(Why.IN_BACKOFF, "asked just now, waits for the answer")
        return None

    def _due(self, at: datetime) -> Iterator[PoolRecord]:
        return (record for record in self.pools.values() if record.is_due(at))

    def _is_probe(self, group: NodeGroup, zone: Zone | None, at: datetime) -> bool:
        """Every pool that the launch may draw on refused, and none has given anything since."""
        records = [
            self.pools.get(pool) for pool in pools_of(group, zone) if self._pool_objection(pool, group, at) is None
        ]
        return bool(records) and all(record is not None and not record.is_proven for record in records)


def _scopes_of(pool: CapacityPool, group: NodeGroup) -> Iterator[Scope]:
    """Yield what may close the pool for this group although it is not dry."""
    yield Scope(ScopeKind.QUOTA, pool.market, quota_class(pool.instance_type))
    yield Scope(ScopeKind.TYPE, pool.instance_type, pool.zone)
    yield Scope(ScopeKind.OFFERING, group.name, pool.zone)
    yield Scope(ScopeKind.ADDRESSES, group.name, pool.zone)
    subnet = group.subnets.get(pool.zone)
    if subnet:
        yield Scope(ScopeKind.SUBNET, subnet)
