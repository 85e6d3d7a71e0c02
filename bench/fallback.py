"""From dry groups to a healthy one: a real controller against the emulators (promise P2).

Twelve dry spot groups in three zones each and a healthy on-demand group
behind them, every AWS call taking half a second: forty nodes, then one node,
each from an empty memory; and a second burst, which must not ask the dry
ones again. Besides, one and fifty dry groups. Leaves out the time in which
an instance boots: what counts is when AWS was asked and had answered.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.emulator.aws.journal import Call
from autoscaler.emulator.aws.server import EmulatorConfig
from autoscaler.emulator.aws.world import Delays
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.world import CLUSTER_TAG, EmulatedWorld, WorldOptions
from bench.marks import Marks
from bench.result import Result

SEED = 2
LATENCY = 0.5
FAMILIES = (
    "m5",
    "m5a",
    "m5ad",
    "m5d",
    "m5dn",
    "m5n",
    "m6a",
    "m6i",
    "m6id",
    "m6idn",
    "m6in",
    "m7i",
)  # 4 vCPU, 16 GiB each
HEALTHY = "od-a"
FLAGS = (f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}", "--cores-total=0:100000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What one burst of pods cost; `seconds` from the first Unschedulable to the last answer needed."""

    seconds: float
    calls: int
    refused: int
    surplus: int
    returned: int


def burst(dry_groups: int, nodes: int, *, again: bool = False) -> Burst:
    """Play one burst in a world of its own; with `again` a second one, which is the one reported."""
    delays = Delays(boot=0.5, terminate=0.2)
    with EmulatedWorld.start(WorldOptions(aws=EmulatorConfig(delays=delays))) as world:
        for number in range(dry_groups):
            kind = f"{FAMILIES[number % len(FAMILIES)]}.xlarge"
            world.aws.create_group(
                name=f"spot-{number:02d}", instance_types=[kind], market="spot", max=100, tags={CLUSTER_TAG: "true"}
            )
        world.aws.create_group(
            name=HEALTHY, instance_types=["m5.xlarge"], market="on-demand", max=100, tags={CLUSTER_TAG: "true"}
        )
        world.aws.set_pool(market="spot", free=0)
        world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        world.aws.faults.set_latency("*", LATENCY)
        with ChildController.start(FLAGS, world.environment()) as child:
            child.wait_ready()
            marks = Marks(world)
            found = _play(world, child, marks, (1, nodes))
            if again:
                child.wait(lambda: marks.pods_bound() >= nodes, 60, "the first burst's pods to run")
                found = _play(world, child, marks, (2, nodes))
            return found


def _play(world: EmulatedWorld, child: ChildController, marks: Marks, size: tuple[int, int]) -> Burst:
    """Deploy pods that need a node each, and wait until as many were launched and the surplus was returned."""
    round_, nodes = size
    before, removed = len(world.aws.calls("LaunchInstances")), len(_removals(world))
    have = len(world.aws.instances(HEALTHY))
    marks.clear()
    world.deploy(f"burst-{round_}", nodes, cpu="3", memory="4Gi")
    passes = len(_launching(child))
    child.wait(lambda: len(world.aws.instances(HEALTHY)) >= have + nodes, 60, f"{nodes} nodes")
    child.wait(lambda: len(_launching(child)) > passes, 30, "the end of the pass")
    calls = world.aws.calls("LaunchInstances")[before:]
    bought = sum(line["launched"] for line in _launching(child)[passes:])
    return Burst(
        seconds=max(_ended(call) for call in calls) - marks.first_unschedulable(),
        calls=len(calls),
        refused=sum(call.group != HEALTHY for call in calls),
        surplus=bought - nodes,
        returned=len(_removals(world)) - removed,
    )


def _launching(child: ChildController) -> list[dict[str, int]]:
    return [line for line in child.events("pass.finished") if line["waves"]]


def _removals(world: EmulatedWorld) -> list[Call]:
    return world.aws.calls("TerminateInstanceInAutoScalingGroup")


def _ended(call: Call) -> float:
    return call.started + (call.seconds or 0.0)


def run() -> Result:
    """Play 1, 12 and 50 dry groups."""
    forty, single = burst(12, 40), burst(12, 1)
    second = burst(12, 4, again=True)
    one, fifty = burst(1, 40), burst(50, 40)
    return Result(
        bench="fallback",
        seed=SEED,
        figures={
            "seconds_40": round(forty.seconds, 2),
            "calls_40": forty.calls,
            "refused_40": forty.refused,
            "seconds_1": round(single.seconds, 2),
            "surplus_1": single.surplus,
            "kept_surplus_1": single.surplus - single.returned,
            "calls_1": single.calls,
            "refused_second_burst": second.refused,
            "seconds_40_1_group": round(one.seconds, 2),
            "seconds_40_50_groups": round(fifty.seconds, 2),
            "calls_40_50_groups": fifty.calls,
        },
        floors={
            "seconds_40": 3.0,
            "calls_40": 45,
            "seconds_1": 8.0,
            "surplus_1": 2,
            "kept_surplus_1": 0,
            "refused_second_burst": 0,
        },
    )
