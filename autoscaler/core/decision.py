"""Decision, the one object that a pass produces, and the words it uses.

Events, metrics, logs, `explain` and tests read it; it renders nothing itself.
`Why` and `Cause` are closed vocabularies: add to them, never rename. Nothing
parses a `detail`; it is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from autoscaler.core.model import (
    GroupName,
    Instance,
    InstanceId,
    InstanceType,
    LaunchMethod,
    Market,
    NodeName,
    PodKey,
    Zone,
)
from autoscaler.core.scaledown.memory import ScaleDownMemory


class Why(StrEnum):
    """Why a group cannot or may not take a pod, a pod is left alone, a node is kept, or a place is not the best."""

    # the pod and a node of the group, after kube-scheduler's filters
    TOO_SMALL = "TooSmall"  # the pod exceeds an empty node of the group
    TAINT_NOT_TOLERATED = "TaintNotTolerated"
    NODE_SELECTOR_MISMATCH = "NodeSelectorMismatch"
    NODE_AFFINITY_MISMATCH = "NodeAffinityMismatch"
    HOST_PORT_TAKEN = "HostPortTaken"
    POD_AFFINITY = "PodAffinity"
    POD_ANTI_AFFINITY = "PodAntiAffinity"
    TOPOLOGY_SPREAD = "TopologySpread"
    VOLUME = "Volume"  # a claim that no node can serve now, or not this one
    VOLUME_NODE_AFFINITY = "VolumeNodeAffinity"  # the volume is not reachable from the node
    VOLUME_ZONE = "VolumeZone"  # by the zone or region label of an old volume
    VOLUME_LIMIT = "VolumeLimit"  # the node attaches no more volumes
    VOLUME_CAPACITY = "VolumeCapacity"  # the driver has no room for the volume there
    RESOURCE_CLAIM = "ResourceClaim"  # dynamic resource allocation: not simulated
    UNKNOWN_CONSTRAINT = "UnknownConstraint"  # a field or operator that we do not know
    ZONE_NOT_CHOSEN = "ZoneNotChosen"  # the pod needs a zone, but AWS would pick it

    # the group
    LOWER_TIER = "LowerTier"  # a group of a higher tier takes the pod
    NOT_IN_PRIORITIES = "NotInPriorities"  # the priority ConfigMap matches other groups only
    NOT_ALLOWED = "NotAllowed"  # an annotation of the application names other groups or the other market
    IN_BACKOFF = "InBackoff"  # InsufficientInstanceCapacity or another failure, not long ago
    MAX_SIZE_REACHED = "MaxSizeReached"
    LAUNCH_SUSPENDED = "LaunchSuspended"
    BEING_DELETED = "BeingDeleted"
    UNKNOWN_SHAPE = "UnknownShape"  # no node, no launch template and no tags to tell what a node looks like
    QUOTA_EXCEEDED = "QuotaExceeded"  # AWS refuses for a limit of the account
    NO_FREE_ADDRESSES = "NoFreeAddresses"
    UNSUPPORTED = "Unsupported"  # the zone does not offer the type
    MISCONFIGURED = "Misconfigured"  # AWS refuses the launch template or the permission

    # the cluster
    MAX_NODES_TOTAL = "MaxNodesTotal"
    MAX_NODES_PER_SCALE_UP = "MaxNodesPerScaleUp"  # the next pass goes on
    CORES_TOTAL = "CoresTotal"
    MEMORY_TOTAL = "MemoryTotal"

    # the pod alone
    GATED = "Gated"
    TERMINATING = "Terminating"
    DAEMONSET_POD = "DaemonSetPod"
    OTHER_SCHEDULER = "OtherScheduler"
    TOO_YOUNG = "TooYoung"  # pod-scale-up-delay; of a node: minimum age
    BELOW_CUTOFF = "BelowCutoff"
    NOT_YET_JUDGED = "NotYetJudged"  # by the scheduler, which may still find it a place

    # why a node stays: cluster-autoscaler's words
    SCALE_DOWN_DISABLED_ANNOTATION = "ScaleDownDisabledAnnotation"
    SCALE_DOWN_UNREADY_DISABLED = "ScaleDownUnreadyDisabled"
    NOT_AUTOSCALED = "NotAutoscaled"
    NOT_UNDERUTILIZED = "NotUnderutilized"
    NOT_UNNEEDED_LONG_ENOUGH = "NotUnneededLongEnough"
    NOT_UNREADY_LONG_ENOUGH = "NotUnreadyLongEnough"
    NOT_UNNEEDED_OTHER_REASON = "NotUnneededOtherReason"
    NODE_GROUP_MIN_SIZE_REACHED = "NodeGroupMinSizeReached"
    MINIMAL_RESOURCE_LIMIT_EXCEEDED = "MinimalResourceLimitExceeded"
    CURRENTLY_BEING_DELETED = "CurrentlyBeingDeleted"
    NO_PLACE_TO_MOVE_PODS = "NoPlaceToMovePods"
    UNEXPECTED_ERROR = "UnexpectedError"
    BLOCKED_BY_POD = "BlockedByPod"  # and, beside it, by which rule:
    CONTROLLER_NOT_FOUND = "ControllerNotFound"
    MIN_REPLICAS_REACHED = "MinReplicasReached"
    NOT_REPLICATED = "NotReplicated"
    LOCAL_STORAGE_REQUESTED = "LocalStorageRequested"
    NOT_SAFE_TO_EVICT_ANNOTATION = "NotSafeToEvictAnnotation"
    UNMOVABLE_KUBE_SYSTEM_POD = "UnmovableKubeSystemPod"
    NOT_ENOUGH_PDB = "NotEnoughPdb"
    BLOCKED_BY_ON_COMPLETION_POD = "BlockedByOnCompletionPod"

    # why a node stays: ours
    SCALE_DOWN_OFF = "ScaleDownOff"  # --scale-down-enabled=false
    FOREIGN_CORDON = "ForeignCordon"  # cordoned by somebody else, who has plans with it
    NOT_IN_SERVICE = "NotInService"  # its instance is in standby or in a warm pool
    INSTANCE_REFRESH = "InstanceRefresh"  # one is in progress in the group
    OPTED_OUT = "OptedOut"  # an application's annotation forbids it
    MARKET_UNKNOWN = "MarketUnknown"
    WAITING_FOR_REPLACEMENT = "WaitingForReplacement"
    COOLDOWN = "Cooldown"  # a delay after a launch, a removal or a failure
    RETRY_LATER = "RetryLater"  # an attempt on this node failed not long ago
    DISRUPTION_BUDGET = "DisruptionBudget"  # so many are going already
    OUTSIDE_WINDOW = "OutsideWindow"
    PAUSED = "Paused"
    PODS_COME_FIRST = "PodsComeFirst"  # nodes are on their way for pods of priority
    CLUSTER_UNHEALTHY = "ClusterUnhealthy"
    CAPACITY_REFUSED = "CapacityRefused"  # to pods of priority, by every tier that could host them, for minutes

    # what a pod would rather have, and does not get where it goes; never a reason against a place
    PREFERRED_NODE_AFFINITY = "PreferredNodeAffinity"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"  # a taint of the node that the pod does not tolerate
    PREFERRED_POD_AFFINITY = "PreferredPodAffinity"
    PREFERRED_POD_ANTI_AFFINITY = "PreferredPodAntiAffinity"
    SCHEDULE_ANYWAY = "ScheduleAnyway"  # a spread constraint that does not block


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason why; `detail` completes the sentence for people."""

    why: Why
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.why}: {self.detail}" if self.detail else str(self.why)


class Outcome(StrEnum):
    """What becomes of one pending pod in this pass."""

    LAUNCH = "launch"
    FITS_EXISTING = "fits-existing"
    FITS_UPCOMING = "fits-upcoming"
    WAITING = "waiting"  # an allowed group could host it, but not now
    UNSCHEDULABLE = "unschedulable"  # no group could
    EXPENDABLE = "expendable"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The fate of one pending pod.

    `group` is the chosen group, for `launch` only; it has no objections.
    `reasons` are those that concern the pod itself. `unmet` are the preferences
    of the pod that its place does not honour; they never decide the outcome.
    """

    outcome: Outcome
    group: GroupName | None = None
    node: NodeName | None = None  # the place found, for fits-existing
    objections: Mapping[GroupName, tuple[Objection, ...]] = field(default_factory=lambda: MappingProxyType({}))
    reasons: tuple[Objection, ...] = ()
    unmet: tuple[Objection, ...] = ()


class DrainCause(StrEnum):
    """Why a node goes, in order of precedence."""

    UNREADY = "Unready"
    EMPTY = "Empty"
    UNNEEDED = "Unneeded"
    RETURN_TO_SPOT = "ReturnToSpot"
    INTERRUPTION = "Interruption"


class Cause(StrEnum):
    """Why nodes are launched."""

    PENDING = "Pending"
    RETURN_TO_SPOT = "ReturnToSpot"
    HEADROOM = "Headroom"
    FLOOR = "Floor"
    INTERRUPTION = "Interruption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Nodes to be asked for from one offering.

    `units` is what the API counts (nodes times weight). `token` is equal for
    an equal wish in an equal world, so that a repeated call launches once.
    `pods` are those that caused it; surplus nodes of a wide wave have none.
    """

    group: GroupName
    zone: Zone | None
    count: int
    units: int
    cause: Cause = Cause.PENDING
    method: LaunchMethod = LaunchMethod.SYNC
    pods: tuple[PodKey, ...] = ()
    surplus: int = 0  # how many of `count` are more than is wanted
    token: str = ""


class RefusalKind(StrEnum):
    """What a refusal means for the next attempt."""

    NO_CAPACITY = "NoCapacity"  # the pool is dry
    CONTENTION = "Contention"  # again shortly; nothing is dry
    LIMIT = "Limit"  # a quota of the account: closes market and quota class in the region
    NO_ADDRESSES = "NoAddresses"  # the subnet is full
    UNSUPPORTED = "Unsupported"  # type and zone do not go together
    THROTTLED = "Throttled"  # retry with backoff
    CONFIGURATION = "Configuration"  # template or permission: group out, alarm
    NO_LAUNCH_API = "NoLaunchApi"  # LaunchInstances is unknown here or not permitted
    NO_ANSWER = "NoAnswer"  # timeout or lost connection: it may have happened
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One error of a launch; a field that AWS left out is None and stands for all."""

    kind: RefusalKind
    code: str
    detail: str = ""
    instance_type: InstanceType | None = None
    zone: Zone | None = None
    market: Market | None = None
    subnet: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchResult:
    """What one launch brought; `at` is when the answer came, `seconds` how long it took."""

    launch: Launch
    at: datetime
    launched: tuple[Instance, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An instance to be terminated outside any drain: it never held a pod of anybody."""

    group: GroupName
    instance: InstanceId
    decrement: bool
    reason: str  # Surplus | NoNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A node to be emptied and terminated; `pods` are those that need a new place."""

    node: NodeName
    cause: DrainCause
    pods: tuple[PodKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """What became of one wish for spare room, or of a floor: pods or nodes wanted, with room now, and bought.

    `objections` are the groups' reasons where some of it is not to be had.
    """

    name: str  # where the wish is written
    cause: Cause
    wanted: int
    present: int
    bought: int
    objections: Mapping[GroupName, tuple[Objection, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def missing(self) -> int:
        return self.wanted - self.present - self.bought


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one pass wants done, and why not otherwise.

    `verdicts` holds one entry for every pending pod. `undecided` says that the
    answer of this wave's launches decides about the pods left waiting.
    `next_at` is when the decision changes by itself: a delay or a deadline ends.
    `drains` come most urgent first; `kept` tells of every other node. `shunned`
    are the nodes that should carry the soft taint: they may go soon.
    `scale_down` is what the next pass has to remember. `spare` tells of
    headroom and floors, for which there is no pod to tell of.
    """

    at: datetime
    launches: tuple[Launch, ...] = ()
    verdicts: Mapping[PodKey, Verdict] = field(default_factory=lambda: MappingProxyType({}))
    removals: tuple[Removal, ...] = ()
    drains: tuple[Drain, ...] = ()
    kept: Mapping[NodeName, tuple[Objection, ...]] = field(default_factory=lambda: MappingProxyType({}))
    undecided: bool = False
    next_at: datetime | None = None
    shunned: tuple[NodeName, ...] = ()
    spare: tuple[Spare, ...] = ()
    scale_down: ScaleDownMemory | None = None
