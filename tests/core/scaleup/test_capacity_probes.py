"""P3: how often dry pools are asked, and how soon one that returned is used again."""

import random
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind, Why
from autoscaler.core.model import NodeGroup, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.capacity import CapacityMemory
from bench.memory import most_within, replay
from tests.builders import NOW, ZONES, group, instance

ZONE = Zone(ZONES[0])
POLICY = Policy()


def offerings(number: int) -> list[NodeGroup]:
    """Groups from the highest tier down, each with a pool of its own."""
    return [group(f"spot-{position:03d}", types=[f"m5.type{position}"]) for position in range(number)]


def answer(of: NodeGroup, at: datetime, *, gives: bool = False, seconds: float = 0.0) -> LaunchResult:
    refusal = Refusal(kind=RefusalKind.NO_CAPACITY, code="InsufficientInstanceCapacity")
    launched = (instance(kind=of.shapes[0].instance_type, zone=ZONE),) if gives else ()
    launch = Launch(group=of.name, zone=ZONE, count=1, units=1)
    refusals = () if gives else (refusal,)
    return LaunchResult(launch=launch, at=at, launched=launched, refusals=refusals, seconds=seconds)


def all_refused(groups: list[NodeGroup]) -> CapacityMemory:
    """Half-open at NOW + 30 s."""
    memory = CapacityMemory()
    for one in groups:
        memory = memory.learn(answer(one, NOW), one, POLICY, 0)
    return memory


def ask(memory: CapacityMemory, groups: list[NodeGroup], at: datetime) -> tuple[CapacityMemory, list[NodeGroup]]:
    """One wave: every offering that may be asked is, from the highest tier down."""
    asked = []
    for one in groups:
        if not memory.availability(one, ZONE, at).objections:
            memory = memory.with_asked(one, ZONE, at)
            asked.append(one)
    return memory, asked


def test_a_pool_is_not_asked_twice_before_its_answer() -> None:
    """Two groups that draw on the same pool are one probe."""
    one, two = group("spot-a"), group("spot-b")
    at = NOW + timedelta(seconds=30)
    memory, asked = ask(all_refused([one]), [one, two], at)
    assert asked == [one]
    (objection,) = memory.availability(two, ZONE, at).objections
    assert objection.why is Why.IN_BACKOFF
    assert memory.next_change(at) == at + timedelta(minutes=1), "an answer that never comes blocks for a minute"
    assert not memory.availability(two, ZONE, at + timedelta(minutes=1)).objections


def test_asking_a_healthy_pool_leaves_no_trace() -> None:
    memory = CapacityMemory()
    assert memory.with_asked(group(), ZONE, NOW) is memory


def test_a_wave_probes_twenty_pools_and_the_highest_tiers_first() -> None:
    groups = offerings(30)
    at = NOW + timedelta(seconds=30)
    memory, asked = ask(all_refused(groups), groups, at)
    assert asked == groups[:20]
    (objection,) = memory.availability(groups[20], ZONE, at).objections
    assert str(objection) == "InBackoff: waits its turn, until 12:01:30"
    assert memory.next_change(at) == at + timedelta(minutes=1)


def test_the_pools_that_waited_longer_come_first_in_the_next_minute() -> None:
    groups = offerings(30)
    at = NOW + timedelta(seconds=30)
    memory, asked = ask(all_refused(groups), groups, at)
    for one in asked:
        memory = memory.learn(answer(one, at), one, POLICY, 0)
    memory, asked = ask(memory, groups, at + timedelta(minutes=1))
    assert asked == groups[:10] + groups[20:]


def test_pools_that_nobody_wants_any_more_hold_a_free_call_for_seconds_only() -> None:
    groups = offerings(60)
    at = NOW + timedelta(seconds=30)
    memory, asked = ask(all_refused(groups), groups, at)
    for one in asked:
        memory = memory.learn(answer(one, at), one, POLICY, 0)
    wanted = groups[:5]
    assert ask(memory, wanted, at + timedelta(seconds=60))[1] == []
    assert memory.next_change(at + timedelta(seconds=60)) == at + timedelta(seconds=65)
    assert ask(memory, wanted, at + timedelta(seconds=65))[1] == wanted


def test_a_few_wanted_pools_among_many_dry_ones_keep_their_minute() -> None:
    groups = offerings(60)
    memory, wanted = all_refused(groups), groups[40:45]
    asked: list[float] = []
    for second in range(30, 1000):
        at = NOW + timedelta(seconds=second)
        memory, now = ask(memory, wanted, at)
        asked += [float(second)] * len(now)
        for one in now:
            memory = memory.learn(answer(one, at), one, POLICY, 0)
    assert len(asked) == 5 * len(range(30, 1000, 60))


def test_launches_from_a_pool_that_gave_again_are_no_probes() -> None:
    groups = offerings(40)
    memory = all_refused(groups)
    at = NOW + timedelta(seconds=30)
    memory, asked = ask(memory, groups, at)
    for one in asked:
        memory = memory.learn(answer(one, at, gives=True), one, POLICY, 0)
    assert memory.budget.free(at) == 0
    assert all(memory.availability(one, ZONE, at).limit == 2 for one in asked)


def test_probes_that_nobody_announced_are_counted_when_they_are_answered() -> None:
    groups = offerings(25)
    memory = all_refused(groups)
    at = NOW + timedelta(seconds=30)
    for one in groups[:20]:
        memory = memory.learn(answer(one, at), one, POLICY, 0)
    assert memory.availability(groups[20], ZONE, at).objections


def test_a_scarcity_of_20_pools() -> None:
    trace = replay(20)
    assert max(trace.waits) <= 60
    assert trace.missed == 0
    assert max(most_within(calls, 180) for calls in trace.calls) <= 4
    assert most_within((time for calls in trace.calls for time in calls[1:]), 60) <= 20


@given(
    number=st.integers(1, 50),
    pauses=st.lists(st.floats(0.05, 40), min_size=10, max_size=40),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30)
def test_dry_pools_are_never_asked_too_often_whenever_the_loop_wakes(
    number: int, pauses: list[float], seed: int
) -> None:
    """Whatever the latency of the answers and their order, and with a restart in between."""
    chance, groups, memory, at = random.Random(seed), offerings(number), CapacityMemory(), NOW
    calls: dict[str, list[float]] = {one.name: [] for one in groups}
    flying: list[tuple[datetime, LaunchResult, NodeGroup]] = []
    for position, pause in enumerate(pauses):
        at += timedelta(seconds=pause)
        for due, result, one in [entry for entry in flying if entry[0] <= at]:
            flying.remove((due, result, one))
            memory = memory.learn(result, one, POLICY, chance.random())
        if position == len(pauses) // 2 and not flying:
            memory = CapacityMemory.from_state(memory.to_state())
        memory, asked = ask(memory, groups, at)
        for one in asked:
            calls[one.name].append((at - NOW).total_seconds())
            latency = chance.uniform(0, 5)
            due = at + timedelta(seconds=latency)
            flying.append((due, answer(one, due, seconds=latency), one))
        if position == 0:  # healthy pools are asked at will: wait for the first answers
            for _, result, one in flying:
                memory = memory.learn(result, one, POLICY, chance.random())
            flying.clear()
    assert max(most_within(times, 180) for times in calls.values()) <= 4
    assert most_within((time for times in calls.values() for time in times[1:]), 60) <= 20
