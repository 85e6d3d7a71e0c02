"""Capacity memory against a scarcity of 90 minutes, in virtual time (promise P3).

A world of single-type offerings, one tier each, all wanted by pods that wait.
Each pool is dry at first and comes back at a random time of its own. Once a
second the planner's part is played: the offerings are looked at from the
highest tier down and each that may be asked is asked, in one wave.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind
from autoscaler.core.model import GroupName, Instance, InstanceId, InstanceShape, InstanceType, Market, NodeGroup, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.resources import Resources
from autoscaler.core.scaleup.capacity import CapacityMemory
from bench.result import Result

SEED = 3
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZONE = Zone("eu-west-3a")
SCARCITY = 90 * 60  # seconds
LATENCY = 0.5  # of a call, in seconds
POLICY = Policy()


def _group(position: int) -> NodeGroup:
    shape = InstanceShape(instance_type=InstanceType(f"m5.type{position}"), capacity=Resources({"cpu": 4000}))
    return NodeGroup(
        name=GroupName(f"spot-{position:03d}"),
        min_size=0,
        max_size=1000,
        desired=0,
        zones=(ZONE,),
        market=Market.SPOT,
        shapes=(shape,),
    )


@dataclass
class Trace:
    """The calls to each pool while it was dry, and how long a returned pool waited for its first use."""

    calls: list[list[float]]
    waits: list[float] = field(default_factory=list)
    missed: int = 0  # returned pools that were not used before the end


@dataclass
class Scarcity:
    """The world: when each pool returns, and the answers that are under way."""

    groups: Sequence[NodeGroup]
    returns: Sequence[float]
    chance: random.Random
    memory: CapacityMemory = field(default_factory=CapacityMemory)
    answers: list[tuple[float, LaunchResult, NodeGroup]] = field(default_factory=list)

    def play(self) -> Trace:
        trace = Trace([[] for _ in self.groups])
        used = [False] * len(self.groups)
        for second in range(SCARCITY):
            self._learn(float(second))
            for position, group in enumerate(self.groups):
                if used[position]:
                    continue
                at = START + timedelta(seconds=second)
                if self.memory.availability(group, ZONE, at).objections:
                    continue
                self.memory = self.memory.with_asked(group, ZONE, at)
                has_returned = second >= self.returns[position]
                self.answers.append((second + LATENCY, self._answer(group, second + LATENCY, has_returned), group))
                if has_returned:
                    used[position] = True
                    trace.waits.append(second - self.returns[position])
                else:
                    trace.calls[position].append(float(second))
        trace.missed = sum(not one and back < SCARCITY for one, back in zip(used, self.returns, strict=True))
        return trace

    def _learn(self, second: float) -> None:
        ready = [answer for answer in self.answers if answer[0] <= second]
        self.answers = [answer for answer in self.answers if answer[0] > second]
        for _, result, group in ready:
            self.memory = self.memory.learn(result, group, POLICY, self.chance.random())

    def _answer(self, group: NodeGroup, second: float, has_capacity: bool) -> LaunchResult:
        kind = group.shapes[0].instance_type
        refusal = Refusal(kind=RefusalKind.NO_CAPACITY, code="InsufficientInstanceCapacity", instance_type=kind)
        instance = Instance(id=InstanceId(f"i-{group.name}"), instance_type=kind, zone=ZONE)
        return LaunchResult(
            launch=Launch(group=group.name, zone=ZONE, count=1, units=1),
            at=START + timedelta(seconds=second),
            launched=(instance,) if has_capacity else (),
            refusals=() if has_capacity else (refusal,),
            seconds=LATENCY,
        )


def most_within(times: Iterable[float], span: float) -> int:
    """Return the largest number of times in any half-open stretch of `span` seconds."""
    ordered = sorted(times)
    most = first = 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - span:
            first += 1
        most = max(most, last - first + 1)
    return most


def replay(pools: int, seed: int = SEED) -> Trace:
    """Play one scarcity: all pools dry at the start, each back between 10 and 80 minutes later."""
    chance = random.Random(seed)
    returns = [chance.uniform(600, 4800) for _ in range(pools)]
    return Scarcity([_group(position) for position in range(pools)], returns, chance).play()


def longest_gap(pools: int) -> float:
    """Return the longest time between two calls to a pool, of pools that never return: the worst wait there is."""
    groups = [_group(position) for position in range(pools)]
    trace = Scarcity(groups, [SCARCITY * 2.0] * pools, random.Random(SEED)).play()
    return max(
        later - sooner
        for calls in trace.calls
        for sooner, later in zip(calls, [*calls[1:], float(SCARCITY)], strict=True)
    )


def run() -> Result:
    """Replay 1, 20 and 60 dry pools that return, and as many that never do."""
    traces = {pools: replay(pools) for pools in (1, 20, 60)}
    probes = [[time for calls in trace.calls for time in calls[1:]] for trace in traces.values()]
    return Result(
        bench="memory",
        seed=SEED,
        figures={
            "pool_calls_3min": max(most_within(calls, 180) for trace in traces.values() for calls in trace.calls),
            "all_calls_1min": max(most_within(times, 60) for times in probes),
            "return_seconds_1": max(traces[1].waits),
            "return_seconds_20": max(traces[20].waits),
            "return_seconds_60": max(traces[60].waits),
            "worst_seconds_20": longest_gap(20),
            "worst_seconds_60": longest_gap(60),
            "not_used_again": sum(trace.missed for trace in traces.values()),
        },
        floors={
            "pool_calls_3min": 4,
            "all_calls_1min": 20,
            "return_seconds_1": 60,
            "return_seconds_20": 60,
            "return_seconds_60": 185,
            "worst_seconds_20": 60,
            "worst_seconds_60": 185,
            "not_used_again": 0,
        },
        left_out="the real planner, AWS and clocks; pools that groups share; the first call to a pool is no probe",
    )
