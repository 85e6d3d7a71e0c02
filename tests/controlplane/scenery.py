"""What all random worlds share: namespaces with labels, priorities, a runtime with overhead, classes of storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.controlplane import storage
from tests.controlplane.client import Json, wait_for
from tests.controlplane.cluster import NAMESPACE, OURS, Cluster

NAMESPACES = {f"{NAMESPACE}-red": {"team": "red"}, f"{NAMESPACE}-blue": {"team": "blue", "stage": "test"}}
NAMESPACE_SELECTORS = (
    {"matchLabels": {"team": "red"}},
    {"matchExpressions": [{"key": "stage", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["blue"]}]},
)
# None is below the cutoff of expendable pods: those we let go for others, while the scheduler here never preempts.
PRIORITIES = {f"{OURS}-low": -5, f"{OURS}-high": 1000}
RUNTIME, OVERHEAD = f"{OURS}-heavy", {"cpu": "250m", "memory": "128Mi"}
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
}


def heavy_runtime() -> Json:
    """What a pod says to have an overhead, the part included that admission would write."""
    return {"runtimeClassName": RUNTIME, "overhead": dict(OVERHEAD)}


def namespaces() -> list[Json]:
    """The namespaces with their labels, as the API server completes them."""
    named = {NAMESPACE: {}, **NAMESPACES}
    return [
        _object("Namespace", name, {**labels, "kubernetes.io/metadata.name": name}) for name, labels in named.items()
    ]


def priorities() -> list[Json]:
    return [{**_object("PriorityClass", name, {}), "value": value} for name, value in PRIORITIES.items()]


@contextmanager
def prepared(cluster: Cluster) -> Iterator[None]:
    """All of it, for the length of the block."""
    client, volumes = cluster.client, storage.Storage(cluster.client)
    runtime = {**_object("RuntimeClass", RUNTIME, {}), "handler": "heavy", "overhead": {"podFixed": OVERHEAD}}
    made = [*(each for each in namespaces() if each["metadata"]["name"] in NAMESPACES), *priorities(), runtime]
    wait_for(lambda: not NAMESPACES.keys() & _names(cluster), "the namespaces of the last test to be gone")
    try:
        volumes.add(list(storage.classes()))
        client.at_once(lambda each: client.create(_PATHS[each["kind"]], each), made)
        accounts = [f"/api/v1/namespaces/{name}/serviceaccounts" for name in NAMESPACES]
        wait_for(lambda: all(client.items(path) for path in accounts), "the ServiceAccounts of the namespaces")
        cluster.namespaces = (NAMESPACE, *NAMESPACES)
        yield
    finally:
        cluster.namespaces = (NAMESPACE,)
        client.at_once(lambda each: client.delete(f"{_PATHS[each['kind']]}/{each['metadata']['name']}"), made)
        volumes.sweep(("StorageClass", "CSIDriver"))


def _names(cluster: Cluster) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.client.items(_PATHS["Namespace"])}


def _object(kind: str, name: str, labels: dict[str, str]) -> Json:
    return {"kind": kind, "metadata": {"name": name, "labels": {**labels, OURS: "true"}}}
