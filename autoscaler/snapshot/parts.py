"""Parts: the kinds that a cluster's snapshot holds, and what of each object may leave.

Kinds that decisions read are cut to the very structs that the live cache
decodes, so offline nothing is missing and nothing else is there; an object
that the cache would skip is left out as well. The others are cut by a shape:
an allow-list of fields. Of annotations only those that somebody reads stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from autoscaler.kubernetes import kinds
from autoscaler.kubernetes.cache import Kind
from autoscaler.kubernetes.codec import read_identity
from autoscaler.kubernetes.convert import Interner, MalformedObjectError, key_of
from autoscaler.kubernetes.interner import kept_annotations
from autoscaler.kubernetes.storage import kept_storage_annotations
from autoscaler.kubernetes.transport import JSON, METADATA_LIST
from autoscaler.kubernetes.unknown_fields import decode_object
from autoscaler.kubernetes.wire import WireConfigMap, WireMeta, WireObject, WireTemplate

Excerpt = Callable[[bytes | msgspec.Raw], bytes]
Shape = Mapping[str, "Shape | None"]  # None keeps a field whole

HEADROOM = "priority-autoscaler/headroom"  # makes the template of a workload matter
_SCALED = frozenset({"ReplicaSet", "Deployment", "StatefulSet", "ReplicationController"})
_METADATA: Shape = dict.fromkeys(
    (
        "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation",
        "labels", "annotations", "ownerReferences",
    )
)  # fmt: skip
_PV_SPEC: Shape = {
    **dict.fromkeys(
        ("capacity", "accessModes", "nodeAffinity", "storageClassName", "volumeMode", "volumeAttributesClassName")
    ),
    "claimRef": dict.fromkeys(("namespace", "name", "uid")),
    "csi": dict.fromkeys(("driver", "volumeHandle")),
    "awsElasticBlockStore": {"volumeID": None},
    "gcePersistentDisk": {"pdName": None},
    "azureDisk": {"diskURI": None},
    "cinder": {"volumeID": None},
    "portworxVolume": {"volumeID": None},
    "local": {},
    "hostPath": {},
}
_PVC_SPEC: Shape = dict.fromkeys(
    (
        "accessModes", "resources", "volumeName", "storageClassName", "volumeMode", "volumeAttributesClassName",
        "selector",
    )
)  # fmt: skip
_PDB_SPEC: Shape = dict.fromkeys(("minAvailable", "maxUnavailable", "selector", "unhealthyPodEvictionPolicy"))
_PDB_STATUS: Shape = dict.fromkeys(
    (
        "observedGeneration", "disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods",
        "disruptedPods",
    )
)  # fmt: skip
_SHAPES: Mapping[str, tuple[str, str, Shape]] = {
    "CSINode": ("storage.k8s.io/v1", "csinodes", {"spec": None}),
    "CSIStorageCapacity": (
        "storage.k8s.io/v1",
        "csistoragecapacities",
        dict.fromkeys(("nodeTopology", "storageClassName", "capacity", "maximumVolumeSize")),
    ),
    "CSIDriver": ("storage.k8s.io/v1", "csidrivers", {"spec": dict.fromkeys(("storageCapacity", "attachRequired"))}),
    "VolumeAttachment": (
        "storage.k8s.io/v1",
        "volumeattachments",
        {"spec": {"attacher": None, "nodeName": None, "source": {"persistentVolumeName": None}}},
    ),
    "StorageClass": (
        "storage.k8s.io/v1",
        "storageclasses",
        dict.fromkeys(("provisioner", "volumeBindingMode", "allowedTopologies")),
    ),
    "PersistentVolume": ("v1", "persistentvolumes", {"spec": _PV_SPEC, "status": {"phase": None}}),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims", {"spec": _PVC_SPEC, "status": {"phase": None}}),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets", {"spec": _PDB_SPEC, "status": _PDB_STATUS}),
}
_BUFFER_VERSIONS = ("autoscaling.x-k8s.io/v1beta1", "autoscaling.x-k8s.io/v1alpha1")
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind: where it is read, and how an object is cut. `optional`: without it there still is a snapshot.

    `excerpt` raises MalformedObjectError for an object that the live cache would skip.
    """

    kind: str
    api_version: str
    path: str
    excerpt: Excerpt
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = JSON
    optional: bool = True


class _Scale(msgspec.Struct, rename="camel", omit_defaults=True):
    replicas: int | None = None
    selector: dict[str, Any] | None = None
    template: WireTemplate | None = None


class _Workload(msgspec.Struct, rename="camel", omit_defaults=True):
    metadata: WireMeta
    spec: _Scale | None = None


class _PodTemplate(msgspec.Struct, rename="camel", omit_defaults=True):
    metadata: WireMeta
    template: WireTemplate | None = None


def parts() -> Iterator[Part]:
    """Yield every kind that is listed; a decision cannot do without the first three."""
    interner = Interner()
    yield _watched("v1", kinds.NODES)
    yield _watched("v1", kinds.pods(interner))
    yield _watched("apps/v1", kinds.daemonsets(interner))
    yield _watched("v1", kinds.namespaces(interner))
    yield _watched("scheduling.k8s.io/v1", kinds.PRIORITY_CLASSES)
    yield _watched("v1", kinds.SERVICES)
    for kind, path in kinds.WORKLOADS.items():
        version = path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")[0]
        is_scaled = kind in _SCALED
        excerpt = _by_struct(kind, _Workload if is_scaled else WireObject, _drop_template)
        accept = JSON if is_scaled else METADATA_LIST
        yield Part(kind=kind, api_version=version, path=path, excerpt=excerpt, accept=accept)
    excerpt = _by_struct("PodTemplate", _PodTemplate, _clean_template)
    yield Part(kind="PodTemplate", api_version="v1", path="/api/v1/podtemplates", excerpt=excerpt)
    for kind, (version, plural, shape) in _SHAPES.items():
        yield Part(kind=kind, api_version=version, path=_path(version, plural), excerpt=_by_shape(kind, shape))


def buffer_parts() -> Iterator[Part]:
    """Yield CapacityBuffer in its versions, of which the first that is served counts."""
    for version in _BUFFER_VERSIONS:
        shape: Shape = {"spec": None, "status": None}
        excerpt = _by_shape("CapacityBuffer", shape)
        path = _path(version, "capacitybuffers")
        yield Part(kind="CapacityBuffer", api_version=version, path=path, excerpt=excerpt)


def _path(version: str, plural: str) -> str:
    return f"/apis/{version}/{plural}" if "/" in version else f"/api/{version}/{plural}"


def _watched(api_version: str, kind: Kind[Any, Any]) -> Part:
    """Make a part of a kind that the live cache follows."""

    def judge(wire: Any) -> Callable[[], object]:
        spec = getattr(wire, "spec", None)
        _clean(getattr(getattr(spec, "template", None), "metadata", None))
        return lambda: kind.convert(wire)

    return Part(
        kind=kind.name,
        api_version=api_version,
        path=kind.path,
        excerpt=_by_struct(kind.name, kind.wire, judge),
        query=kind.selector,
        accept=METADATA_LIST if kind.metadata_only else JSON,
        optional=kind.optional,
    )


def _by_struct(
    kind: str, wire_type: type[Any], prepare: Callable[[Any], Callable[[], object] | None] | None = None
) -> Excerpt:
    """Keep the fields of a struct. `prepare` cuts further, and may return a check that uses the object up."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wire_type)

    def excerpt(body: bytes | msgspec.Raw) -> bytes:
        try:
            wire = decode_object(body, decoder)
        except msgspec.DecodeError as error:
            raise MalformedObjectError(kind, key_of(read_identity(body)), str(error)) from None
        _clean(wire.metadata)
        check = prepare(wire) if prepare is not None else None
        cut = _ENCODE(wire)
        if check is not None:
            check()
        return cut

    return excerpt


config_map_excerpt = _by_struct("ConfigMap", WireConfigMap)


def _drop_template(wire: Any) -> None:
    """Keep the template of a workload only where its shape is asked for."""
    spec = getattr(wire, "spec", None)
    if spec is None:
        return
    if HEADROOM not in (wire.metadata.annotations or {}):
        spec.template = None
    elif spec.template is not None:
        _clean(spec.template.metadata)


def _clean_template(wire: _PodTemplate) -> None:
    if wire.template is not None:
        _clean(wire.template.metadata)


def _clean(meta: WireMeta | None) -> None:
    if meta is not None:
        meta.annotations = kept_annotations(meta.annotations) or None


def _by_shape(kind: str, shape: Shape) -> Excerpt:
    whole: Shape = {"metadata": _METADATA, **shape}

    def excerpt(body: bytes | msgspec.Raw) -> bytes:
        try:
            document = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise MalformedObjectError(kind, key_of(read_identity(body)), str(error)) from None
        cut: Any = _pick(document, whole)
        annotations = (cut.get("metadata") or {}).get("annotations")
        if isinstance(annotations, dict):
            kept = kept_annotations(annotations)
            cut["metadata"]["annotations"] = kept | kept_storage_annotations(annotations)
        return _ENCODE(cut)

    return excerpt


def _pick(value: object, shape: Shape | None) -> object:
    """Keep what the shape names; what is no object where one is expected becomes null."""
    if shape is None:
        return value
    if not isinstance(value, dict):
        return None
    return {name: _pick(value[name], inner) for name, inner in shape.items() if name in value}
