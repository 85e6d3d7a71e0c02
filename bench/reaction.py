"""From a pod marked Unschedulable to the first launch request (promise P1).

A real controller with 1,000 nodes and 30,000 running pods in its cache, all
nodes full; pods come one by one, each in need of a node of its own. Measured
between the emulated cluster's mark and the arrival of the call at the
emulated AWS, batching window included. Emulators and controller share the
machine's cores, so the figure holds their work too.
"""

from __future__ import annotations

import random
import threading
from typing import Any

from autoscaler.emulator.aws.server import EmulatorConfig
from autoscaler.emulator.aws.world import Delays
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.world import CLUSTER_TAG, EmulatedWorld, WorldOptions
from bench.marks import Marks
from bench.result import Result

SEED = 1
NODES, PODS, TRIALS = 1_000, 30_000, 40
SHAPES = 300  # distinct pod specs
ZONES = ("eu-west-3a", "eu-west-3b", "eu-west-3c")
BORN = "2026-01-01T12:00:00Z"


def node_object(number: int) -> dict[str, Any]:
    name, zone = f"node-{number:04d}", ZONES[number % 3]
    amounts = {"cpu": "4", "memory": "16Gi", "pods": "58"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "creationTimestamp": BORN,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": zone,
                "node.kubernetes.io/instance-type": "m5.xlarge",
            },
        },
        "spec": {"providerID": f"aws:///{zone}/i-{0xBE0000000 + number:017x}"},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": BORN}],
        },
    }


def pod_object(number: int, shape: int) -> dict[str, Any]:
    requests = {"cpu": "120m", "memory": f"{256 + shape}Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"app-{shape:03d}-{number:05d}",
            "namespace": "default",
            "labels": {"app": f"app-{shape:03d}"},
            "creationTimestamp": BORN,
        },
        "spec": {
            "nodeName": f"node-{number % NODES:04d}",
            "containers": [{"name": "main", "image": "example", "resources": {"requests": requests}}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
        },
    }


def measure(trials: int = TRIALS) -> list[float]:
    """Return the seconds of each trial."""
    chance = random.Random(SEED)
    objects = [node_object(number) for number in range(NODES)]
    objects += [pod_object(number, chance.randrange(SHAPES)) for number in range(PODS)]
    delays = Delays(boot=0.3)
    found = []
    with EmulatedWorld.start(WorldOptions(aws=EmulatorConfig(delays=delays))) as world:
        world.kubernetes.call(world.kubernetes.store.load, objects)
        world.aws.create_group(
            name="spot-a", instance_types=["m5.xlarge"], market="spot", max=1000, tags={CLUSTER_TAG: "true"}
        )
        with ChildController.start(
            [f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}"], world.environment()
        ) as child:
            child.wait_ready(120)
            marks = Marks(world)
            for number in range(trials):
                marks.clear()
                before = len(world.aws.calls("LaunchInstances"))
                world.deploy(f"late-{number}", 1, cpu="3500m", memory="8Gi")
                child.wait(lambda before=before: len(world.aws.calls("LaunchInstances")) > before, 30, "the launch")
                call = world.aws.calls("LaunchInstances")[before]
                found.append(call.started - marks.first_unschedulable())
                child.wait(lambda marks=marks: marks.pods_bound() == 1, 30, "the pod's node")
                threading.Event().wait(chance.uniform(0.1, 0.6))
    return found


def run() -> Result:
    """Measure and take percentiles."""
    seconds = sorted(measure())
    return Result(
        bench="reaction",
        seed=SEED,
        figures={
            "p50_ms": round(1000 * seconds[len(seconds) // 2], 1),
            "p99_ms": round(1000 * seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))], 1),
            "best_ms": round(1000 * seconds[0], 1),
            "trials": len(seconds),
        },
        floors={"p50_ms": 150.0, "p99_ms": 400.0},
        left_out="booting, which is AWS's and the kubelet's",
    )
