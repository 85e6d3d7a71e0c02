"""The part of the Config that the core obeys, in the core's words and units."""

from autoscaler.config.config import Config
from autoscaler.core.model import LaunchMethod
from autoscaler.core.policy import Policy, Tiers
from autoscaler.core.scaledown.policy import ScaleDownPolicy

_GIB = 2**30


def to_policy(config: Config, tiers: Tiers) -> Policy:
    """Join the flags and the priority ConfigMap's tiers to one Policy."""
    return Policy(
        expendable_cutoff=config.expendable_pods_priority_cutoff,
        max_nodes_total=config.max_nodes_total,
        max_cores_total=config.cores_total.max,
        max_memory_total=config.memory_total.max * _GIB,
        max_nodes_per_scaleup=config.max_nodes_per_scaleup,
        max_launch_surplus=config.max_launch_surplus,
        new_pod_scale_up_delay=config.new_pod_scale_up_delay,
        max_node_provision_time=config.max_node_provision_time,
        max_node_startup_time=config.max_node_startup_time,
        allowed_schedulers=frozenset(config.allowed_scheduler_names),
        bypassed_schedulers=frozenset(config.bypassed_scheduler_names),
        expanders=config.expander,
        balance_similar=config.balance_similar_node_groups,
        balancing_ignore_labels=frozenset(config.balancing_ignore_label),
        balancing_labels=config.balancing_label,
        startup_taints=frozenset(config.startup_taint),
        startup_taint_prefixes=config.startup_taint_prefix,
        status_taints=frozenset(config.status_taint),
        launch_method=None if config.launch_method == "auto" else LaunchMethod(config.launch_method),
        capacity_backoff=config.capacity_backoff,
        initial_group_backoff=config.initial_node_group_backoff_duration,
        max_group_backoff=config.max_node_group_backoff_duration,
        group_backoff_reset=config.node_group_backoff_reset_timeout,
        force_daemonsets=config.force_ds,
        tiers=tiers,
        scale_down=_scale_down(config),
    )


def _scale_down(config: Config) -> ScaleDownPolicy:
    return ScaleDownPolicy(
        enabled=config.scale_down_enabled,
        unneeded_time=config.scale_down_unneeded_time,
        unready_enabled=config.scale_down_unready_enabled,
        unready_time=config.scale_down_unready_time,
        utilization_threshold=config.scale_down_utilization_threshold,
        gpu_utilization_threshold=config.scale_down_gpu_utilization_threshold,
        delay_after_add=config.scale_down_delay_after_add,
        delay_after_delete=config.scale_down_delay_after_delete,
        delay_after_failure=config.scale_down_delay_after_failure,
        delay_is_local=config.scale_down_delay_type_local,
        ignore_daemonsets=config.ignore_daemonsets_utilization,
        ignore_mirror_pods=config.ignore_mirror_pods_utilization,
        skip_custom_controllers=config.skip_nodes_with_custom_controller_pods,
        skip_local_storage=config.skip_nodes_with_local_storage,
        skip_system_pods=config.skip_nodes_with_system_pods,
        system_pods_block_for=config.blocking_system_pod_distruption_timeout,
        min_replica_count=config.min_replica_count,
        max_parallelism=config.max_scale_down_parallelism,
        max_drain_parallelism=config.max_drain_parallelism,
        max_unready_percentage=config.max_total_unready_percentage,
        ok_unready_count=config.ok_total_unready_count,
        min_cores_total=config.cores_total.min,
        min_memory_total=config.memory_total.min * _GIB,
        on_demand_min_age=config.on_demand_min_age,
        bad_conditions=config.drain_node_conditions,
        paused=config.paused,
    )
