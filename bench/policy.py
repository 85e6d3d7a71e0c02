"""What the wishes of applications cost, and how soon they are obeyed.

Planning: 1,000 full nodes with 30,000 pods, and 1,000 workloads with five
pending pods each over 60 groups, without any annotation and with a distinct
list of groups on each workload; both by turns in one process. Obeying: a
running controller with 1,000 nodes and 30,000 pods in its cache, and a pending
pod whose Deployment forbids the only group; from the change of the annotation
to the launch that it allows.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from autoscaler.clock import monotonic
from autoscaler.core.census import take_census
from autoscaler.core.decision import Decision
from autoscaler.core.model import OwnerRef, Uid
from autoscaler.core.planner import plan
from autoscaler.core.podspec import PodSpec
from autoscaler.core.policy import Policy, Tiers
from autoscaler.core.resources import Resources
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.tuning import Key
from autoscaler.core.workload import Workload
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.kubernetes.resources import DEPLOYMENTS
from autoscaler.emulator.world import CLUSTER_TAG, EmulatedWorld, WorldOptions
from bench.fleet import NOW, App, build_fleet, build_group
from bench.reaction import NODES, PODS, SHAPES, node_object, pod_object
from bench.result import Result

SEED = 3
WORKLOADS, REPLICAS, GROUPS = 1000, 5, 60
LISTED = 4  # groups on the list of a workload, in two tiers
RUNS, TRIALS = 5, 9
CAPACITY = Resources({"cpu": 16_000, "memory": 64 * 2**30, "pods": 110})


def run() -> Result:
    """Plan by turns, then change annotations of a running controller's pods."""
    plain, tuned = planning()
    seconds = sorted(obeying())
    return Result(
        bench="policy",
        seed=SEED,
        figures={
            "ms_plain": plain,
            "ms_1000_annotated": tuned,
            "ratio_1000_annotated": tuned / plain,
            "seconds_annotation": seconds[len(seconds) // 2],
            "seconds_annotation_worst": seconds[-1],
        },
        floors={"ratio_1000_annotated": 2.0, "seconds_annotation": 1.0},
        left_out=f"booting; the best of {RUNS} plans, the median of {TRIALS} changes",
    )


def planning() -> tuple[float, float]:
    """Milliseconds of a plan without and with a list of groups on each workload."""
    plain = world_of([])
    tuned = replace(plain, workloads=_workloads(random.Random(SEED)))
    gc.collect()
    gc.freeze()  # as the controller does once its caches have synced
    rounds = [(_timed(plain), _timed(tuned)) for _ in range(RUNS)]
    gc.unfreeze()
    best = [min(times) * 1000 for times in zip(*rounds, strict=True)]
    return best[0], best[1]


def _timed(world: Snapshot) -> float:
    gc.collect()
    began = monotonic()
    decision: Decision = plan(world)
    spent = monotonic() - began
    if sum(len(launch.pods) for launch in decision.launches) != WORKLOADS * REPLICAS:
        raise RuntimeError("not every pod was bought a place")
    return spent


def world_of(workloads: Sequence[Workload]) -> Snapshot:
    """A full cluster, and pods that need new nodes of one of 60 groups in three tiers."""
    capacities = [CAPACITY] * 20
    nodes, groups = build_fleet(1000, capacities)
    groups += [build_group(number, CAPACITY) for number in range(20, GROUPS)]
    big = App(0, PodSpec(requests=Resources({"cpu": 530, "memory": 2**31, "pods": 1})))
    pods = [big.pod(f"{node.name}-{place}", node) for node in nodes for place in range(30)]
    for number in range(WORKLOADS):
        cpu = 500 + 10 * (number % 50)
        app = App(number, PodSpec(requests=Resources({"cpu": cpu, "memory": 2**31, "pods": 1})))
        app.owner = OwnerRef("ReplicaSet", f"app-{number}", Uid(f"rs-{number}"))
        pods += [app.pod(f"wait-{number:04d}-{replica}") for replica in range(REPLICAS)]
    tiers = Tiers.read({30: ["spot-[0-1]"], 20: ["spot-[2-3]"], 10: ["."]})
    policy = Policy(max_nodes_per_scaleup=10_000, tiers=tiers)
    census = take_census(pods, policy.expendable_cutoff)
    return Snapshot(
        at=NOW, nodes=nodes, groups=groups, pods=pods, workloads=workloads, census=census, policy=policy
    )  # fmt: skip


def _workloads(chance: random.Random) -> list[Workload]:
    """A ReplicaSet and its Deployment for each application; the latter has a list of its own."""
    found = []
    for number in range(WORKLOADS):
        listed = [f"^spot-{one:02d}$" for one in chance.sample(range(GROUPS), LISTED)]
        text = f"{','.join(listed[:2])};{','.join(listed[2:])}"
        owner = OwnerRef("Deployment", f"app-{number}", Uid(f"d-{number}"))
        common: dict[str, Any] = {"namespace": "bench", "name": f"app-{number}"}
        found.append(Workload(kind="ReplicaSet", uid=Uid(f"rs-{number}"), owner=owner, **common))
        found.append(Workload(kind="Deployment", uid=owner.uid, annotations={Key.GROUPS: text}, **common))
    return found


def obeying(trials: int = TRIALS) -> list[float]:
    """Seconds from each change of an annotation to the launch that it allows."""
    chance = random.Random(SEED)
    objects = [node_object(number) for number in range(NODES)]
    objects += [pod_object(number, chance.randrange(SHAPES)) for number in range(PODS)]
    found = []
    with EmulatedWorld.start(WorldOptions()) as world:
        world.kubernetes.call(world.kubernetes.store.load, objects)
        world.aws.create_group(
            name="spot-a", instance_types=["m5.xlarge"], market="spot", max=1000, tags={CLUSTER_TAG: "true"}
        )
        with ChildController.start(
            [f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}"], world.environment()
        ) as child:
            child.wait_ready(120)
            for number in range(trials):
                name = f"late-{number}"
                before = len(world.aws.calls("LaunchInstances"))
                world.deploy(name, 0, cpu="3500m", memory="8Gi")
                _annotate(world, name, "nothing")
                world.deploy(name, 1, cpu="3500m", memory="8Gi")
                child.wait(partial(_is_refused, world, name), 30, "the refusal")
                began = monotonic()
                _annotate(world, name, "spot-.*")
                child.wait(lambda before=before: len(world.aws.calls("LaunchInstances")) > before, 30, "the launch")
                found.append(world.aws.calls("LaunchInstances")[before].started - began)
    return found


def _annotate(world: EmulatedWorld, name: str, groups: str) -> None:
    def change(value: dict[str, Any]) -> None:
        value["metadata"].setdefault("annotations", {})[Key.GROUPS] = groups

    world.kubernetes.call(world.kubernetes.store.change, DEPLOYMENTS, ("default", name), change)


def _is_refused(world: EmulatedWorld, name: str) -> bool:
    """Whether an event says that the pod gets no node."""
    events = world.kubernetes.call(world.kubernetes.store.values, "events", "default")
    return any(
        one["reason"] == "NotTriggerScaleUp" and one["involvedObject"]["name"].startswith(f"{name}-") for one in events
    )
