"""Moments of a pod in the emulated cluster, on the monotonic clock of this process."""

from __future__ import annotations

from typing import Any

from autoscaler import clock
from autoscaler.emulator.kubernetes.resources import PODS
from autoscaler.emulator.world import EmulatedWorld


class Marks:
    """Notes when each pod was marked Unschedulable, and when it was bound, by name."""

    def __init__(self, world: EmulatedWorld) -> None:
        self.unschedulable: dict[str, float] = {}
        self.bound: dict[str, float] = {}
        world.kubernetes.call(world.kubernetes.store.subscribe, self._note)

    def clear(self) -> None:
        self.unschedulable.clear()
        self.bound.clear()

    def first_unschedulable(self) -> float:
        return min(self.unschedulable.values())

    def pods_bound(self) -> int:
        return len(self.bound)

    def _note(self, event: Any) -> None:
        if event.kind is not PODS:
            return
        pod = event.new.value
        name = pod["metadata"]["name"]
        if pod.get("spec", {}).get("nodeName"):
            self.bound.setdefault(name, clock.monotonic())
        for condition in pod.get("status", {}).get("conditions", ()):
            if condition.get("reason") == "Unschedulable":
                self.unschedulable.setdefault(name, clock.monotonic())
