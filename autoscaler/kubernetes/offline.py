"""Offline: a cluster from files, as `kubectl get -o yaml` or `-o json` prints it.

The same conversion as live, for `simulate`; only faults end otherwise: live
a malformed object is skipped and counted, here it is an input error, as who
gave the files can mend them: they are read to the end, and the first fault
says how many there are. Kinds that the product does not read are ignored.
Imports neither HTTP nor clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import msgspec

from autoscaler.core.model import Labels, Node, Pod, Uid
from autoscaler.core.schedulers import Service
from autoscaler.core.snapshot import DaemonSet
from autoscaler.core.storage import Storage
from autoscaler.core.tuning import SCALED, Annotated
from autoscaler.core.workload import PodDisruptionBudget, Workload
from autoscaler.kubernetes.codec import read_identity
from autoscaler.kubernetes.convert import (
    Interner,
    MalformedObjectError,
    PriorityClass,
    PriorityClasses,
    key_of,
    own_annotations,
    to_budget,
    to_daemonset,
    to_namespace,
    to_node,
    to_pod,
    to_priority_class,
)
from autoscaler.kubernetes.duplicates import Pile
from autoscaler.kubernetes.selecting import owner_selector, to_service
from autoscaler.kubernetes.storage import READS, to_storage
from autoscaler.kubernetes.unknown_fields import convert_object, decode_object
from autoscaler.kubernetes.wire import (
    WireBudget,
    WireConfigMap,
    WireDaemonSet,
    WireDocument,
    WireMatching,
    WireNode,
    WireObject,
    WirePod,
    WirePriorityClass,
    WireScaled,
    WireSelecting,
)

Document = Mapping[str, Any] | Sequence[Any] | bytes
T = TypeVar("T")

# By kind, the API group in which it means what we think: other groups use the word Node too.
_WIRES: dict[str, tuple[str, type[Any]]] = {
    "Pod": ("", WirePod),
    "Node": ("", WireNode),
    "DaemonSet": ("apps", WireDaemonSet),
    "Namespace": ("", WireObject),
    "ConfigMap": ("", WireConfigMap),
    "PriorityClass": ("scheduling.k8s.io", WirePriorityClass),
    "PodDisruptionBudget": ("policy", WireBudget),
    "Service": ("", WireMatching),
}
# Owners of pods.
_WORKLOADS: dict[str, tuple[str, type[Any]]] = {
    "ReplicaSet": ("apps", WireSelecting),
    "Deployment": ("apps", WireScaled),
    "StatefulSet": ("apps", WireSelecting),
    "Job": ("batch", WireObject),
    "CronJob": ("batch", WireObject),
    "ReplicationController": ("", WireMatching),
}
_WIRES |= _WORKLOADS
_WIRES |= {kind: (read.group, read.wire) for kind, read in READS.items()}
_FORMS: tuple[Any, ...] = (WireDocument, list[msgspec.Raw], *(wire for _, wire in _WIRES.values()))
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {form: msgspec.json.Decoder(form) for form in _FORMS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMap:
    """A ConfigMap as it stands."""

    namespace: str
    name: str
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterObjects:
    """All that files told about a cluster, in the order of the files; `warnings` are for who gave them."""

    pods: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    annotated: Annotated = field(default_factory=Annotated)
    config_maps: tuple[ConfigMap, ...] = ()
    priority_classes: tuple[PriorityClass, ...] = ()
    workloads: tuple[Workload, ...] = ()
    budgets: tuple[PodDisruptionBudget, ...] = ()
    storage: Storage = field(default_factory=Storage)
    services: tuple[Service, ...] = ()
    warnings: tuple[str, ...] = ()

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """Return the ConfigMap of that name, if any."""
        for each in self.config_maps:
            if (each.namespace, each.name) == (namespace, name):
                return each
        return None


def read_objects(documents: Iterable[Document], source: str) -> ClusterObjects:
    """Convert the documents of one file. Raises MalformedObjectError naming file, object and fault."""
    return read_cluster([(source, documents)])


def read_cluster(files: Iterable[tuple[str, Iterable[Document]]]) -> ClusterObjects:
    """Convert the documents of several files, given with their names, into one cluster.

    An object that they hold more than once counts once (see `duplicates`).
    Priority classes apply whatever file they are in. Raises MalformedObjectError.
    """
    piles = {kind: Pile(kind) for kind in _WIRES}
    told: list[str | MalformedObjectError] = []
    for source, documents in files:
        for document in documents:
            for kind, wire in _wires(document, source, ""):
                if isinstance(wire, MalformedObjectError):
                    told.append(wire)
                else:
                    piles[kind].add(source, wire)
    told += [each for pile in piles.values() for each in pile.settle()]

    def convert(kind: str, to_value: Callable[[Any], T]) -> tuple[T, ...]:
        found = []
        for source, wire in piles[kind].objects():
            try:
                found.append(to_value(wire))
            except MalformedObjectError as error:
                told.append(MalformedObjectError(f"{source}: {error.kind}", error.key, error.fault))
        return tuple(found)

    cluster = _to_cluster(convert)
    _raise_first([each for each in told if isinstance(each, MalformedObjectError)])
    return replace(cluster, warnings=tuple(each for each in told if isinstance(each, str)))


class _Convert(Protocol):
    def __call__(self, kind: str, to_value: Callable[[Any], T], /) -> tuple[T, ...]: ...


def _to_cluster(convert: _Convert) -> ClusterObjects:
    classes = convert("PriorityClass", to_priority_class)
    interner = Interner(PriorityClasses(classes))
    namespaces = convert("Namespace", lambda wire: to_namespace(wire, interner))
    return ClusterObjects(
        pods=convert("Pod", lambda wire: to_pod(wire, interner)),
        nodes=convert("Node", to_node),
        daemonsets=convert("DaemonSet", lambda wire: to_daemonset(wire, interner)),
        namespaces={each.name: each.labels for each in namespaces},
        annotated=Annotated(
            namespaces={each.name: each.annotations for each in namespaces},
            priority_classes={each.name: each.annotations for each in classes},
        ),
        config_maps=convert("ConfigMap", _to_config_map),
        priority_classes=classes,
        workloads=tuple(one for kind in _WORKLOADS for one in convert(kind, _workload_of(kind, interner))),
        budgets=convert("PodDisruptionBudget", to_budget),
        services=convert("Service", to_service),
        storage=to_storage(one for kind, read in READS.items() for one in convert(kind, read.convert)),
    )


def _raise_first(faults: Iterable[MalformedObjectError]) -> None:
    """Raise the first fault by its text, which says how many there are: the order of the input counts nowhere."""
    if faults:
        first, *others = sorted(faults, key=str)
        more = f" (and {len(others)} more that cannot be used)" if others else ""
        raise MalformedObjectError(first.kind, first.key, first.fault + more)


def _fault_of(error: msgspec.DecodeError) -> str:
    """What msgspec says, the path first, as all other faults have it."""
    text, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    return f"{path}: {text}" if path else text


def _workload_of(kind: str, interner: Interner) -> Callable[[Any], Workload]:
    """How to convert a workload of one kind; replicas that a file leaves out are 1, as the API server has it."""

    def convert(wire: Any) -> Workload:
        meta = wire.metadata
        spec = getattr(wire, "spec", None)
        replicas = spec.replicas if spec is not None and spec.replicas is not None else 1
        return Workload(
            kind=kind,
            namespace=meta.namespace or "default",
            name=meta.name,
            uid=Uid(meta.uid or f"{kind}/{meta.namespace}/{meta.name}"),
            annotations=own_annotations(kind, meta, interner),
            owner=interner.owner(meta.owner_references),
            replicas=replicas if kind in SCALED else None,
            selector=owner_selector(kind, wire),
        )

    return convert


def _to_config_map(wire: WireConfigMap) -> ConfigMap:
    meta = wire.metadata
    return ConfigMap(namespace=meta.namespace or "default", name=meta.name, data=wire.data or {})


def _wires(document: Any, source: str, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield (kind, wire object) of a document; `kind` is what a list says of items that do not say it.

    In the place of an object that cannot be read its fault is yielded.
    """
    read = _wires_of_json if isinstance(document, bytes | msgspec.Raw) else _wires_of_values
    try:
        yield from read(document, source, kind)
    except MalformedObjectError as error:
        yield "", error


def _wires_of_values(document: Any, source: str, kind: str) -> Iterator[tuple[str, Any]]:
    if document is None:
        return  # an empty YAML document
    if isinstance(document, list | tuple):
        for item in document:
            yield from _wires(item, source, kind)
        return
    if not isinstance(document, dict):
        raise MalformedObjectError(f"{source}: document", "(unknown)", f"expected an object, got {document!r:.40}")
    own = document.get("kind") or kind
    if not own or not isinstance(own, str):
        raise MalformedObjectError(f"{source}: document", _key_in(document), "kind is missing")
    if own.endswith("List"):
        items = document.get("items")
        if not isinstance(items, list | None):
            raise MalformedObjectError(f"{source}: {own}", "items", "expected a list")
        yield from _wires(items or [], source, own.removesuffix("List"))
        return
    wire = _wire_type(own, document.get("apiVersion"))
    if wire is not None:
        try:
            yield own, convert_object(document, wire)
        except msgspec.ValidationError as error:
            raise MalformedObjectError(f"{source}: {own}", _key_in(document), _fault_of(error)) from None


def _wires_of_json(document: Any, source: str, kind: str) -> Iterator[tuple[str, Any]]:
    if bytes(memoryview(document)[:64]).lstrip()[:1] == b"[":
        yield from _wires(_decode(document, list[msgspec.Raw], source, "document"), source, kind)
        return
    envelope = _decode(document, WireDocument, source, "document")
    own = envelope.kind or kind
    if not own:
        raise MalformedObjectError(f"{source}: document", key_of(read_identity(document)), "kind is missing")
    if own.endswith("List"):
        yield from _wires(envelope.items or [], source, own.removesuffix("List"))
        return
    wire = _wire_type(own, envelope.api_version)
    if wire is not None:
        yield own, _decode(document, wire, source, own)


def _decode(document: bytes | msgspec.Raw, wire: type[T], source: str, kind: str) -> T:
    try:
        found: T = decode_object(document, _DECODERS[wire])
    except msgspec.DecodeError as error:
        key = key_of(read_identity(document))
        raise MalformedObjectError(f"{source}: {kind}", key, _fault_of(error)) from None
    return found


def _wire_type(kind: str, api_version: object) -> type[Any] | None:
    """Return how to read the kind; None for one that is not read."""
    if kind not in _WIRES:
        return None
    group, wire = _WIRES[kind]
    given = str(api_version or "").rpartition("/")[0]
    return wire if not api_version or given == group else None


def _key_in(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return "(without a name)"
    return "/".join(str(metadata[part]) for part in ("namespace", "name") if metadata.get(part)) or "(without a name)"
