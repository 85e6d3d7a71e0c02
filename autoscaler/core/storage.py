"""What the cluster tells of volumes, as far as it says where a pod may run.

Claims, volumes, classes, attach limits and free capacity; values only. What
follows for a pod is `scheduling.volumes`' question. Sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.model import NO_LABELS, Labels, NodeName, Uid
from autoscaler.core.podspec import LabelSelector, NodeTerm, Requirement

NO_PROVISIONER = "kubernetes.io/no-provisioner"
ONCE_PER_POD = "ReadWriteOncePod"
FILESYSTEM = "Filesystem"
# The CSI drivers that do the work of in-tree plugins, as far as kube-scheduler counts their volumes;
# "": it counts none. Source: isCSIMigrationOn in
# kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits/utils.go
MIGRATED_DRIVERS = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/azure-file": "",
    "kubernetes.io/vsphere-volume": "",
}


class ClaimKey(NamedTuple):
    """Names a claim."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A PersistentVolumeClaim. `selected_node` is where its volume is being made."""

    namespace: str
    name: str
    uid: str = ""
    owner: Uid | None = None  # the pod of an ephemeral claim
    storage_class: str = ""
    volume: str = ""  # bound to, or to be bound to
    is_bound: bool = False
    is_lost: bool = False
    is_deleted: bool = False
    access_modes: tuple[str, ...] = ()
    size: int = 0
    mode: str = FILESYSTEM
    attributes_class: str = ""
    selector: LabelSelector | None = None
    selected_node: str = ""

    @property
    def key(self) -> ClaimKey:
        return ClaimKey(self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume; `terms` is its required node affinity, None where it has none.

    `plugin` is the in-tree one that a CSI driver took over, "" for all others;
    where a node has migrated it, `migrated_terms` count instead of `terms`.
    """

    name: str
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    terms: tuple[NodeTerm, ...] | None = None
    storage_class: str = ""
    claim: ClaimKey | None = None
    claim_uid: str = ""  # empty: any claim of that name
    is_available: bool = False
    is_deleted: bool = False
    access_modes: tuple[str, ...] = ()
    size: int = 0
    mode: str = FILESYSTEM
    attributes_class: str = ""
    plugin: str = ""
    migrated_terms: tuple[NodeTerm, ...] | None = None
    driver: str = ""
    handle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageClass:
    """A StorageClass; `topologies` are its allowedTopologies, any of which will do; empty: everywhere."""

    name: str
    provisioner: str = ""
    waits: bool = False  # WaitForFirstConsumer
    topologies: tuple[tuple[Requirement, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """A CSIStorageCapacity: how large a volume of a class may be on the nodes that `nodes` selects."""

    namespace: str
    name: str
    storage_class: str
    nodes: LabelSelector | None = None
    largest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachLimits:
    """A CSINode: how many volumes of a driver the node takes; a driver without a number has no limit.

    `migrated` are the in-tree plugins whose work CSI drivers do on the node.
    """

    node: NodeName
    limits: Mapping[str, int] = field(default_factory=dict)
    migrated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A CSIDriver; `tells_capacity`: without a Capacity that is large enough no volume is made."""

    name: str
    tells_capacity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A VolumeAttachment: the node has the volume, or is to have it, whether or not a pod still uses it."""

    name: str
    node: NodeName
    driver: str
    volume: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """All of it, by name."""

    claims: Mapping[ClaimKey, Claim] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    classes: Mapping[str, StorageClass] = field(default_factory=dict)
    capacities: tuple[Capacity, ...] = ()
    limits: Mapping[NodeName, AttachLimits] = field(default_factory=dict)
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
