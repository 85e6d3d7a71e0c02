"""A stage for end-to-end tests: a world, real controllers on it, and what can be seen from outside.

The world is emulated; on a real control plane (`places.py`) only its AWS is,
and faults of the API server are not to be had. The controllers are processes
of their own, met over HTTP, as users run them. Waiting is by condition; its
bound only ends what will never come.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from autoscaler import clock
from autoscaler.emulator.aws.journal import Call
from autoscaler.emulator.aws.server import EmulatorConfig
from autoscaler.emulator.aws.world import Delays
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.kubernetes.objects import condition
from autoscaler.emulator.kubernetes.resources import named
from autoscaler.emulator.world import EmulatedWorld
from autoscaler.kubernetes.draining.marks import CANDIDATE
from tests.e2e.places import DISCOVERY, Emulator, Place

__all__ = ["DISCOVERY", "A", "B", "C", "Stage", "is_shunned", "metric", "pause", "wait_for"]

A, B, C = "eu-west-3a", "eu-west-3b", "eu-west-3c"
FAULTS_OF_OURS = ("pass.failed", "pass.bought_twice", "pass.endless")
PATIENCE = 40.0  # seconds after which something will never come
ResultT = TypeVar("ResultT")


class Stage:
    """A world without groups and pods."""

    place: ClassVar[Place] = Emulator()  # where all stages of this run stand

    def __init__(self, world: EmulatedWorld) -> None:
        self.world = world
        self.aws = world.aws
        self.kubernetes = world.kubernetes

    @classmethod
    @contextmanager
    def open(cls, *, launch_api: bool = True) -> Iterator[Stage]:
        """A world in which everything happens within half a second."""
        aws = EmulatorConfig(launch_api=launch_api, delays=Delays(launch=0.1, boot=0.2, terminate=0.2, retry=0.5))
        failures: list[Exception] = []
        with cls.place.world(aws) as world:
            try:
                yield cls(world)
            except Exception as error:  # the world's task groups would wrap it out of sight
                failures.append(error)
        for failure in failures:
            raise failure

    def group(self, name: str, market: str = "spot", **settings: Any) -> None:
        """A group of m5.xlarge (4 cores, 16 GiB) that discovery finds."""
        tags = {**self.place.tags, **settings.pop("tags", {})}
        self.aws.create_group(name=name, market=market, tags=tags, **{"instance_types": ["m5.xlarge"], **settings})

    @contextmanager
    def controller(self, *flags: str, ready: bool = True, **environment: str) -> Iterator[ChildController]:
        """A controller that has read everything, unless it is not to be waited for."""
        with ChildController.start([*self.place.flags, *flags], self.world.environment() | environment) as child:
            try:
                if ready:
                    child.wait_ready()
                yield child
                assert not [line for line in child.noise if "Traceback" in line]
                assert not [line["event"] for line in child.lines if line["event"] in FAULTS_OF_OURS]
            except AssertionError as failure:
                failure.add_note("\n".join([*map(str, child.lines[-30:]), *child.noise]))
                raise

    def deploy(self, name: str, replicas: int, **template: Any) -> None:
        """Pods of 3 cores, so that each needs a node of its own."""
        self.world.deploy(name, replicas, **{"cpu": "3", "memory": "4Gi", **template})

    def objects(self, plural: str, namespace: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kubernetes.call(self.kubernetes.store.values, plural, namespace)
        return found

    def pods(self, app: str, phase: str = "") -> list[dict[str, Any]]:
        """The pods of a Deployment, all or those in a phase."""
        every = self.objects("pods", "default")
        found = [pod for pod in every if pod.get("metadata", {}).get("labels", {}).get("app") == app]
        return [pod for pod in found if not phase or pod["status"].get("phase") == phase]

    def all_pods_run(self) -> bool:
        return all(pod["status"].get("phase") == "Running" for pod in self.objects("pods", "default"))

    def running(self, app: str) -> int:
        return len(self.pods(app, "Running"))

    def refused(self, app: str) -> int:
        """How many pods the scheduler has found no place for."""
        return sum(condition(pod, "PodScheduled").get("reason") == "Unschedulable" for pod in self.pods(app))

    def events(self, reason: str) -> list[dict[str, Any]]:
        """Kubernetes events of a reason."""
        return [event for event in self.objects("events") if event.get("reason") == reason]

    def messages(self, reason: str) -> str:
        return "\n".join(event["message"] for event in self.events(reason))

    def instances(self, group: str | None = None) -> list[Any]:
        """Instances that are not being terminated."""
        return [one for one in self.aws.instances(group) if one.is_live]

    def desired(self, group: str) -> int:
        with self.aws.world.lock:
            return self.aws.world.groups[group].desired

    def launches(self, group: str | None = None) -> list[Call]:
        return [call for call in self.aws.calls("LaunchInstances") if group in (None, call.group)]

    def requests(self, path: str = "", method: str = "") -> list[dict[str, Any]]:
        """Requests to the API server, by all controllers so far."""
        found: list[dict[str, Any]] = self.kubernetes.call(self.kubernetes.faults.seen, path, method)
        return found

    def break_api(self, **rule: Any) -> None:
        """Add a fault rule to the API server."""
        self.kubernetes.call(self.kubernetes.faults.add, rule)

    def cut_watches(self, path: str) -> None:
        """Cut the open watches whose path the regex finds, in the middle of a line."""

        def cut() -> None:
            for stream in self.kubernetes.watches.streams:
                if re.search(path, stream.path):
                    self.kubernetes.watches.cut(stream)

        self.kubernetes.call(cut)

    def put_raw(self, plural: str, namespace: str, name: str, value: dict[str, Any]) -> None:
        """Store any JSON as an object."""
        self.kubernetes.call(self.kubernetes.store.put_raw, named(plural), value, (namespace, name))

    def node(self, name: str) -> dict[str, Any]:
        return next(node for node in self.objects("nodes") if node["metadata"]["name"] == name)

    def keep(self, app: str, least: int) -> None:
        """A PodDisruptionBudget that keeps so many pods of an application."""
        spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}
        self.create("poddisruptionbudgets", {"metadata": {"name": app, "namespace": "default"}, "spec": spec})

    def create(self, plural: str, body: dict[str, Any]) -> None:
        """Create an object, as somebody else would."""
        self.kubernetes.call(self.kubernetes.store.create, named(plural), body)

    def change(self, plural: str, namespace: str, name: str, mutate: Callable[[dict[str, Any]], None]) -> None:
        """Change an object, as somebody else would."""
        self.kubernetes.call(self.kubernetes.store.change, named(plural), (namespace, name), mutate)

    def delete(self, plural: str, namespace: str, name: str) -> None:
        self.kubernetes.call(self.kubernetes.store.delete, named(plural), (namespace, name))


def is_shunned(node: dict[str, Any]) -> bool:
    """The soft taint is on the node."""
    return any(taint["key"] == CANDIDATE for taint in node["spec"].get("taints", ()))


def wait_for(condition: Callable[[], ResultT], what: str, seconds: float = PATIENCE) -> ResultT:
    """The first true value of the condition; fails with `what` when it never comes."""
    deadline = clock.monotonic() + seconds
    while not (found := condition()):
        assert clock.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        pause(0.04)
    return found


def pause(seconds: float) -> None:
    """Let time pass, to see that something does not happen."""
    threading.Event().wait(seconds)


def metric(child: ChildController, name: str, **labels: str) -> float:
    """The sum of all samples of a series with these labels; 0 without one."""
    total = 0.0
    for line in child.get("/metrics")[1].splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name and all(f'{key}="{wanted}"' in sample for key, wanted in labels.items()):
            total += float(value)
    return total
