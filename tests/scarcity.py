"""AWS as pools with so many free instances, and a pass played against it to the end.

Pure: no HTTP, no time but the one counted here. Each wave of calls takes half
a second. Adapters are tested elsewhere; here the planning of waves is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from autoscaler.core.decision import Decision, Launch, LaunchResult, Refusal, RefusalKind
from autoscaler.core.model import CapacityPool, Instance, InstanceId, LaunchMethod, Lifecycle, NodeGroup, Zone
from autoscaler.core.planner import plan
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.scaleup.waves import fold_results, note_asked
from autoscaler.core.snapshot import Snapshot, Wave
from tests.builders import NOW

CALL = timedelta(milliseconds=500)
PLENTY = 10**6
MOST_WAVES = 60


class Scarcity:
    """Free instances by pool; a pool that is not named has plenty."""

    def __init__(self, free: Mapping[CapacityPool, int] | None = None) -> None:
        self.free: Counter[CapacityPool] = Counter(free or {})
        self._named = set(free or {})
        self._numbers = 0

    def empty(self, group: NodeGroup, zone: Zone | None = None, left: int = 0) -> None:
        for pool in pools_of(group, zone):
            self._named.add(pool)
            self.free[pool] = left

    def refill(self, group: NodeGroup) -> None:
        self._named.difference_update(pools_of(group, None))

    def answer(self, launch: Launch, group: NodeGroup, at: datetime) -> LaunchResult:
        """Give what is there, type by type; name each pool that fell short."""
        if launch.method is LaunchMethod.DESIRED:
            return LaunchResult(launch=launch, at=at)
        launched: list[Instance] = []
        refusals: list[Refusal] = []
        weights = {shape.instance_type: shape.weight for shape in group.shapes}
        for pool in pools_of(group, launch.zone):
            wanted = launch.count - len(launched)
            if not wanted:
                break
            given = min(wanted, self.free[pool] if pool in self._named else PLENTY)
            self.free[pool] -= given
            launched += [self._instance(pool, weights.get(pool.instance_type, 1), at) for _ in range(given)]
            if given < wanted:
                refusals.append(_no_capacity(pool))
        found = len(launched) == launch.count
        return LaunchResult(
            launch=launch, at=at, launched=tuple(launched), refusals=() if found else tuple(refusals), seconds=0.5
        )

    def _instance(self, pool: CapacityPool, weight: int, at: datetime) -> Instance:
        self._numbers += 1
        return Instance(
            id=InstanceId(f"i-new-{self._numbers:06d}"),
            instance_type=pool.instance_type,
            zone=pool.zone,
            lifecycle=Lifecycle.PENDING,
            weight=weight,
            since=at,
        )


def _no_capacity(pool: CapacityPool) -> Refusal:
    return Refusal(
        kind=RefusalKind.NO_CAPACITY,
        code="InsufficientInstanceCapacity",
        instance_type=pool.instance_type,
        zone=pool.zone,
        market=pool.market,
    )


@dataclass
class Course:
    """A pass that was played to its end; `after` is the world with the surplus given back."""

    decisions: list[Decision] = field(default_factory=list)
    launches: list[list[Launch]] = field(default_factory=list)  # by wave
    bought: int = 0
    returned: int = 0
    after: Snapshot = field(default_factory=lambda: Snapshot(at=NOW))

    @property
    def calls(self) -> int:
        return sum(len(wave) for wave in self.launches)

    @property
    def waves(self) -> int:
        return len(self.launches)

    @property
    def last(self) -> Decision:
        return self.decisions[-1]

    def nodes_of(self, group: str) -> int:
        return sum(1 for one in self.after.groups if one.name == group for _ in one.live)


def play(snapshot: Snapshot, aws: Scarcity) -> Course:
    """Plan, ask and fold in, until a plan asks for nothing; then carry its removals out."""
    course = Course()
    for _ in range(MOST_WAVES):
        decision = plan(snapshot)
        course.decisions.append(decision)
        if not decision.launches:
            course.after = _without_surplus(snapshot, decision, course)
            return course
        course.launches.append(list(decision.launches))
        snapshot = note_asked(snapshot, decision.launches)
        groups = {group.name: group for group in snapshot.groups}
        at = snapshot.at + CALL
        results = [aws.answer(launch, groups[launch.group], at) for launch in decision.launches]
        course.bought += sum(len(result.launched) for result in results)
        snapshot = replace(fold_results(snapshot, results, 0.0), at=at)
    raise AssertionError(f"the pass does not end in {MOST_WAVES} waves")


def _without_surplus(snapshot: Snapshot, decision: Decision, course: Course) -> Snapshot:
    gone = {removal.instance for removal in decision.removals if removal.reason == "Surplus"}
    course.returned = len(gone)
    groups = []
    for group in snapshot.groups:
        kept = tuple(one for one in group.instances if one.id not in gone)
        lost = sum(one.weight for one in group.instances if one.id in gone)
        groups.append(replace(group, instances=kept, desired=group.desired - lost))
    return replace(snapshot, groups=tuple(groups), wave=Wave())
