"""Every series that the product publishes, in one list.

The registry, docs/metrics.md and the tests are made from it. Names and
meanings are cluster-autoscaler's where they are equal
(`cluster_autoscaler_*`), else ours (`priority_autoscaler_*`). A label value
comes from a closed set or is the name of a node group; never a pod, a node
or a zone, so that 100 groups stay below 2,500 series.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from autoscaler.core.decision import DrainCause, Outcome, RefusalKind, Why
from autoscaler.core.model import LaunchMethod, Market
from autoscaler.core.scaledown.outcome import Ending

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Label:
    """A label: its closed set of values, or None for names of node groups."""

    name: str
    values: tuple[str, ...] | None

    def accept(self, value: str) -> str:
        """Return the value, or `other` when it is not one of the set."""
        return value if self.values is None or value in self.values else OTHER


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One family; `name` is what a scrape shows. Each is equal to itself alone."""

    kind: ClassVar[str]
    name: str
    help: str
    labels: tuple[Label, ...] = ()
    per_group: bool = False  # only with --emit-per-nodegroup-metrics


class Count(Series):
    """Only grows."""

    kind = "counter"


class Level(Series):
    """A value of now."""

    kind = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spread(Series):
    """A distribution over fixed buckets, upper bounds ascending."""

    kind = "histogram"
    buckets: tuple[float, ...]


def _label(name: str, values: Iterable[str]) -> Label:
    return Label(name, tuple(str(value) for value in values))


_NODE_GROUP = Label("node_group", None)
_MARKET = _label("market", Market)
_DIRECTION = _label("direction", ("minimum", "maximum"))
_GPU = _label("gpu_resource_name", ("", "nvidia.com/gpu", "amd.com/gpu", "aws.amazon.com/neuron", "habana.ai/gaudi"))
_FAILURE = _label("reason", ("placeholder-cannot-be-fulfilled", "cloudProviderError", "apiCallError", "timeout"))
_CAUSE = _label("cause", DrainCause)
_WHYS = tuple(Why)
_FIRST_OF_NODES = _WHYS.index(Why.SCALE_DOWN_DISABLED_ANNOTATION)
_FIRST_OF_PREFERENCES = _WHYS.index(Why.PREFERRED_NODE_AFFINITY)
_WHY_NOT_POD = _label("reason", _WHYS[:_FIRST_OF_NODES])
GATES = (Why.PAUSED, Why.OUTSIDE_WINDOW, Why.CLUSTER_UNHEALTHY, Why.CAPACITY_REFUSED, Why.PODS_COME_FIRST)
_WHY_KEPT = _label("reason", (Why.TOO_YOUNG, *_WHYS[_FIRST_OF_NODES:_FIRST_OF_PREFERENCES]))
_WHY_NOT_BEST = _label("reason", _WHYS[_FIRST_OF_PREFERENCES:])
_API = _label("api", ("aws", "kubernetes"))
_OBJECT = _label(
    "kind",
    ("Pod", "Node", "DaemonSet", "Namespace", "PriorityClass", "ConfigMap", "ReplicaSet", "ReplicationController",
     "Deployment", "StatefulSet", "Job", "CronJob", "PodDisruptionBudget", "NodeGroup"),
)  # fmt: skip
_ENDPOINT = _label(
    "endpoint",
    ("DescribeAutoScalingGroups", "DescribeAutoScalingInstances", "DescribeScalingActivities",
     "DescribeLaunchTemplateVersions", "DescribeInstanceTypes", "DescribeInstances", "DescribeNodegroup",
     "GetInstanceTypesFromInstanceRequirements", "LaunchInstances", "SetDesiredCapacity", "SetInstanceProtection",
     "TerminateInstanceInAutoScalingGroup"),
)  # fmt: skip
_LAUNCH_RESULT = _label("result", ("launched", "requested", "partial", "refused"))
_ERROR = _label("error", ("", *RefusalKind))

_FROM_10_MS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0,
               20.0, 30.0, 60.0, 120.0, 300.0, 900.0)  # fmt: skip
_CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PHASE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_FUNCTION = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

# cluster-autoscaler's
SAFE_TO_AUTOSCALE = Level(
    name="cluster_autoscaler_cluster_safe_to_autoscale",
    help="1 while the cluster is seen whole and healthy enough to act in it",
)
NODES = Level(
    name="cluster_autoscaler_nodes_count",
    help="Nodes by state; unregistered ones are instances without a Node",
    labels=(_label("state", ("ready", "unready", "notStarted", "unregistered", "longUnregistered")),),
)
NODE_GROUPS = Level(
    name="cluster_autoscaler_node_groups_count",
    help="Node groups that are managed",
    labels=(_label("node_group_type", ("autoscaled",)),),
)
UNSCHEDULABLE_PODS = Level(
    name="cluster_autoscaler_unschedulable_pods_count",
    help="Pending pods with no place on an existing or upcoming node, and those that the scheduler has not judged yet",
    labels=(_label("type", ("unschedulable", "scheduler_unprocessed")),),
)
MAX_NODES = Level(
    name="cluster_autoscaler_max_nodes_count", help="The least of --max-nodes-total and the sum of the groups' maxima"
)
CORES = Level(name="cluster_autoscaler_cluster_cpu_current_cores", help="Cores of all nodes")
CORES_LIMITS = Level(name="cluster_autoscaler_cpu_limits_cores", help="--cores-total", labels=(_DIRECTION,))
MEMORY = Level(name="cluster_autoscaler_cluster_memory_current_bytes", help="Memory of all nodes, in bytes")
MEMORY_LIMITS = Level(
    name="cluster_autoscaler_memory_limits_bytes", help="--memory-total, in bytes", labels=(_DIRECTION,)
)
GROUP_MIN = Level(
    name="cluster_autoscaler_node_group_min_count", help="Minimum size", labels=(_NODE_GROUP,), per_group=True
)
GROUP_MAX = Level(
    name="cluster_autoscaler_node_group_max_count", help="Maximum size", labels=(_NODE_GROUP,), per_group=True
)
GROUP_TARGET = Level(
    name="cluster_autoscaler_node_group_target_count", help="Desired size", labels=(_NODE_GROUP,), per_group=True
)
GROUP_HEALTHY = Level(
    name="cluster_autoscaler_node_group_healthiness",
    help="1 while the group can launch at all: known shape, not suspended, not being deleted",
    labels=(_NODE_GROUP,),
    per_group=True,
)
GROUP_BACKOFF = Level(
    name="cluster_autoscaler_node_group_backoff_status",
    help="1 while the whole group, in all of its zones, is left alone after a refusal",
    labels=(_NODE_GROUP,),
    per_group=True,
)
LAST_ACTIVITY = Level(
    name="cluster_autoscaler_last_activity",
    help="Unix time at which the activity last happened",
    labels=(_label("activity", ("main", "mainSuccessful", "autoscaling", "scaleUp")),),
)
FUNCTION_SECONDS = Spread(
    name="cluster_autoscaler_function_duration_seconds",
    help="Time taken by a part of the loop",
    labels=(_label("function", ("main", "cloudProviderRefresh", "updateClusterState", "scaleUp", "poll")),),
    buckets=_FUNCTION,
)
ERRORS = Count(
    name="cluster_autoscaler_errors_total",
    help="Failed passes",
    labels=(_label("type", ("cloudProviderError", "apiCallError", "configurationError", "internalError")),),
)
SCALED_UP_NODES = Count(
    name="cluster_autoscaler_scaled_up_nodes_total", help="Nodes added, as answered by AWS", labels=(_GPU,)
)
FAILED_SCALE_UPS = Count(
    name="cluster_autoscaler_failed_scale_ups_total",
    help="Launches that brought less than was asked; no capacity is placeholder-cannot-be-fulfilled",
    labels=(_FAILURE, _GPU),
)
FAILED_NODES = Count(
    name="cluster_autoscaler_failed_node_creations_total", help="Nodes asked for that did not come", labels=(_FAILURE,)
)
UNREGISTERED_REMOVED = Count(
    name="cluster_autoscaler_old_unregistered_nodes_removed_count",
    help="Instances terminated because they did not become a Node in time",
)
SKIPPED_SCALE_UPS = Count(
    name="cluster_autoscaler_skipped_scale_events_count",
    help="Passes in which a limit of the cluster kept a pod waiting",
    labels=(
        _label("direction", ("up",)),
        _label("reason", ("CpuResourceLimit", "MemoryResourceLimit")),
    ),
)
SCALED_DOWN_NODES = Count(
    name="cluster_autoscaler_scaled_down_nodes_total",
    help="Nodes removed after a drain, or empty ones",
    labels=(_label("reason", ("underutilized", "empty", "unready", "returnToSpot", "interruption")), _GPU),
)
EVICTED_PODS = Count(
    name="cluster_autoscaler_evicted_pods_total",
    help="Pods that the Eviction API let go, and those given up",
    labels=(_label("eviction_result", ("succeeded", "failed")),),
)
PENDING_DELETIONS = Level(
    name="cluster_autoscaler_pending_node_deletions", help="Nodes being drained, and those whose instance is going"
)
UNNEEDED_NODES = Level(name="cluster_autoscaler_unneeded_nodes_count", help="Nodes that are not needed now")
UNREMOVABLE_NODES = Level(
    name="cluster_autoscaler_unremovable_nodes_count",
    help="Nodes that stay, by each reason that the last pass gave",
    labels=(_WHY_KEPT,),
)
IN_COOLDOWN = Level(
    name="cluster_autoscaler_scale_down_in_cooldown", help="1 while a delay after a launch, removal or failure holds"
)
AWS_SECONDS = Spread(
    name="cluster_autoscaler_aws_request_duration_seconds",
    help="Time taken by AWS API calls",
    labels=(_ENDPOINT, _label("status", ("success", "error", "throttled", "timeout"))),
    buckets=_CALL,
)

# only ours
UNSCHEDULABLE_TO_LAUNCH = Spread(
    name="priority_autoscaler_unschedulable_to_launch_seconds",
    help="From a pod's Unschedulable condition, which Kubernetes stamps in whole seconds, to the first launch request",
    buckets=_FROM_10_MS,
)
WAKE_TO_LAUNCH = Spread(
    name="priority_autoscaler_wake_to_launch_seconds",
    help="From the change that woke a pass to its first launch request",
    buckets=_FROM_10_MS,
)
LAUNCH_CALLS = Count(
    name="priority_autoscaler_launch_calls_total",
    help="Launch calls by answer; error is the class of the first refusal, empty without one",
    labels=(_NODE_GROUP, _LAUNCH_RESULT, _ERROR),
)
LAUNCH_SECONDS = Spread(
    name="priority_autoscaler_launch_call_seconds",
    help="Time until a launch call was answered",
    labels=(_label("method", LaunchMethod),),
    buckets=_CALL,
)
LAUNCHED_NODES = Count(
    name="priority_autoscaler_launched_nodes_total", help="Nodes added, by market", labels=(_MARKET,)
)
DRY_POOLS = Level(
    name="priority_autoscaler_dry_pools",
    help="Capacity pools (instance type, zone, market) that refused and are left alone",
    labels=(_MARKET,),
)
FALLBACK_DEPTH = Spread(
    name="priority_autoscaler_fallback_depth_tiers",
    help="How many tiers below the highest one a launch that brought nodes was",
    buckets=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0),
)
PASS_WAVES = Spread(
    name="priority_autoscaler_pass_waves",
    help="Waves of launches in a pass that launched",
    buckets=(1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 25.0, 50.0),
)
PHASE_SECONDS = Spread(
    name="priority_autoscaler_pass_phase_seconds",
    help="Time taken by each phase of a pass",
    labels=(_label("phase", ("observe", "plan", "act", "publish")),),
    buckets=_PHASE,
)
PASSES = Count(
    name="priority_autoscaler_passes_total",
    help="Passes by result; not-ready and unchanged ones decided nothing",
    labels=(_label("result", ("done", "failed", "not-ready", "unchanged")),),
)
API_CALLS = Count(
    name="priority_autoscaler_api_calls_total",
    help="API calls by result; a refusal for capacity is an answer",
    labels=(_API, _label("result", ("answered", "error", "throttled", "timeout"))),
)
API_THROTTLES = Count(
    name="priority_autoscaler_api_throttles_total",
    help="Calls delayed by our own rate limit (client) or refused by theirs (server)",
    labels=(_API, _label("side", ("client", "server"))),
)
CACHE_OBJECTS = Level(name="priority_autoscaler_cache_objects", help="Objects in the cache", labels=(_OBJECT,))
CACHE_AGE = Level(
    name="priority_autoscaler_cache_age_seconds",
    help="Time since the cache was last known to be current",
    labels=(_OBJECT,),
)
MALFORMED_OBJECTS = Count(
    name="priority_autoscaler_malformed_objects_total", help="Objects that could not be read", labels=(_OBJECT,)
)
CONFIG_FAULTS = Count(
    name="priority_autoscaler_config_faults_total",
    help="Configuration that could not be used; the last good one stays",
    labels=(_label("kind", ("priorities", "policy", "headroom", "annotation", "tag", "node-group")),),
)
PODS = Level(
    name="priority_autoscaler_pods",
    help="Pending pods by what the last pass decided for them",
    labels=(_label("outcome", Outcome),),
)
SPARE_ROOM = Level(
    name="priority_autoscaler_spare_room",
    help="Headroom (pods) and floors (nodes): what the last pass wanted, had, bought, and could not have",
    labels=(_label("cause", ("Headroom", "Floor")), _label("state", ("wanted", "present", "bought", "missing"))),
)
OBJECTIONS = Level(
    name="priority_autoscaler_objections",
    help="Pods not served by the last pass, by each reason that a group or the pod itself gave",
    labels=(_WHY_NOT_POD,),
)
UNMET_PREFERENCES = Level(
    name="priority_autoscaler_unmet_preferences",
    help="Pods given a place by the last pass, by each preference of theirs that the place does not honour",
    labels=(_WHY_NOT_BEST,),
)
UPCOMING_NODES = Level(
    name="priority_autoscaler_upcoming_nodes", help="Instances of groups, live in AWS, that are not a Ready node yet"
)
SURPLUS_RETURNED = Count(
    name="priority_autoscaler_surplus_nodes_returned_total",
    help="Nodes that a wide wave brought beyond the need, given back at once",
)
DRAINS = Count(
    name="priority_autoscaler_drains_total",
    help="Drains by cause and by how they ended; called off and failed ones are undone",
    labels=(_CAUSE, _label("result", Ending)),
)
DRAIN_SECONDS = Spread(
    name="priority_autoscaler_drain_seconds",
    help="From the marks on a node to the end of its instance",
    labels=(_CAUSE,),
    buckets=(1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0),
)
CLOSED_GATES = Level(
    name="priority_autoscaler_closed_gates",
    help="1 for each gate that keeps nodes from being removed now",
    labels=(_label("gate", GATES),),
)
NODE_SECONDS = Count(
    name="priority_autoscaler_node_seconds_total",
    help="Time for which nodes of our groups existed, summed up, by market",
    labels=(_MARKET,),
)
EVENTS = Count(
    name="priority_autoscaler_events_total",
    help="Kubernetes events; repeated ones within five minutes are left out, dropped ones could not be written",
    labels=(_label("result", ("sent", "repeated", "dropped")),),
)
STATUS_WRITES = Count(
    name="priority_autoscaler_status_writes_total",
    help="Writes of the status ConfigMap; a failed one stops nothing",
    labels=(_label("result", ("written", "failed")),),
)
DRY_RUN = Level(name="priority_autoscaler_dry_run", help="1 when nothing is written")
BUILD_INFO = Level(
    name="priority_autoscaler_build_info",
    help="1; the labels tell the version",
    labels=(Label("version", None), Label("python", None)),
)

SERIES: tuple[Series, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Series))
