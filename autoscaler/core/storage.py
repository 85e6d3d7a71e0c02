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
    owner: Uid | None = None  # the pod of an ephemeral claim
    storage_class: str = ""
    volume: str = ""  # bound to, or to be bound to
    is_bound: bool = False
    is_lost: bool = False
    is_deleted: bool = False
    access_modes: tuple[str, ...] = ()
    size: int = 0
    selector: LabelSelector | None = None
    selected_node: str = ""

    @property
    def key(self) -> ClaimKey:
        return ClaimKey(self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A PersistentVolume; `terms` is its required node affinity, None where it has none."""

    name: str
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    terms: tuple[NodeTerm, ...] | None = None
    storage_class: str = ""
    claim: ClaimKey | None = None
    is_available: bool = False
    access_modes: tuple[str, ...] = ()
    size: int = 0
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
    """A CSINode: how many volumes of a driver the node takes; a driver without a number has no limit."""

    node: NodeName
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """All of it, by name."""

    claims: Mapping[ClaimKey, Claim] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    classes: Mapping[str, StorageClass] = field(default_factory=dict)
    capacities: tuple[Capacity, ...] = ()
    limits: Mapping[NodeName, AttachLimits] = field(default_factory=dict)
