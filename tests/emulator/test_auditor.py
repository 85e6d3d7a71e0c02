"""The auditor sees what must not happen, so that its silence means something."""

from __future__ import annotations

from typing import Any

from autoscaler.emulator.auditor import Auditor
from autoscaler.emulator.kubernetes.objects import is_terminating, text
from autoscaler.emulator.kubernetes.resources import NODES, PODS
from autoscaler.emulator.world import EmulatedWorld
from tests.e2e.stage import wait_for
from tests.emulator.kubernetes_client import machine


def running(world: EmulatedWorld) -> list[Any]:
    pods = world.kubernetes.call(lambda: list(world.kubernetes.store.items(PODS, "default")))
    return [pod for pod in pods if text(pod.value, "status", "phase") == "Running" and not is_terminating(pod.value)]


def test_broken_budgets_lost_and_homeless_pods_are_seen_and_what_is_allowed_is_not() -> None:
    with EmulatedWorld.start() as world:
        store = world.kubernetes.store
        world.kubernetes.call(world.kubernetes.kubelet.launch, machine(1))
        world.protect("web", 1)
        world.deploy("web", 3, cpu="100m")
        wait_for(lambda: len(running(world)) == 3, "the pods to run")
        audit = Auditor(world)

        def delete(count: int) -> None:
            for pod in running(world)[:count]:
                world.kubernetes.call(lambda key: store.delete(PODS, key, grace=1), pod.key)

        delete(1)
        wait_for(lambda: len(running(world)) == 3, "its successor to run")
        assert audit.clean(), vars(audit)
        assert (audit.evicted, audit.broken) == (1, [])
        assert 0 < audit.longest_pending < 10
        delete(2)
        assert audit.broken == ["web"]
        wait_for(lambda: len(running(world)) == 3, "their successors to run")
        world.kubernetes.call(store.delete, NODES, ("", "node-1"))
        wait_for(lambda: len(audit.homeless) == 3, "the next ones to be homeless")
        assert len(audit.lost) == 3
        assert (audit.nodes_gone, audit.most_marked) == (1, 0)
        assert not audit.clean()
