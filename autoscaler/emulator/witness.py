"""What really happened in a world, seen from the emulators' side: pods, nodes, launch calls.

The controller under the demo is judged by this, never by its own log. Listens
on the cluster's thread and is read from another: values are replaced, not
changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from autoscaler import clock
from autoscaler.core.model import Market
from autoscaler.emulator.aws.journal import Call
from autoscaler.emulator.kubernetes.objects import condition, is_ready, text
from autoscaler.emulator.kubernetes.resources import NODES, PODS
from autoscaler.emulator.kubernetes.store import Event, Key
from autoscaler.emulator.world import EmulatedWorld

TERMINATE = "TerminateInstanceInAutoScalingGroup"
LAUNCH = "LaunchInstances"


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: monotonic seconds, and aware UTC."""

    monotonic: float
    wall: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSeen:
    """A pod. `unschedulable`: when the scheduler first marked it so."""

    running: bool = False
    node: str = ""
    unschedulable: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """A live instance; `ready` once its Node is."""

    id: str
    group: str
    zone: str
    market: Market
    leaving: bool
    ready: bool


class Witness:
    """Follows one world from now on."""

    def __init__(self, world: EmulatedWorld) -> None:
        self._world = world
        self._pods: dict[Key, PodSeen] = {}
        self._ready: dict[str, bool] = {}
        with world.aws.world.lock:
            groups = world.aws.world.groups.values()
            self.zones = tuple(sorted({zone for group in groups for zone in group.zones}))
        world.kubernetes.call(world.kubernetes.store.subscribe, self._note)

    def pods(self) -> list[PodSeen]:
        return list(self._pods.values())

    def running(self) -> int:
        return sum(pod.running for pod in self.pods())

    def first_unschedulable(self, since: float) -> Moment | None:
        """When the first pod became Unschedulable, not before the monotonic time `since`."""
        found = [pod.unschedulable for pod in self.pods() if pod.unschedulable is not None]
        return min((one for one in found if one.monotonic >= since), key=lambda one: one.monotonic, default=None)

    def nodes(self) -> list[NodeSeen]:
        """Every instance that exists, those on their way out too."""
        return [
            NodeSeen(
                id=one.id,
                group=one.group,
                zone=one.zone,
                market=one.market,
                leaving=not one.is_live,
                ready=self._ready.get(one.private_dns_name, False),
            )
            for one in self._world.aws.instances()
        ]

    def calls(self, action: str, since: float) -> list[Call]:
        """The calls that arrived at the monotonic time `since` or later."""
        return [call for call in self._world.aws.calls(action) if call.started >= since]

    def is_quiet(self, seconds: float) -> bool:
        """Say whether no launch and no termination is under way, or was, so many seconds ago."""
        now = clock.monotonic()
        calls = self._world.aws.calls(LAUNCH) + self._world.aws.calls(TERMINATE)
        return all(call.seconds is not None and now - call.started - call.seconds >= seconds for call in calls)

    def dry(self, instance_type: str, market: str) -> set[str]:
        """The zones in which AWS has none of these left."""
        world, kind = self._world.aws.world, Market(market)
        with world.lock:
            return {zone for zone in self.zones if world.pools.stock(world.pool(instance_type, zone, kind)).free == 0}

    def _note(self, event: Event) -> None:
        value = event.new.value
        if event.kind is NODES:
            self._ready[event.new.key[1]] = event.verb != "DELETED" and is_ready(value)
        elif event.kind is PODS and event.verb == "DELETED":
            self._pods.pop(event.new.key, None)
        elif event.kind is PODS:
            seen = self._pods.get(event.new.key, PodSeen())
            if seen.unschedulable is None and condition(value, "PodScheduled").get("reason") == "Unschedulable":
                seen = replace(seen, unschedulable=Moment(clock.monotonic(), clock.now()))
            running = text(value, "status", "phase") == "Running"
            self._pods[event.new.key] = replace(seen, running=running, node=text(value, "spec", "nodeName"))


def by_zone(nodes: Iterable[NodeSeen]) -> Counter[str]:
    """How many nodes each zone has."""
    return Counter(node.zone for node in nodes)
