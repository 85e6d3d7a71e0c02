"""Spare replicas of applications: whose they are."""

from __future__ import annotations

from typing import Any

from autoscaler.core.index import Index
from autoscaler.core.replicas import spare_replicas
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.offline import read_objects
from tests.builders import NOW

CPU = {"red": "1", "blue": "2"}


def application(namespace: str) -> list[dict[str, Any]]:
    """A StatefulSet and its pod as people write them: without uids."""
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "", "controller": True}
    container = {"name": "web", "resources": {"requests": {"cpu": CPU[namespace]}}}
    annotations = {"priority-autoscaler/headroom": "1"}
    return [
        {
            "kind": "StatefulSet",
            "metadata": {"namespace": namespace, "name": "web", "annotations": annotations},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
        },
        {
            "kind": "Pod",
            "metadata": {"namespace": namespace, "name": "web-0", "ownerReferences": [owner]},
            "spec": {"containers": [container]},
        },
    ]


def test_namesakes_in_two_namespaces_without_uids_have_their_own() -> None:
    found = read_objects([each for name in CPU for each in application(name)], "cluster.yaml")
    world = Snapshot(at=NOW, pods=found.pods, nodes=(), groups=(), workloads=found.workloads)
    spare = {pod.namespace: pod.spec.requests["cpu"] for pod in spare_replicas(world, Index(world))}
    assert spare == {name: int(cpu) * 1000 for name, cpu in CPU.items()}
