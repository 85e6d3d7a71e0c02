"""Kinds: which objects the product watches, and what it keeps of each.

Paths, selectors and conversions; how they are followed is `cache`'s business,
what is done with them `cluster`'s. Kinds that a role may lack are optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from autoscaler.core.model import Node, Pod, Uid
from autoscaler.core.schedulers import Service
from autoscaler.core.snapshot import DaemonSet
from autoscaler.core.workload import PodDisruptionBudget, Workload
from autoscaler.kubernetes.cache import Kind
from autoscaler.kubernetes.convert import (
    Interner,
    Namespace,
    PriorityClass,
    own_annotations,
    to_budget,
    to_daemonset,
    to_namespace,
    to_node,
    to_pod,
    to_priority_class,
)
from autoscaler.kubernetes.selecting import SELECTING_WIRES, owner_selector, to_service
from autoscaler.kubernetes.storage import READS, Read
from autoscaler.kubernetes.wire import (
    WireBudget,
    WireConfigMap,
    WireDaemonSet,
    WireMatching,
    WireNode,
    WireObject,
    WirePod,
    WirePriorityClass,
    WireScaled,
)

WORKLOADS = {
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "Job": "/apis/batch/v1/jobs",
    "CronJob": "/apis/batch/v1/cronjobs",
    "ReplicationController": "/api/v1/replicationcontrollers",
}


class ConfigMap(NamedTuple):
    """A ConfigMap as it stands."""

    namespace: str
    name: str
    uid: Uid
    data: Mapping[str, str]


NODES: Kind[WireNode, Node] = Kind(name="Node", path="/api/v1/nodes", wire=WireNode, convert=to_node)

PRIORITY_CLASSES: Kind[WirePriorityClass, PriorityClass] = Kind(
    name="PriorityClass",
    path="/apis/scheduling.k8s.io/v1/priorityclasses",
    wire=WirePriorityClass,
    convert=to_priority_class,
    optional=True,
)


def api_version_of(kind: str) -> str:
    """The API version of an object that carries annotations of ours; events about it name that too."""
    path = WORKLOADS.get(kind) or (PRIORITY_CLASSES.path if kind == PRIORITY_CLASSES.name else "")
    root, _, version = path.rpartition("/")[0].partition("/apis/")
    return version if version and not root else "v1"


def pods(interner: Interner) -> Kind[WirePod, Pod]:
    """Pods that are not finished: the others take no room and never move."""
    return Kind(
        name="Pod",
        path="/api/v1/pods",
        wire=WirePod,
        convert=lambda wire: to_pod(wire, interner),
        selector={"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"},
    )


def daemonsets(interner: Interner) -> Kind[WireDaemonSet, DaemonSet]:
    """DaemonSets, of which the pod template matters."""
    return Kind(
        name="DaemonSet",
        path="/apis/apps/v1/daemonsets",
        wire=WireDaemonSet,
        convert=lambda wire: to_daemonset(wire, interner),
    )


def namespaces(interner: Interner) -> Kind[WireObject, Namespace]:
    """Namespaces, by their metadata."""
    return Kind(
        name="Namespace",
        path="/api/v1/namespaces",
        wire=WireObject,
        convert=lambda wire: to_namespace(wire, interner),
        metadata_only=True,
        optional=True,
    )


def config_map(namespace: str, name: str) -> Kind[WireConfigMap, ConfigMap]:
    """One ConfigMap, by name."""

    def convert(wire: WireConfigMap) -> ConfigMap:
        meta = wire.metadata
        return ConfigMap(meta.namespace, meta.name, Uid(meta.uid), wire.data or {})

    return Kind(
        name="ConfigMap",
        path=f"/api/v1/namespaces/{namespace}/configmaps",
        wire=WireConfigMap,
        convert=convert,
        selector={"fieldSelector": f"metadata.name={name}"},
        optional=True,
    )


BUDGETS: Kind[WireBudget, PodDisruptionBudget] = Kind(
    name="PodDisruptionBudget",
    path="/apis/policy/v1/poddisruptionbudgets",
    wire=WireBudget,
    convert=to_budget,
    optional=True,  # the Eviction API keeps them anyway
)


SERVICES: Kind[WireMatching, Service] = Kind(
    name="Service", path="/api/v1/services", wire=WireMatching, convert=to_service, optional=True
)


def workloads(
    kind: str, interner: Interner, *, with_replicas: bool = False, with_selectors: bool = False
) -> Kind[Any, Workload]:
    """Owners of pods of one kind of `WORKLOADS`; their metadata alone, unless replicas or selectors are wanted."""
    wire_type: type[Any] = WireScaled if with_replicas else WireObject
    if with_selectors:
        wire_type = SELECTING_WIRES.get(kind, wire_type)

    def convert(wire: Any) -> Workload:
        meta = wire.metadata
        spec = getattr(wire, "spec", None)
        return Workload(
            kind=kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=Uid(meta.uid),
            annotations=own_annotations(kind, meta, interner),
            owner=interner.owner(meta.owner_references),
            replicas=spec.replicas if with_replicas and spec is not None else None,
            selector=owner_selector(kind, wire),
        )

    return Kind(
        name=kind,
        path=WORKLOADS[kind],
        wire=wire_type,
        convert=convert,
        metadata_only=wire_type is WireObject,
        optional=True,
    )


def owners(kind: str, path: str, interner: Interner) -> Kind[WireObject, Workload]:
    """Owners of a kind that was found by discovery, by their metadata."""

    def convert(wire: WireObject) -> Workload:
        meta = wire.metadata
        return Workload(
            kind=kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=Uid(meta.uid),
            annotations=interner.annotations(meta.annotations),
            owner=interner.owner(meta.owner_references),
        )

    return Kind(name=kind, path=path, wire=WireObject, convert=convert, metadata_only=True, optional=True)


def _of_storage(name: str, read: Read) -> Kind[Any, Any]:
    version = f"/apis/{read.group}/v1" if read.group else "/api/v1"
    return Kind(name=name, path=f"{version}/{read.plural}", wire=read.wire, convert=read.convert, optional=True)


STORAGE: tuple[Kind[Any, Any], ...] = tuple(_of_storage(name, read) for name, read in READS.items())
