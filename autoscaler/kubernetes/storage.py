"""Storage: what claims, volumes, classes and CSI objects say, from the wire to core's values.

One module for wire structs and conversions, as nothing else reads them. A
role may lack all of these kinds: then pods with claims are refused, and all
others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from autoscaler.core.model import NodeName, Uid
from autoscaler.core.podspec import Requirement
from autoscaler.core.quantity import QuantityError, parse_quantity
from autoscaler.core.storage import (
    FILESYSTEM,
    AttachLimits,
    Attachment,
    Capacity,
    Claim,
    ClaimKey,
    Driver,
    Storage,
    StorageClass,
    Volume,
)
from autoscaler.kubernetes.convert import MalformedObjectError, key_of, require_name
from autoscaler.kubernetes.in_tree import WireSources, disk_of
from autoscaler.kubernetes.interner import freeze_labels
from autoscaler.kubernetes.requests import FieldError
from autoscaler.kubernetes.specs import to_node_terms, to_selector
from autoscaler.kubernetes.wire import Amounts, WireMeta, WireNodeSelector, WireSelector

_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_MIGRATED_PLUGINS = "storage.alpha.kubernetes.io/migrated-plugins"
_KEPT_PREFIXES = (
    "volume.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "pv.kubernetes.io/",
    "storageclass.kubernetes.io/",
    "storage.alpha.kubernetes.io/",
)


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    pass


class WirePhase(_Wire):
    phase: str | None = None


class WireRequests(_Wire):
    requests: Amounts | None = None


class WireClaimSpec(_Wire):
    access_modes: tuple[str, ...] | None = None
    resources: WireRequests | None = None
    volume_name: str | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    selector: WireSelector | None = None


class WireClaim(_Wire):
    metadata: WireMeta
    spec: WireClaimSpec | None = None
    status: WirePhase | None = None


class WireVolumeAffinity(_Wire):
    required: WireNodeSelector | None = None


class WireRef(_Wire):
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class WireCsi(_Wire):
    driver: str = ""
    volume_handle: str | None = None


class WirePersistentVolumeSpec(WireSources):
    capacity: Amounts | None = None
    access_modes: tuple[str, ...] | None = None
    node_affinity: WireVolumeAffinity | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    claim_ref: WireRef | None = None
    csi: WireCsi | None = None


class WirePersistentVolume(_Wire):
    metadata: WireMeta
    spec: WirePersistentVolumeSpec | None = None
    status: WirePhase | None = None


class WireTopologyRequirement(_Wire):
    key: str = ""
    values: tuple[str, ...] | None = None


class WireTopology(_Wire):
    match_label_expressions: tuple[WireTopologyRequirement, ...] | None = None


class WireStorageClass(_Wire):
    metadata: WireMeta
    provisioner: str = ""
    volume_binding_mode: str | None = None
    allowed_topologies: tuple[WireTopology, ...] | None = None


class WireAllocatable(_Wire):
    count: int | None = None


class WireDriver(_Wire):
    name: str = ""
    allocatable: WireAllocatable | None = None


class WireCsiNodeSpec(_Wire):
    drivers: tuple[WireDriver, ...] | None = None


class WireCsiNode(_Wire):
    metadata: WireMeta
    spec: WireCsiNodeSpec | None = None


class WireCsiDriverSpec(_Wire):
    storage_capacity: bool | None = None


class WireCsiDriver(_Wire):
    metadata: WireMeta
    spec: WireCsiDriverSpec | None = None


class WireAttached(_Wire):
    persistent_volume_name: str | None = None


class WireAttachmentSpec(_Wire):
    attacher: str = ""
    node_name: str = ""
    source: WireAttached | None = None


class WireAttachment(_Wire):
    metadata: WireMeta
    spec: WireAttachmentSpec | None = None


class WireCapacity(_Wire):
    metadata: WireMeta
    node_topology: WireSelector | None = None
    storage_class_name: str = ""
    capacity: str | int | float | None = None
    maximum_volume_size: str | int | float | None = None


def kept_storage_annotations(annotations: dict[str, str] | None) -> dict[str, str]:
    """Return the annotations that say something of storage."""
    return {name: value for name, value in (annotations or {}).items() if name.startswith(_KEPT_PREFIXES)}


def to_claim(wire: WireClaim) -> Claim:
    """Convert a PersistentVolumeClaim. Raises MalformedObjectError."""
    meta, spec = wire.metadata, wire.spec or WireClaimSpec()
    require_name("PersistentVolumeClaim", meta)
    annotations = meta.annotations or {}
    phase = wire.status.phase if wire.status else None
    volume = spec.volume_name or ""
    asked = (spec.resources.requests if spec.resources else None) or {}
    try:
        size, selector = _bytes(asked.get("storage")), to_selector("spec.selector", spec.selector)
    except FieldError as error:
        raise MalformedObjectError("PersistentVolumeClaim", key_of(meta), str(error)) from None
    owners = [one.uid for one in meta.owner_references or () if one.kind == "Pod" and one.controller]
    return Claim(
        namespace=meta.namespace or "default",
        name=meta.name,
        uid=meta.uid,
        owner=Uid(owners[0]) if owners else None,
        storage_class=annotations.get(_BETA_CLASS, spec.storage_class_name or ""),
        volume=volume,
        is_bound=bool(volume) and (phase == "Bound" or _BIND_COMPLETED in annotations),
        is_lost=phase == "Lost",
        is_deleted=meta.deletion_timestamp is not None,
        access_modes=spec.access_modes or (),
        size=size,
        mode=spec.volume_mode or FILESYSTEM,
        attributes_class=spec.volume_attributes_class_name or "",
        selector=selector,
        selected_node=annotations.get(_SELECTED_NODE, ""),
    )


def to_volume(wire: WirePersistentVolume) -> Volume:
    """Convert a PersistentVolume. Raises MalformedObjectError."""
    meta, spec = wire.metadata, wire.spec or WirePersistentVolumeSpec()
    require_name("PersistentVolume", meta)
    required = spec.node_affinity.required if spec.node_affinity else None
    terms = to_node_terms(required) if required is not None else None
    ref, csi, labels = spec.claim_ref, spec.csi, freeze_labels(meta.labels)
    disk = disk_of(spec, labels) if csi is None else None
    try:
        size = _bytes((spec.capacity or {}).get("storage"))
    except FieldError as error:
        raise MalformedObjectError("PersistentVolume", meta.name, str(error)) from None
    return Volume(
        name=meta.name,
        labels=labels,
        terms=terms,
        storage_class=(meta.annotations or {}).get(_BETA_CLASS, spec.storage_class_name or ""),
        claim=ClaimKey(ref.namespace or "default", ref.name) if ref is not None and ref.name else None,
        claim_uid=(ref.uid if ref is not None else None) or "",
        is_available=wire.status is None or wire.status.phase in (None, "Available"),
        is_deleted=meta.deletion_timestamp is not None,
        access_modes=spec.access_modes or (),
        size=size,
        mode=spec.volume_mode or FILESYSTEM,
        attributes_class=spec.volume_attributes_class_name or "",
        plugin=disk.plugin.name if disk is not None else "",
        migrated_terms=disk.plugin.migrate(terms, labels) if disk is not None else None,
        driver=csi.driver if csi is not None else disk.driver if disk is not None else "",
        handle=(csi.volume_handle if csi is not None else disk.handle if disk is not None else "") or "",
    )


def to_storage_class(wire: WireStorageClass) -> StorageClass:
    """Convert a StorageClass. Raises MalformedObjectError."""
    require_name("StorageClass", wire.metadata)
    return StorageClass(
        name=wire.metadata.name,
        provisioner=wire.provisioner,
        waits=wire.volume_binding_mode == "WaitForFirstConsumer",
        topologies=tuple(
            tuple(Requirement(each.key, "In", each.values or ()) for each in one.match_label_expressions or ())
            for one in wire.allowed_topologies or ()
        ),
    )


def to_attach_limits(wire: WireCsiNode) -> AttachLimits:
    """Convert a CSINode. Raises MalformedObjectError."""
    require_name("CSINode", wire.metadata)
    drivers = (wire.spec.drivers if wire.spec else None) or ()
    counts = {one.name: one.allocatable.count for one in drivers if one.allocatable is not None}
    limits = {name: count for name, count in counts.items() if count is not None}
    migrated = (wire.metadata.annotations or {}).get(_MIGRATED_PLUGINS, "")
    return AttachLimits(
        node=NodeName(wire.metadata.name), limits=limits, migrated=frozenset(filter(None, migrated.split(",")))
    )


def to_driver(wire: WireCsiDriver) -> Driver:
    """Convert a CSIDriver, of which filters look at storageCapacity alone. Raises MalformedObjectError.

    `preventPodSchedulingIfMissing` counts only behind VolumeLimitScaling, an alpha gate.
    """
    require_name("CSIDriver", wire.metadata)
    return Driver(name=wire.metadata.name, tells_capacity=bool(wire.spec and wire.spec.storage_capacity))


def to_attachment(wire: WireAttachment) -> Attachment:
    """Convert a VolumeAttachment. Raises MalformedObjectError."""
    require_name("VolumeAttachment", wire.metadata)
    spec = wire.spec or WireAttachmentSpec()
    volume = (spec.source.persistent_volume_name if spec.source else None) or ""
    return Attachment(name=wire.metadata.name, node=NodeName(spec.node_name), driver=spec.attacher, volume=volume)


def to_capacity(wire: WireCapacity) -> Capacity:
    """Convert a CSIStorageCapacity; the largest volume counts where it is told. Raises MalformedObjectError."""
    meta = wire.metadata
    require_name("CSIStorageCapacity", meta)
    largest = wire.maximum_volume_size if wire.maximum_volume_size is not None else wire.capacity
    try:
        size, nodes = _bytes(largest), to_selector("nodeTopology", wire.node_topology)
    except FieldError as error:
        raise MalformedObjectError("CSIStorageCapacity", key_of(meta), str(error)) from None
    return Capacity(
        namespace=meta.namespace, name=meta.name, storage_class=wire.storage_class_name, nodes=nodes, largest=size
    )


def _bytes(amount: str | float | None) -> int:
    """Read a size. Raises FieldError."""
    if amount is None:
        return 0
    try:
        return parse_quantity(str(amount))
    except QuantityError as error:
        raise FieldError(f"storage: {error}") from None


class Read(NamedTuple):
    """How a kind is read: its API group and plural, wire struct and conversion."""

    group: str
    plural: str
    wire: type[Any]
    convert: Callable[[Any], Any]


READS: Mapping[str, Read] = {
    "PersistentVolumeClaim": Read("", "persistentvolumeclaims", WireClaim, to_claim),
    "PersistentVolume": Read("", "persistentvolumes", WirePersistentVolume, to_volume),
    "StorageClass": Read("storage.k8s.io", "storageclasses", WireStorageClass, to_storage_class),
    "CSINode": Read("storage.k8s.io", "csinodes", WireCsiNode, to_attach_limits),
    "CSIStorageCapacity": Read("storage.k8s.io", "csistoragecapacities", WireCapacity, to_capacity),
    "CSIDriver": Read("storage.k8s.io", "csidrivers", WireCsiDriver, to_driver),
    "VolumeAttachment": Read("storage.k8s.io", "volumeattachments", WireAttachment, to_attachment),
}


_VALUES = (Claim, Volume, StorageClass, AttachLimits, Capacity, Driver, Attachment)


def to_storage(objects: Iterable[Any]) -> Storage:
    """Gather converted objects of these kinds, in any order."""
    found: dict[type[Any], list[Any]] = {kind: [] for kind in _VALUES}
    for one in objects:
        found[type(one)].append(one)
    return Storage(
        claims={one.key: one for one in found[Claim]},
        volumes={one.name: one for one in found[Volume]},
        classes={one.name: one for one in found[StorageClass]},
        capacities=tuple(sorted(found[Capacity], key=lambda one: (one.namespace, one.name))),
        limits={one.node: one for one in found[AttachLimits]},
        drivers={one.name: one for one in found[Driver]},
        attachments=tuple(sorted(found[Attachment], key=lambda one: one.name)),
    )
