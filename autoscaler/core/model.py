"""The nouns: what the autoscaler knows of pods, nodes and node groups.

Values only; every one is frozen and safe to share between threads. What a
pod asks of a node is in `podspec`, what a pass wants done in `decision`.
Amounts: cpu in millicores, all else in base units (bytes, pieces). Times are
aware UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, NewType

from autoscaler.core.podspec import PodSpec, Taint
from autoscaler.core.resources import Resources

GroupName = NewType("GroupName", str)
NodeName = NewType("NodeName", str)
InstanceId = NewType("InstanceId", str)
InstanceType = NewType("InstanceType", str)
Zone = NewType("Zone", str)  # the full name, as in "eu-west-3a"
Uid = NewType("Uid", str)

Labels = Mapping[str, str]
NO_LABELS: Labels = MappingProxyType({})

HOSTNAME_LABEL = "kubernetes.io/hostname"
ZONE_LABEL = "topology.kubernetes.io/zone"
REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABELS = (ZONE_LABEL, "failure-domain.beta.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"


class PodKey(NamedTuple):
    """Names a pod; orders by namespace, then name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


_key_from_names = partial(tuple.__new__, PodKey)
_names_of = attrgetter("namespace", "name")


class OwnerRef(NamedTuple):
    """The controller of an object."""

    kind: str
    name: str
    uid: Uid
    api_version: str = ""


class Phase(StrEnum):
    """`status.phase` of a pod; a phase that we do not know is UNKNOWN."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pod:
    """One pod as last seen.

    `spec`, `labels`, `annotations` and `owner` are shared between equal pods,
    so that comparing identities first is worth it. `annotations` holds only
    the keys that the product reads.
    """

    namespace: str
    name: str
    uid: Uid
    spec: PodSpec
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    annotations: Labels = field(default_factory=lambda: NO_LABELS)
    owner: OwnerRef | None = None
    created: datetime
    node: NodeName | None = None
    nominated_node: NodeName | None = None
    phase: Phase = Phase.PENDING
    unschedulable_since: datetime | None = None  # PodScheduled=False, reason Unschedulable
    deleted_at: datetime | None = None  # deletionTimestamp: when the grace period ends

    @property
    def key(self) -> PodKey:
        return PodKey(self.namespace, self.name)

    @property
    def is_finished(self) -> bool:
        return self.phase is Phase.SUCCEEDED or self.phase is Phase.FAILED

    @property
    def is_mirror(self) -> bool:
        """A static pod, which belongs to its kubelet and never moves."""
        return "kubernetes.io/config.mirror" in self.annotations

    @property
    def is_of_daemonset(self) -> bool:
        """Owned by a DaemonSet, or declared so by cluster-autoscaler's annotation."""
        if self.owner is not None and self.owner.kind == "DaemonSet":
            return True
        return self.annotations.get("cluster-autoscaler.kubernetes.io/daemonset-pod") == "true"


def keys_of(pods: Iterable[Pod]) -> list[PodKey]:
    """The keys of many pods, in order; several times faster than one by one."""
    return list(map(_key_from_names, map(_names_of, pods)))


def in_key_order(pods: Iterable[Pod]) -> list[Pod]:
    """Sort by namespace, then name: two sorts by one string each are far cheaper than one by a pair."""
    ordered = sorted(pods, key=attrgetter("name"))
    ordered.sort(key=attrgetter("namespace"))
    return ordered


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """One Node object as last seen.

    `ready` is the Ready condition; `ready_changed` its last transition.
    `was_ready` tells whether it ever was: a Ready condition that is now false
    with a transition later than the creation of the Node was true before.
    """

    name: NodeName
    uid: Uid = Uid("")
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    annotations: Labels = field(default_factory=lambda: NO_LABELS)
    taints: tuple[Taint, ...] = ()
    allocatable: Resources
    capacity: Resources
    is_cordoned: bool = False
    provider_id: str = ""
    instance_id: InstanceId | None = None  # None: not an EC2 instance
    ready: bool = True
    was_ready: bool = True
    ready_changed: datetime | None = None
    created: datetime
    conditions: Mapping[str, tuple[str, datetime | None]] = field(default_factory=dict)
    deleted_at: datetime | None = None

    @property
    def zone(self) -> Zone | None:
        value = self.labels.get(ZONE_LABEL) or self.labels.get("failure-domain.beta.kubernetes.io/zone")
        return Zone(value) if value else None

    @property
    def instance_type(self) -> InstanceType | None:
        value = self.labels.get(INSTANCE_TYPE_LABEL) or self.labels.get("beta.kubernetes.io/instance-type")
        return InstanceType(value) if value else None


class Market(StrEnum):
    """How AWS sells the instances of a group."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"
    MIXED = "mixed"
    UNKNOWN = "unknown"


class CapacityPool(NamedTuple):
    """What AWS has or lacks: one instance type, in one zone, in one market."""

    instance_type: InstanceType
    zone: Zone
    market: Market


class Offering(NamedTuple):
    """What can be asked for: a node of `group` in `zone`; None: AWS picks the zone."""

    group: GroupName
    zone: Zone | None


class Lifecycle(StrEnum):
    """`LifecycleState` of an instance in its group, as far as it matters to us."""

    PENDING = "Pending"  # also Pending:Wait and Pending:Proceed
    IN_SERVICE = "InService"
    LEAVING = "Terminating"  # Terminating*, Terminated, Detaching, Detached
    PARKED = "Standby"  # Standby, EnteringStandby, Warmed*: no node, and none to come


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One EC2 instance of a group.

    `since` is EC2's LaunchTime where we may read it, else when this process or
    its predecessor first saw the instance; None (offline) means young.
    """

    id: InstanceId
    instance_type: InstanceType
    zone: Zone
    lifecycle: Lifecycle = Lifecycle.IN_SERVICE
    healthy: bool = True
    protected: bool = False  # from scale-in
    weight: int = 1
    since: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Counts as a node, present or to come."""
        return self.lifecycle is Lifecycle.PENDING or self.lifecycle is Lifecycle.IN_SERVICE


class LaunchMethod(StrEnum):
    """How new instances of a group are asked for."""

    SYNC = "sync"  # LaunchInstances: ids or error codes in the reply
    DESIRED = "desired"  # raise the desired capacity, then follow the activities


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceShape:
    """What one instance type of a group brings, from EC2's catalogue.

    `capacity` holds cpu, memory, pods (from the ENI limits) and devices, with
    nothing subtracted.
    """

    instance_type: InstanceType
    capacity: Resources
    architecture: str = "amd64"
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFault:
    """Something about a group that is wrong or unknown: told once, never fatal."""

    code: str  # a Why value, or an event reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """One Auto Scaling group.

    `min_size`, `max_size` and `desired` are in units: instances, or weights
    where the group has them. `shapes` are its instance types in the order of
    its overrides; none, and no `tag_resources`, means that its shape is
    unknown. Tags and the EKS API describe a node that is yet to come:
    `labels`, `taints`, and `tag_resources` (allocatable as it stands).
    """

    name: GroupName
    min_size: int
    max_size: int
    desired: int
    zones: tuple[Zone, ...]
    market: Market = Market.UNKNOWN
    method: LaunchMethod = LaunchMethod.SYNC
    shapes: tuple[InstanceShape, ...] = ()
    labels: Labels = field(default_factory=lambda: NO_LABELS)
    taints: tuple[Taint, ...] = ()
    tag_resources: Resources | None = None
    reserved_profile: str = "none"  # eks | kops | none
    options: Labels = field(default_factory=lambda: NO_LABELS)  # autoscaling-options/ tags, lower case
    instances: tuple[Instance, ...] = ()
    suspended: frozenset[str] = frozenset()  # processes
    subnets: Mapping[Zone, str] = field(default_factory=dict)  # only where it is one per zone
    proven_missing: int = 0  # units of desired that an activity or the deadline proved not to come
    is_being_deleted: bool = False
    is_refreshing: bool = False  # an instance refresh is in progress
    can_be_protected: bool = True  # False: AWS denies us to protect its instances from scale-in
    is_explicit: bool = False  # named by --nodes: its bounds come from the flag
    faults: tuple[GroupFault, ...] = ()

    @property
    def live(self) -> Iterator[Instance]:
        return (instance for instance in self.instances if instance.is_live)

    @property
    def live_units(self) -> int:
        return sum(instance.weight for instance in self.live)

    @property
    def weight(self) -> int:
        """Units that one new node costs; the least, as the node is planned as the smallest type."""
        return min((shape.weight for shape in self.shapes), default=1)

    @property
    def rebalances(self) -> bool:
        """AWS may terminate instances here to even out zones, without a drain."""
        return len(self.zones) > 1 and "AZRebalance" not in self.suspended
