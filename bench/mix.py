"""How long `plan` takes for pods of which nearly each is a class of its own.

The field's usual mix, one fifth each: plain, spread over zones, spread over
hosts, affine to their own kind in a zone, and alone on their node; 400 groups
of one tier, group i with i cores, 2i GiB and room for 10i pods, three zones.
Karpenter 1.15 takes 3.9-4.7, 23-30 and 124-126 s for it on this kind of
machine, with 200, 1,000 and 4,000 nodes.
"""

from __future__ import annotations

import gc
import random
from datetime import UTC, datetime, timedelta

from autoscaler.clock import monotonic
from autoscaler.core.decision import Decision, Outcome
from autoscaler.core.model import (
    HOSTNAME_LABEL,
    ZONE_LABEL,
    GroupName,
    InstanceShape,
    InstanceType,
    Labels,
    LaunchMethod,
    Market,
    NodeGroup,
    Pod,
    Uid,
    Zone,
)
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, PodSpec, PodTerm, Requirement, SpreadConstraint
from autoscaler.core.policy import Policy
from autoscaler.core.resources import Resources
from autoscaler.core.snapshot import Snapshot
from bench.result import Result

SEED = 42
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZONES = tuple(Zone(f"eu-west-3{letter}") for letter in "abc")
GROUPS = 400
SIZES = {1000: (200, 0.3), 5000: (1000, 1.5), 20_000: (4000, 6.0)}  # pods: nodes at most, seconds at most
RUNS = {1000: 5, 5000: 3, 20_000: 2}
CPUS = (100, 250, 500, 1000, 1500)
MEMORIES = (100, 256, 512, 1024, 2048, 4096)
LETTERS = "abcdefg"


def run() -> Result:
    """Plan each size several times; the best run counts, garbage collection as it comes."""
    figures: dict[str, float] = {}
    floors: dict[str, float] = {}
    for pods, (nodes, seconds) in SIZES.items():
        best, decision = _best_of(mixed_world(pods), RUNS[pods])
        figures |= {
            f"seconds_{pods}": best,
            f"nodes_{pods}": sum(launch.count for launch in decision.launches),
            f"placed_{pods}": sum(one.outcome is Outcome.LAUNCH for one in decision.verdicts.values()),
        }
        floors |= {f"seconds_{pods}": seconds, f"nodes_{pods}": nodes, f"placed_{pods}": pods}
    return Result(
        bench="mix",
        seed=SEED,
        figures=figures,
        floors=floors,
        higher_is_better=frozenset(f"placed_{pods}" for pods in SIZES),
        left_out="reading the cluster and asking AWS; nodes that exist; the best of "
        f"{', '.join(map(str, RUNS.values()))} runs, in one process",
    )


def _best_of(world: Snapshot, runs: int) -> tuple[float, Decision]:
    best = float("inf")
    for _ in range(runs):
        gc.collect()
        began = monotonic()
        decision = plan(world)
        best = min(best, monotonic() - began)
    return best, decision


def mixed_world(count: int) -> Snapshot:
    """`count` pending pods of the mix, and nothing but groups."""
    chance = random.Random(SEED)
    mix = _Mix(chance)
    kinds = (mix.plain, mix.spread_over_zones, mix.spread_over_hosts, mix.together, mix.alone)
    pods = []
    for number in range(count):
        labels, wishes = kinds[number % len(kinds)]()
        created = NOW - timedelta(seconds=60 + number % 30)
        pods.append(
            Pod(
                namespace="bench",
                name=f"pod-{number:05d}",
                uid=Uid(f"uid-{number}"),
                spec=mix.spec(**wishes),
                labels=mix.shared(labels),
                created=created,
                unschedulable_since=created,
            )
        )
    return Snapshot(
        at=NOW,
        groups=tuple(_group(number) for number in range(1, GROUPS + 1)),
        pods=pods,
        policy=Policy(max_nodes_per_scaleup=100_000),
    )


class _Mix:
    """Draws pods; equal specs and labels are shared, as the cache shares them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._specs: dict[PodSpec, PodSpec] = {}
        self._labels: dict[tuple[tuple[str, str], ...], Labels] = {}

    def spec(self, **wishes: tuple[object, ...]) -> PodSpec:
        chance = self._chance
        amounts = {"cpu": chance.choice(CPUS), "memory": chance.choice(MEMORIES) * 2**20, "pods": 1}
        made = PodSpec(requests=Resources(amounts), **wishes)  # type: ignore[arg-type]
        return self._specs.setdefault(made, made)

    def shared(self, labels: dict[str, str]) -> Labels:
        return self._labels.setdefault(tuple(labels.items()), labels)

    def plain(self) -> tuple[dict[str, str], dict[str, tuple[object, ...]]]:
        return self._label(), {}

    def spread_over_zones(self) -> tuple[dict[str, str], dict[str, tuple[object, ...]]]:
        return self._label(), self._spread(ZONE_LABEL)

    def spread_over_hosts(self) -> tuple[dict[str, str], dict[str, tuple[object, ...]]]:
        return self._label(), self._spread(HOSTNAME_LABEL)

    def together(self) -> tuple[dict[str, str], dict[str, tuple[object, ...]]]:
        letter = self._letter()
        term = PodTerm(ZONE_LABEL, _selector("my-affinity", letter))
        return self._label() | {"my-affinity": letter}, {"affinity": (term,)}

    def alone(self) -> tuple[dict[str, str], dict[str, tuple[object, ...]]]:
        term = PodTerm(HOSTNAME_LABEL, _selector("app", "alone"))
        return self._label() | {"app": "alone"}, {"anti_affinity": (term,)}

    def _spread(self, key: str) -> dict[str, tuple[object, ...]]:
        return {"spread": (SpreadConstraint(key, 1, True, _selector("my-label", self._letter())),)}

    def _letter(self) -> str:
        return self._chance.choice(LETTERS)

    def _label(self) -> dict[str, str]:
        return {"my-label": self._letter()}


def _selector(key: str, value: str) -> LabelSelector:
    return LabelSelector((Requirement(key, "In", (value,)),))


def _group(number: int) -> NodeGroup:
    """Group `number`: so many cores, twice as many GiB, ten times as many pods."""
    capacity = Resources({"cpu": number * 1000, "memory": number * 2 * 2**30, "pods": number * 10})
    return NodeGroup(
        name=GroupName(f"group-{number:03d}"),
        min_size=0,
        max_size=100_000,
        desired=0,
        zones=ZONES,
        market=Market.SPOT,
        method=LaunchMethod.SYNC,
        shapes=(InstanceShape(instance_type=InstanceType(f"bench.{number}"), capacity=capacity),),
    )
