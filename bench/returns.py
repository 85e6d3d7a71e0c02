"""The return to spot of a whole fleet: a real controller against the emulators (promise P4).

Spot is dry: 1,500 pods of some 70 applications, each under a budget of its
own, run on 50 on-demand nodes. Two hours later spot has room, and every node
is replaced and goes, with the default budget (one drain at a time). An
auditor sees every write: no eviction that a budget forbids, no pod
Unschedulable, none pending for longer than it takes to start anew
(how long that is hangs on the load of the machine, which plays the kubelets).
"""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from typing import Any

from autoscaler import clock
from autoscaler.emulator.auditor import Auditor
from autoscaler.emulator.aws.server import EmulatorConfig
from autoscaler.emulator.aws.world import Delays
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.kubernetes.kubelet import Delays as KubeletDelays
from autoscaler.emulator.kubernetes.resources import BUDGETS, PODS
from autoscaler.emulator.kubernetes.server import Options
from autoscaler.emulator.world import CLUSTER_TAG, EmulatedWorld, WorldOptions
from bench.result import Result

SEED = 5
NODES_WANTED, PODS_WANTED = 50, 1500
CPU = "130m"  # thirty on a node of four cores
AGED = timedelta(hours=3)
START, STOP = 0.5, 0.2  # seconds that a pod takes to start and to end
FLAGS = (
    f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}",
    "--node-delete-delay-after-taint=500ms",
    "--capacity-backoff=2s,4s",
)


def run() -> Result:
    """Let the fleet return, once."""
    aws = EmulatorConfig(delays=Delays(launch=0.1, boot=0.5, terminate=0.3))
    kubelet = KubeletDelays(register=0.2, ready=0.2, start=START, stop=STOP)
    options = WorldOptions(aws=aws, kubernetes=Options(kubelet=kubelet))
    with EmulatedWorld.start(options) as world:
        for name, market in (("spot-a", "spot"), ("spot-b", "spot"), ("od-a", "on-demand")):
            world.aws.create_group(
                name=name, instance_types=["m5.xlarge" if name != "spot-b" else "m6i.xlarge"], market=market, max=100,
                tags={CLUSTER_TAG: "true"},
            )  # fmt: skip
        world.set_priorities("30: ['^spot-a']\n20: ['^spot-b']\n10: ['^od-']\n")
        world.aws.set_pool(market="spot", free=0)
        with ChildController.start(FLAGS, world.environment()) as child:
            child.wait_ready()
            _deploy(world)
            child.wait(lambda: _running(world) == PODS_WANTED, 240, "all pods to run on demand")
            on_demand = _live(world, "od-a")
            world.age_nodes(AGED)
            auditor = Auditor(world)
            began = clock.monotonic()
            world.aws.set_pool(market="spot", free=None)
            _wait_gone(world, child)
            seconds = clock.monotonic() - began
            child.wait(lambda: _running(world) == PODS_WANTED, 60, "the last pods to run on spot")
    return _result(auditor, {
        "on_demand_nodes": on_demand,
        "kept_nodes": _live(world, "od-a"),
        "spot_nodes": _live(world, "spot-a") + _live(world, "spot-b"),
        "seconds": round(seconds, 1),
    })  # fmt: skip


def _result(auditor: Auditor, figures: dict[str, float]) -> Result:
    return Result(
        bench="returns",
        seed=SEED,
        figures={
            **figures,
            "pods_evicted": auditor.evicted,
            "budgets_broken": len(auditor.broken),
            "pods_unschedulable": len(auditor.homeless),
            "pods_lost": len(auditor.lost),
            "longest_pending_seconds": round(auditor.longest_pending, 2),
            "drains_at_once": auditor.most_drained,
        },
        floors={
            "on_demand_nodes": NODES_WANTED,
            "kept_nodes": 0,
            "spot_nodes": NODES_WANTED + 2,
            "seconds": 600.0,
            "pods_evicted": PODS_WANTED,
            "budgets_broken": 0,
            "pods_unschedulable": 0,
            "pods_lost": 0,
            "longest_pending_seconds": START + 10.0,
            "drains_at_once": 1,
        },
        higher_is_better=frozenset(("on_demand_nodes", "pods_evicted")),
        left_out=f"real boots, and kubelets that take longer than {START:g} s; of the flags only the pause after the "
        "taint and the backoff are shorter than their defaults",
    )


def _deploy(world: EmulatedWorld) -> None:
    """Applications of 3 to 40 pods; a budget keeps all but one of the small ones, half or nine tenths of others."""
    chance, left, number = random.Random(SEED), PODS_WANTED, 0
    while left:
        replicas = min(left, chance.randint(3, 40))
        if 0 < left - replicas < 3:
            replicas = left
        left -= replicas
        name = f"app-{number:02d}"
        others: tuple[dict[str, Any], ...] = ({"maxUnavailable": "10%"}, {"minAvailable": "50%"})
        limit = {"minAvailable": replicas - 1} if replicas < 10 else chance.choice(others)
        spec = {**limit, "selector": {"matchLabels": {"app": name}}}
        budget = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
        world.kubernetes.call(world.kubernetes.store.create, BUDGETS, budget)
        world.deploy(name, replicas, cpu=CPU, memory="256Mi")
        number += 1


def _wait_gone(world: EmulatedWorld, child: ChildController) -> None:
    """Return when no on-demand node is left, or none has gone for so long that none will."""
    left, since = _live(world, "od-a"), clock.monotonic()
    while left and clock.monotonic() - since < 60 and child.returncode is None:
        threading.Event().wait(0.2)
        if (now := _live(world, "od-a")) != left:
            left, since = now, clock.monotonic()


def _live(world: EmulatedWorld, group: str) -> int:
    return sum(one.is_live for one in world.aws.instances(group))


def _running(world: EmulatedWorld) -> int:
    def count() -> int:
        found = world.kubernetes.store.items(PODS, "default")
        return sum(pod.value.get("status", {}).get("phase") == "Running" for pod in found)

    running: int = world.kubernetes.call(count)
    return running
