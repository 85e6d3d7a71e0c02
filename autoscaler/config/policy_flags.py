"""Flags on which a decision depends; `simulate` takes them as `run` does.

Names, meanings and defaults are cluster-autoscaler's, except where the help
names another reason. How the process runs stands in runtime_flags.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from autoscaler.config.declare import flag
from autoscaler.config.values import (
    Count,
    File,
    MinMax,
    Names,
    NodesSpec,
    Percentage,
    PositiveCount,
    PositiveSpan,
    Reads,
    Share,
    Span,
    Switch,
    Words,
    read_age,
    read_backoff,
    read_conditions,
    read_discovery,
    read_expanders,
    read_nodes,
    read_range,
)
from autoscaler.core.scaledown.policy import BadCondition

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NO_WORDS: tuple[str, ...] = ()
NO_NODES: tuple[NodesSpec, ...] = ()
NO_CONDITIONS: tuple[BadCondition, ...] = ()
NO_TAGS: Mapping[str, str | None] = {}

Range = Annotated[MinMax, Reads(read_range, "MIN:MAX")]


@dataclass(frozen=True, kw_only=True)
class GroupFlags:
    """Node groups."""

    node_group_auto_discovery: Annotated[
        Mapping[str, str | None], Reads(read_discovery, "asg:tag=KEY[=VALUE],...", repeatable=True)
    ] = flag(NO_TAGS, "groups that have every one of these tags, those of all occurrences together")
    nodes: Annotated[tuple[NodesSpec, ...], Reads(read_nodes, "MIN:MAX:NAME", repeatable=True)] = flag(
        NO_NODES, "a group by name, with limits that replace its own"
    )
    startup_taint: Words = flag(NO_WORDS, "taint key: a node is not ready while it is there; not part of a template")
    startup_taint_prefix: Words = flag(NO_WORDS, "the same by the beginning of the key")
    status_taint: Words = flag(NO_WORDS, "taint key that is not part of a template")
    force_ds: Switch = flag(False, "refuse groups that are too small for all their DaemonSet pods")
    aws_use_static_instance_list: Switch = flag(False, "use the packaged instance types, not ec2:DescribeInstanceTypes")
    reserved_profile: Literal["auto", "eks", "kops", "none"] = flag(
        "auto", "what the kubelet keeps for itself on a node of a group at zero; auto goes by the group's tags"
    )


@dataclass(frozen=True, kw_only=True)
class LimitFlags:
    """Limits."""

    max_nodes_total: Count = flag(0, "nodes of the whole cluster; 0 is no limit")
    cores_total: Range = flag(MinMax(0, 320_000), "cores of the whole cluster")
    memory_total: Range = flag(MinMax(0, 6_400_000), "memory of the whole cluster, in GiB")
    max_nodes_per_scaleup: PositiveCount = flag(1000, "nodes launched in one pass")
    max_launch_surplus: Count = flag(2, "nodes that a wave after a refusal may ask beyond the need; given back at once")


@dataclass(frozen=True, kw_only=True)
class ScaleUpFlags:
    """Scale-up."""

    expander: Annotated[tuple[str, ...], Reads(read_expanders, "NAME,...", repeatable=True)] = flag(
        ("priority",), "the priority ConfigMap counts whenever it exists; other names only reorder ties inside a tier"
    )
    balance_similar_node_groups: Switch = flag(True, "spread new nodes over the zones of similar groups")
    balancing_ignore_label: Words = flag(NO_WORDS, "label that does not make groups differ")
    balancing_label: Words = flag(NO_WORDS, "compare only these labels; excludes --balancing-ignore-label")
    expendable_pods_priority_cutoff: int = flag(-10, "pods of a lower priority are not waited for")
    new_pod_scale_up_delay: Span = flag(timedelta(0), "ignore pods younger than this")
    allowed_scheduler_names: Names = flag(NO_WORDS, "only pending pods of these schedulers count; empty: all")
    scheduler_config_file: File = flag(
        None, "KubeSchedulerConfiguration: what the cluster's schedulers add to, or leave out of, their filters"
    )
    bypassed_scheduler_names: Names = flag(NO_WORDS, "their pods are pending before the scheduler has marked them")
    capacity_backoff: Annotated[tuple[timedelta, timedelta], Reads(read_backoff, "FIRST[,FURTHER]")] = flag(
        (30 * SECOND, 60 * SECOND),
        "how long a pool without capacity is left alone, at first and after further refusals",
    )
    initial_node_group_backoff_duration: PositiveSpan = flag(5 * MINUTE, "first backoff after any other failure")
    max_node_group_backoff_duration: PositiveSpan = flag(30 * MINUTE, "longest backoff after any other failure")
    node_group_backoff_reset_timeout: Span = flag(3 * HOUR, "failures older than this are forgotten")
    max_node_provision_time: PositiveSpan = flag(15 * MINUTE, "time for an instance to become a Node")
    max_node_startup_time: PositiveSpan = flag(15 * MINUTE, "time for a Node to become Ready")
    launch_method: Literal["auto", "sync", "desired"] = flag(
        "auto", "sync is LaunchInstances, desired raises the desired capacity; auto goes by the group"
    )


@dataclass(frozen=True, kw_only=True)
class ScaleDownFlags:
    """Scale-down and return to spot."""

    scale_down_enabled: Switch = flag(True, "remove nodes at all")
    scale_down_unneeded_time: Span = flag(10 * MINUTE, "how long a ready node must be unneeded")
    scale_down_unready_enabled: Switch = flag(True, "remove unready nodes")
    scale_down_unready_time: Span = flag(20 * MINUTE, "how long an unready node must be unneeded")
    scale_down_utilization_threshold: Share = flag(0.5, "share of requests up to which a node may be unneeded")
    scale_down_gpu_utilization_threshold: Share = flag(0.5, "the same for nodes with GPUs")
    scale_down_delay_after_add: Span = flag(10 * MINUTE, "pause after a scale-up")
    scale_down_delay_after_delete: Span = flag(timedelta(0), "pause after a removal")
    scale_down_delay_after_failure: Span = flag(3 * MINUTE, "pause after a failed removal")
    scale_down_delay_type_local: Switch = flag(False, "these pauses hold for each group by itself")
    scale_down_simulation_timeout: PositiveSpan = flag(30 * SECOND, "time for looking for unneeded nodes")
    unremovable_node_recheck_timeout: Span = flag(5 * MINUTE, "pause after a failed drain of a node; it doubles")
    ignore_daemonsets_utilization: Switch = flag(False, "leave DaemonSet pods out of the utilization")
    ignore_mirror_pods_utilization: Switch = flag(False, "leave mirror pods out of the utilization")
    skip_nodes_with_custom_controller_pods: Switch = flag(True, "pods of unknown controllers keep their node")
    skip_nodes_with_local_storage: Switch = flag(True, "pods with local storage keep their node")
    skip_nodes_with_system_pods: Switch = flag(True, "kube-system pods without a PDB keep their node")
    blocking_system_pod_distruption_timeout: Span = flag(HOUR, "how long they keep it (misspelt by tradition)")
    min_replica_count: Count = flag(0, "pods of controllers with fewer replicas keep their node")
    max_scale_down_parallelism: PositiveCount = flag(10, "nodes removed at once")
    max_drain_parallelism: PositiveCount = flag(1, "nodes drained at once")
    max_total_unready_percentage: Percentage = flag(45, "no action while a larger part of the nodes is unready")
    ok_total_unready_count: Count = flag(3, "as many unready nodes are always accepted")
    on_demand_min_age: Annotated[timedelta | None, Reads(read_age, "DURATION|never")] = flag(
        2 * HOUR, "age from which an on-demand node is returned to spot"
    )
    drain_node_conditions: Annotated[
        tuple[BadCondition, ...], Reads(read_conditions, "TYPE[=STATUS[,DURATION]],...", repeatable=True)
    ] = flag(NO_CONDITIONS, "node conditions that have a node drained and replaced")
