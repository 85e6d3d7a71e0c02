"""The account: one lock, the groups, the pools, time, and who watches.

Holds state and elementary changes of one instance (born, in service, gone);
which instances a group should have is decided in `groups` and `launch`. Every
method that changes something expects `lock` to be held. Observers are called
on a thread of their own, in the order of events, without the lock.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoscaler import clock
from autoscaler.core.model import CapacityPool, InstanceType, Market, Zone
from autoscaler.emulator.aws.backing import Backing
from autoscaler.emulator.aws.model import Activity, AwsFault, EventKind, Group, Instance, InstanceEvent, invalid
from autoscaler.emulator.aws.pools import Pools
from autoscaler.emulator.aws.samples import UNKNOWN_GROUP
from autoscaler.emulator.aws.timers import Timers

Observer = Callable[[InstanceEvent], None]


@dataclass(slots=True)
class Delays:
    """Seconds that things take; may be changed while the world runs.

    `launch`: from a change of desired capacity to instances or a Failed
    activity. `boot`: Pending to InService. `terminate`: Terminating to gone.
    `retry`: between failed attempts of a group that misses instances.
    """

    launch: float = 1.0
    boot: float = 2.0
    terminate: float = 1.0
    retry: float = 5.0


class World:
    """Everything that the emulated account holds."""

    def __init__(self, region: str = "eu-west-3", delays: Delays | None = None) -> None:
        self.region = region
        self.lock = threading.RLock()
        self.delays = delays or Delays()
        self.pools = Pools()
        self.groups: dict[str, Group] = {}
        self.instances: dict[str, Instance] = {}
        self.backing = Backing(region)
        self.timers = Timers(self.lock)
        self.generation = 0
        self._numbers = itertools.count(1)
        self._events: queue.SimpleQueue[InstanceEvent | None] = queue.SimpleQueue()
        self._observers: list[Observer] = []
        self._teller = threading.Thread(target=self._tell, name="aws-emulator-events", daemon=True)

    def start(self) -> None:
        self.timers.start()
        self._teller.start()

    def stop(self) -> None:
        self.timers.stop()
        self._events.put(None)
        if self._teller.is_alive():
            self._teller.join()

    def subscribe(self, observer: Observer) -> None:
        """Call `observer` for every event from now on.

        Instances that exist already are told first, from the caller's thread;
        an event may come twice then, so observers must be idempotent.
        """
        with self.lock:
            self._observers.append(observer)
            for instance in self.instances.values():
                if instance.is_live:
                    observer(self.event("in-service" if instance.state == "InService" else "launched", instance))

    def unsubscribe(self, observer: Observer) -> None:
        with self.lock:
            self._observers.remove(observer)

    def group(self, name: str) -> Group:
        """The group of that name, or the API's error."""
        found = self.groups.get(name)
        if found is None:
            raise invalid(UNKNOWN_GROUP.format(name=name))
        return found

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._numbers):017x}"

    def zone_id(self, zone: str) -> str:
        """The zone's id, as `euw3-az1` for eu-west-3a."""
        return self.backing.zone_ids().get(zone, "")

    def address(self) -> str:
        number = next(self._numbers) + 256
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

    def add_instance(self, instance: Instance) -> None:
        """An instance was launched: Pending now, InService after the boot delay."""
        self.instances[instance.id] = instance
        self.groups[instance.group].instances[instance.id] = instance
        activity = self.record(
            instance.group, f"Launching a new EC2 instance: {instance.id}", "PreInService", _details(instance)
        )
        self.emit("launched", instance)

        def enter_service() -> None:
            if instance.state == "Pending" and self.instances.get(instance.id) is instance:
                self.set_state(instance, "InService")
                _finish(activity)
                self.emit("in-service", instance)

        self.timers.after(self.delays.boot, enter_service)

    def begin_termination(self, instance: Instance, cause: str) -> Activity:
        """The instance leaves: Terminating now, gone after the delay."""
        self.set_state(instance, "Terminating")
        activity = self.record(
            instance.group, f"Terminating EC2 instance: {instance.id}", "InProgress", _details(instance), cause
        )
        self.emit("terminating", instance)

        def vanish() -> None:
            if self.instances.get(instance.id) is instance:
                self.remove(instance)
                _finish(activity)

        self.timers.after(self.delays.terminate, vanish)
        return activity

    def remove(self, instance: Instance) -> None:
        """The instance is gone, and its pool may have room again."""
        del self.instances[instance.id]
        group = self.groups.get(instance.group)
        if group is not None:
            group.instances.pop(instance.id, None)
        self.pools.give_back(self.pool(instance.instance_type, instance.zone, instance.market))
        self.set_state(instance, "Terminated")
        self.emit("terminated", instance)

    def pool(self, instance_type: str, zone: str, market: Market) -> CapacityPool:
        return CapacityPool(InstanceType(instance_type), Zone(zone), market)

    def set_state(self, instance: Instance, state: str) -> None:
        instance.state = state
        instance.wire = None

    def record(self, group: str, description: str, status: str, details: str, cause: str = "") -> Activity:
        """Add an activity to the group's history, newest last."""
        now = clock.now()
        activity = Activity(
            id=self.new_id("activity"),
            group=group,
            description=description,
            cause=cause
            or f"At {now:%Y-%m-%dT%H:%M:%SZ} an instance was started in response to a difference between "
            "desired and actual capacity.",
            started=now,
            status=status,
            details=details,
        )
        if group in self.groups:
            self.groups[group].activities.append(activity)
        return activity

    def instance(self, instance_id: str, message: str) -> Instance:
        found = self.instances.get(instance_id)
        if found is None:
            raise AwsFault("ValidationError", message)
        return found

    def event(self, kind: EventKind, instance: Instance) -> InstanceEvent:
        group = self.groups.get(instance.group)
        tags: Mapping[str, str] = {key: tag.value for key, tag in group.tags.items()} if group else {}
        return InstanceEvent(
            kind=kind,
            id=instance.id,
            group=instance.group,
            instance_type=instance.instance_type,
            zone=instance.zone,
            market=instance.market,
            private_dns_name=instance.private_dns_name,
            private_ip=instance.private_ip,
            launched=instance.launched,
            tags=dict(instance.tags),
            group_tags=tags,
        )

    def emit(self, kind: EventKind, instance: Instance) -> None:
        self.generation += 1
        if self._observers:
            self._events.put(self.event(kind, instance))

    def reset(self) -> None:
        """Empty the account: no groups, instances, activities, rules; observers and delays stay."""
        self.timers.clear()
        for instance in list(self.instances.values()):
            self.remove(instance)
        self.groups.clear()
        self.pools = Pools()
        self.backing.reset()

    def _tell(self) -> None:
        while (event := self._events.get()) is not None:
            for observer in tuple(self._observers):
                observer(event)


def _details(instance: Instance) -> str:
    return f'{{"Subnet ID":"{instance.subnet_id}","Availability Zone":"{instance.zone}"}}'


def _finish(activity: Activity) -> None:
    activity.status, activity.progress, activity.ended = "Successful", 100, clock.now()
