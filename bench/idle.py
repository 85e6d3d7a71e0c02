"""What the controller costs while nothing is to be done, in a cluster where pods come and go.

A real controller with 1,000 nodes of ten groups and 30,000 running pods in its
cache, all nodes full, no pod pending for long. A hundred pod events a second:
pods are replaced (created, bound, running, deleting, gone), others change
their status; each node sends its heartbeat every five minutes. The processor
time and the memory are those of the controller's own process, threads
included, as the kernel counts them, so that others on the machine do not
count; what they do to its caches does.
"""

from __future__ import annotations

import os
import random
import threading
from collections import deque
from pathlib import Path
from typing import Any

from autoscaler import clock
from autoscaler.emulator.aws.server import EmulatorConfig
from autoscaler.emulator.aws.world import Delays
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.kubernetes.objects import set_condition
from autoscaler.emulator.kubernetes.resources import NODES, PODS
from autoscaler.emulator.kubernetes.server import Options
from autoscaler.emulator.kubernetes.store import timestamp
from autoscaler.emulator.world import CLUSTER_TAG, EmulatedWorld, WorldOptions
from bench.result import Result

SEED = 1
GROUPS, NODES_EACH, PODS_EACH = 10, 100, 30  # pods on a node
SHAPES = 300  # distinct pod specs, a Deployment each
REPLACED, TOUCHED, BEATS = 16, 20, 3  # a second: pods of five events each, of one event, nodes
TICKS = 10  # a second
SETTLING, SPAN = 30.0, 90.0  # seconds
BORN = "2026-01-01T12:00:00Z"


class Churn:
    """The life of a cluster that nobody has to help, played on the emulator's own thread."""

    def __init__(self, world: EmulatedWorld) -> None:
        self.events = 0
        self._store = world.kubernetes.store
        self._chance = random.Random(SEED)
        self._born = 0
        self._nodes = [node["metadata"]["name"] for node in self._store.values("nodes")]
        self._pods: deque[tuple[str, int, str]] = deque()  # name, shape, node: the eldest first
        self._due = [0.0, 0.0, 0.0]

    def populate(self) -> None:
        """Fill every node."""
        for node in self._nodes * PODS_EACH:
            self._run(self._chance.randrange(SHAPES), node, running=True)
        self._chance.shuffle(self._pods)
        self._store.subscribe(self._count)

    def tick(self) -> None:
        """Play a tenth of a second."""
        acts = ((REPLACED, self._replace), (TOUCHED, self._touch), (BEATS, self._beat))
        for position, (rate, act) in enumerate(acts):
            self._due[position] += rate / TICKS
            while self._due[position] >= 1:
                self._due[position] -= 1
                act()

    def _count(self, event: Any) -> None:
        self.events += event.kind is PODS

    def _replace(self) -> None:
        """A pod goes and one of its kind comes in its place."""
        name, shape, node = self._pods.popleft()
        self._store.delete(PODS, ("default", name), grace=30)
        key = ("default", self._run(shape, node, running=False))
        self._store.change(PODS, key, lambda pod: pod["spec"].update(nodeName=node))

    def _run(self, shape: int, node: str, *, running: bool) -> str:
        self._born += 1
        pod = pod_of(shape, self._born)
        name = str(pod["metadata"]["name"])
        if running:
            pod["spec"]["nodeName"] = node
            pod["status"] = {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            }
        self._store.create(PODS, pod)
        self._pods.append((name, shape, node))
        return name

    def _touch(self) -> None:
        """A container says something new of itself."""
        name, _, _ = self._chance.choice(self._pods)
        note = {"type": "Noted", "status": "True", "message": str(self.events)}
        self._store.change(PODS, ("default", name), lambda pod: set_condition(pod, note, timestamp()))

    def _beat(self) -> None:
        self._store.change(NODES, ("", self._chance.choice(self._nodes)), _note_heartbeat)


def pod_of(shape: int, number: int) -> dict[str, Any]:
    """A pod of a ReplicaSet; 30 of them fill the cores of a node."""
    requests = {"cpu": "125m", "memory": f"{200 + shape}Mi"}
    app = f"app-{shape:03d}"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"rs-{app}", "controller": True}
    return {
        "metadata": {
            "name": f"{app}-{number:06d}",
            "namespace": "default",
            "labels": {"app": app},
            "ownerReferences": [owner],
        },
        "spec": {"containers": [{"name": "main", "image": "example", "resources": {"requests": requests}}]},
    }


def replica_set(shape: int) -> dict[str, Any]:
    """The owner of pods; its controller is not there, as the churn itself plays it."""
    app = f"app-{shape:03d}"
    template = {"metadata": {"labels": {"app": app}}, "spec": pod_of(shape, 0)["spec"]}
    selector = {"matchLabels": {"app": app}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": app, "namespace": "default", "uid": f"rs-{app}", "creationTimestamp": BORN},
        "spec": {"replicas": 100, "selector": selector, "template": template},
    }


def _note_heartbeat(node: dict[str, Any]) -> None:
    for row in node["status"]["conditions"]:
        row["lastHeartbeatTime"] = timestamp()


def _cpu_seconds(pid: int) -> float:
    """Processor time of the process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int, name: str) -> float:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[name].split()[0]) / 1024


def _build(world: EmulatedWorld) -> Churn:
    """Groups and their nodes as AWS and the kubelets make them, then the pods."""
    for number in range(GROUPS):
        world.aws.create_group(
            name=f"group-{number}",
            instance_types=["m5.xlarge"],
            market="spot",
            desired=NODES_EACH,
            max=2 * NODES_EACH,
            tags={CLUSTER_TAG: "true"},
        )
    deadline = clock.monotonic() + 120
    while len(world.kubernetes.call(world.kubernetes.store.values, "nodes")) < GROUPS * NODES_EACH:
        if clock.monotonic() > deadline:
            raise TimeoutError("the nodes did not come")
        threading.Event().wait(0.5)
    world.kubernetes.call(world.kubernetes.store.load, [replica_set(shape) for shape in range(SHAPES)])
    churn: Churn = world.kubernetes.call(Churn, world)
    world.kubernetes.call(churn.populate)
    return churn


def _play(world: EmulatedWorld, churn: Churn, seconds: float) -> float:
    """Let time pass at the pace of the cluster; return how much did."""
    began = clock.monotonic()
    for tick in range(int(seconds * TICKS)):
        world.kubernetes.call(churn.tick)
        threading.Event().wait(max(0.0, began + (tick + 1) / TICKS - clock.monotonic()))
    return clock.monotonic() - began


def measure(flags: tuple[str, ...] = ()) -> dict[str, float]:
    """Return the figures of one controller."""
    aws, kubernetes = EmulatorConfig(delays=Delays(boot=0.3)), Options(scheduler=False, controllers=False)
    with EmulatedWorld.start(WorldOptions(aws=aws, kubernetes=kubernetes)) as world:
        churn = _build(world)
        arguments = [f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}", *flags]
        with ChildController.start(arguments, world.environment()) as child:
            child.wait_ready(180)
            _play(world, churn, SETTLING)
            events, passes, cpu = churn.events, _passes(child), _cpu_seconds(child.pid)
            seconds = _play(world, churn, SPAN)
            return {
                "rss_mb": round(_megabytes(child.pid, "VmRSS"), 1),
                "peak_mb": round(_megabytes(child.pid, "VmHWM"), 1),
                "cpu_percent": round(100 * (_cpu_seconds(child.pid) - cpu) / seconds, 2),
                "pod_events_per_second": round((churn.events - events) / seconds, 1),
                "passes_per_minute": round(60 * (_passes(child) - passes) / seconds, 1),
                "launches": len(world.aws.calls("LaunchInstances")),
            }


def _passes(child: ChildController) -> float:
    for line in child.get("/metrics")[1].splitlines():
        if line.startswith('priority_autoscaler_passes_total{result="done"}'):
            return float(line.rpartition(" ")[2])
    return 0.0


def run() -> Result:
    """Measure one controller for a minute and a half."""
    return Result(
        bench="idle",
        seed=SEED,
        figures=measure(),
        floors={"rss_mb": 150.0, "cpu_percent": 5.0, "launches": 0},
        left_out="TLS, which a real API server asks for; pods that are pending; the bench's own processes",
    )
