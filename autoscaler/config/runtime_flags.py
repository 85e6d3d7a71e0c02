"""Flags for how the process runs: where it acts, how fast, what it tells.

Nothing here changes what a pass decides from the same snapshot; that stands in
policy_flags.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from autoscaler.config.declare import flag
from autoscaler.config.policy_flags import MINUTE, SECOND
from autoscaler.config.values import (
    Count,
    File,
    PositiveCount,
    PositiveSpan,
    Rate,
    Reads,
    Span,
    Switch,
    read_address,
    read_bands,
)

MILLISECOND = timedelta(milliseconds=1)
NO_FILE: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ModeFlags:
    """What it may do."""

    config: File = flag(NO_FILE, "YAML file of flag names and values; the environment and the command line win over it")
    mode: Literal["controller", "sidecar"] = flag("controller", "controller; sidecar is not part of this version")
    dry_run: Switch = flag(False, "decide and tell, write nothing")
    paused: Switch = flag(False, "no voluntary action")
    protect_instances: Literal["auto", "never", "always"] = flag(
        "auto",
        "protect our nodes from the ASG's own scale-in; auto: where AZRebalance would act, or desired is written",
    )


@dataclass(frozen=True, kw_only=True)
class PaceFlags:
    """Pace."""

    scan_interval: PositiveSpan = flag(10 * SECOND, "longest pause between two passes")
    batch_idle: Span = flag(100 * MILLISECOND, "a burst of changes is over after so much silence")
    batch_max: Span = flag(250 * MILLISECOND, "a burst of changes is waited for no longer than this")
    max_failing_time: PositiveSpan = flag(15 * MINUTE, "health check: oldest successful pass")
    max_inactivity: PositiveSpan = flag(10 * MINUTE, "health check: oldest sign of life")
    max_startup_time: PositiveSpan = flag(20 * MINUTE, "health check: time until the first successful pass")


@dataclass(frozen=True, kw_only=True)
class ClusterFlags:
    """Kubernetes."""

    kubeconfig: str = flag("", "kubeconfig file; empty: in the cluster")
    kubernetes: str = flag("", "address of the API server; empty: as configured")
    kube_client_qps: Rate = flag(50.0, "requests a second")
    kube_client_burst: PositiveCount = flag(100, "requests at once")
    namespace: str = flag("kube-system", "where the ConfigMaps and the lease live")
    write_status_configmap: Switch = flag(True, "keep the status ConfigMap")
    status_config_map_name: str = flag(
        "cluster-autoscaler-status",
        "ConfigMap for the status, in cluster-autoscaler's layout, and for events",
    )
    record_duplicated_events: Switch = flag(False, "write equal events again within five minutes")
    leader_elect: Switch = flag(True, "hold a lease before acting")
    leader_elect_lease_duration: PositiveSpan = flag(15 * SECOND, "how long others wait for a silent leader")
    leader_elect_renew_deadline: PositiveSpan = flag(10 * SECOND, "how long the leader tries to renew")
    leader_elect_retry_period: PositiveSpan = flag(2 * SECOND, "pause between tries")
    leader_elect_resource_lock: Literal["leases"] = flag("leases", "kind of lock")
    leader_elect_resource_name: str = flag(
        "cluster-autoscaler", "name of the lease; the same as cluster-autoscaler's, so that only one of them acts"
    )


@dataclass(frozen=True, kw_only=True)
class DrainFlags:
    """Draining."""

    cordon_node_before_terminating: Switch = flag(True, "cordon a node before it is removed")
    daemonset_eviction_for_empty_nodes: Switch = flag(False, "evict DaemonSet pods of empty nodes")
    daemonset_eviction_for_occupied_nodes: Switch = flag(True, "evict DaemonSet pods of drained nodes")
    drain_priority_config: Annotated[str, Reads(read_bands, "PRIORITY:SECONDS,...")] = flag(
        "", "drain by bands of priority, each with its own grace"
    )
    max_graceful_termination_sec: Count = flag(600, "longest grace of a pod that is waited for, in seconds")
    max_pod_eviction_time: Span = flag(2 * MINUTE, "how long an eviction is tried again")
    node_delete_delay_after_taint: Span = flag(5 * SECOND, "pause between taint and removal")
    node_deletion_delay_timeout: Span = flag(2 * MINUTE, "longest wait for delay-deletion annotations")
    node_deletion_candidate_ttl: Span = flag(timedelta(0), "soft taints younger than this keep their unneeded time")
    max_bulk_soft_taint_count: Count = flag(10, "soft taints written in one pass; 0 writes none")
    max_bulk_soft_taint_time: Span = flag(3 * SECOND, "time for them")


@dataclass(frozen=True, kw_only=True)
class AwsFlags:
    """AWS."""

    cloud_provider: Literal["aws"] = flag("aws", "the only one")
    cloud_config: File = flag(NO_FILE, "file with [ServiceOverride] sections: other endpoints than AWS's own")
    aws_region: str = flag("", "region; empty: as the AWS SDK finds it")
    aws_refresh_interval: PositiveSpan = flag(60 * SECOND, "how often the groups are read again")


@dataclass(frozen=True, kw_only=True)
class TellingFlags:
    """Logs and metrics."""

    address: Annotated[str, Reads(read_address, "[HOST]:PORT")] = flag(
        ":8085", "where metrics, health and the status page are served"
    )
    emit_per_nodegroup_metrics: Switch = flag(False, "publish metrics for each group")
    verbosity: Count = flag(0, "log level; 4 and above tell each step", name="v")
    logging_format: Literal["text", "json"] = flag("text", "format of the log on standard error")
