"""The cluster under test, as a test sees it: hollow nodes, pods, the audit log, and a clean end.

Ours or anybody's (KUBECONFIG_UNDER_TEST): whatever is created here lies in
one namespace and on nodes of one label, and only that is swept away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tests.controlplane.client import Client, Json, Refused, wait_for

FOREIGN = "KUBECONFIG_UNDER_TEST"  # the environment's name for a cluster of somebody else's
NAMESPACE = "autoscaler-test"
OURS = "autoscaler-test"  # the label of our nodes, and its value
ZONE_LABEL, HOSTNAME_LABEL = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
OF_EVERY_NODE = (HOSTNAME_LABEL, "kubernetes.io/os", "kubernetes.io/arch", OURS)  # labels
NOT_READY = "node.kubernetes.io/not-ready"
UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}  # the taint of cordoned nodes
_SWEPT = (
    *("/apis/apps/v1/{}/deployments", "/apis/apps/v1/{}/daemonsets", "/apis/apps/v1/{}/replicasets"),
    "/apis/apps/v1/{}/statefulsets",
    *("/apis/policy/v1/{}/poddisruptionbudgets", "/api/v1/{}/configmaps"),
    *("/apis/coordination.k8s.io/v1/{}/leases", "/api/v1/{}/events"),
)
_REFUSALS = ("Unschedulable", "SchedulingGated")
_STEADY = 5  # looks, 20 ms apart, without a change
DAEMONSETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
_OWNERS = 4  # of them, the first so many make pods


@dataclass
class AuditLog:
    """What the API server was asked; `start` is where this test began."""

    path: Path
    start: int = 0

    def entries(self, *, agent: str = "", verb: str = "", resource: str = "") -> list[Json]:
        """Answered requests since the start, by a user agent's beginning, a verb and a resource."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            rows = [json.loads(line) for line in file if line.endswith(b"\n")]
        return [
            row
            for row in rows
            if row.get("userAgent", "").startswith(agent)
            and verb in ("", row["verb"])
            and resource in ("", row.get("objectRef", {}).get("resource"))
        ]


@dataclass
class Cluster:
    """A running cluster and the administrator's way to it; `is_ours` when nobody else uses it."""

    kubeconfig: Path
    is_ours: bool
    client: Client = field(init=False)
    audit: AuditLog | None = None
    etcd: str = ""
    namespaces: Sequence[str] = (NAMESPACE,)  # of our pods; more than the first are their maker's to create

    def __post_init__(self) -> None:
        self.client = Client(self.kubeconfig)

    def __enter__(self) -> Self:
        """Make the namespace, and wait until pods may be created there."""
        try:
            self.client.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        except Refused as error:
            if error.status != 409:
                raise
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        wait_for(lambda: self.client.items(accounts), "the namespace's ServiceAccount")
        return self

    def __exit__(self, *_: object) -> None:
        with self.client:
            self.sweep()

    def sweep(self) -> None:
        """Take everything away that tests have made."""
        collections = [path.format(f"namespaces/{NAMESPACE}") for path in _SWEPT]
        self._sweep(collections[:_OWNERS], collections[_OWNERS:])

    def sweep_pods(self) -> None:
        """Take away DaemonSets, pods and nodes alone: a random world has nothing else."""
        self._sweep([DAEMONSETS], [])

    def _sweep(self, owners: Sequence[str], others: Sequence[str]) -> None:
        pods = [pods_path(namespace=name) for name in self.namespaces]

        def delete() -> None:
            self.client.at_once(self.client.delete, owners)  # what would make new pods goes first
            self.client.at_once(self.client.delete, [*others, *pods])
            self.client.delete("/api/v1/nodes", labelSelector=OURS)

        def is_clean() -> bool:
            if not self.pods() and not self.nodes():
                return True
            delete()  # again: a controller may have made new pods before it heard that it should not
            return False

        delete()
        wait_for(is_clean, "the swept objects to be gone")

    def add_nodes(self, manifests: Iterable[Json]) -> None:
        """Create hollow nodes that are Ready; returns once nothing keeps pods off but their own taints."""
        wanted = list(manifests)
        self.client.at_once(self._add_node, wanted)
        names = {node["metadata"]["name"] for node in wanted}

        def is_open(node: Json) -> bool:
            return not any(taint["key"] == NOT_READY for taint in node["spec"].get("taints", ()))

        wait_for(
            lambda: names <= {each["metadata"]["name"] for each in self.nodes() if is_open(each)},
            "the nodes to lose the taint of new ones",
        )

    def _add_node(self, node: Json) -> None:
        """Create one, and take off the taint of new ones, for which the controller would need a quarter of a second."""
        self.client.create("/api/v1/nodes", node)
        self.client.patch(
            f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": node["spec"].get("taints", [])}}
        )

    def add_pods(self, manifests: Iterable[Json]) -> list[Json]:
        """Create pods, several at a time: their order is nobody's."""
        return self.client.at_once(lambda pod: self.client.create(path_of(pod, ""), pod), manifests)

    def delete_pods(self, manifests: Iterable[Json]) -> None:
        """Delete pods at once; those that are gone already are as wanted."""
        self.client.at_once(self.client.delete, [path_of(pod) for pod in manifests])

    def nodes(self) -> list[Json]:
        return self.client.items("/api/v1/nodes", labelSelector=OURS)

    def pods(self, selector: str = "") -> list[Json]:
        paths = [pods_path(namespace=name) for name in self.namespaces]
        return [pod for path in paths for pod in self.client.items(path, labelSelector=selector)]

    def events(self, reason: str) -> list[Json]:
        return self.client.items(f"/api/v1/namespaces/{NAMESPACE}/events", fieldSelector=f"reason={reason}")

    def add_daemonsets(self, manifests: Iterable[Json]) -> None:
        """Create DaemonSets; returns once each of their pods is bound or refused."""
        self.client.at_once(lambda each: self.client.create(DAEMONSETS, each), manifests)
        self.wait_daemons()

    def wait_daemons(self) -> None:
        """Return once every DaemonSet has its pods, and the scheduler has judged them."""
        steady, before = 0, ""

        def settled() -> bool:
            nonlocal steady, before
            status = [each["status"] for each in self.client.items(DAEMONSETS)]
            if not status:
                return True
            known = all(each.get("observedGeneration") for each in status)
            complete = all(each["desiredNumberScheduled"] == each["currentNumberScheduled"] for each in status)
            steady = steady + 1 if repr(status) == before else 0
            before = repr(status)
            judged = all(node_of(pod) or is_refused(pod) for pod in self.pods("agent"))
            return known and complete and judged and steady >= _STEADY

        wait_for(settled, "the DaemonSets to have their pods")

    def wait_judged(self, seconds: float = 60.0) -> list[Json]:
        """Return the pods once the scheduler has bound or refused each."""

        def judged() -> list[Json]:
            pods = self.pods()
            return pods if pods and all(node_of(pod) or is_refused(pod) for pod in pods) else []

        return wait_for(judged, "the scheduler to judge every pod", seconds)


def pods_path(name: str = "", namespace: str = NAMESPACE) -> str:
    return f"/api/v1/namespaces/{namespace}/pods" + (f"/{quote(name)}" if name else "")


def path_of(pod: Json, name: str | None = None) -> str:
    """Where a pod is, or with an empty name the collection it belongs to."""
    meta = pod["metadata"]
    return pods_path(meta["name"] if name is None else name, meta.get("namespace", NAMESPACE))


def node_of(pod: Json) -> str:
    """The node a pod is bound to; empty for none."""
    return str(pod["spec"].get("nodeName", ""))


def is_refused(pod: Json) -> bool:
    """The scheduler has found no place for it, or looks for none."""
    return any(
        row["type"] == "PodScheduled" and row["status"] == "False" and row.get("reason") in _REFUSALS
        for row in pod.get("status", {}).get("conditions", ())
    )


def hollow(name: str, *, zone: str = "eu-west-3a", labels: Mapping[str, str] | None = None,
           taints: Sequence[Json] = (), provider_id: str = "", **amounts: str) -> Json:  # fmt: skip
    """A Ready node without a kubelet; `amounts` are allocatable, dashes written as underscores."""
    resources = {"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    resources |= {key.replace("_", "-"): value for key, value in amounts.items()}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "hollow"}
    own = {HOSTNAME_LABEL: name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {ZONE_LABEL: zone, **(labels or {}), **own, OURS: "true"}},
        "spec": {"taints": list(taints), **({"providerID": provider_id} if provider_id else {})},
        "status": {"capacity": resources, "allocatable": resources, "conditions": [ready]},
    }


def pod(name: str, *, labels: Mapping[str, str] | None = None, node: str = "", **spec: Any) -> Json:
    """A pod of one container; `cpu`, `memory`, `ports` are the container's, all else is merged into the spec."""
    requests = {"cpu": spec.pop("cpu", "100m"), "memory": spec.pop("memory", "64Mi"), **spec.pop("requests", {})}
    limits = {key: amount for key, amount in requests.items() if "/" in key}  # extended resources have equal limits
    resources = {"requests": requests, **({"limits": limits} if limits else {})}
    container = {"name": "main", "image": "example", "resources": resources, "ports": spec.pop("ports", [])}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels or {})},
        "spec": {"containers": [container], **({"nodeName": node} if node else {}), **spec},
    }


def read_events(pods: Iterable[Json]) -> Iterator[str]:
    """What the scheduler said of each refused pod, for people."""
    for each in pods:
        for row in each.get("status", {}).get("conditions", ()):
            if row["type"] == "PodScheduled" and row["status"] == "False":
                yield f"{each['metadata']['name']}: {row.get('message', '')}"
