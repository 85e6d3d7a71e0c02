"""How nodes are drained, as the flags have it. Seconds throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from autoscaler.config import Config
from autoscaler.core.model import Pod

DEFAULT_GRACE = 30  # of a pod that names none, as in Kubernetes
HEADROOM = 30.0  # after the grace period, for the kubelet and the volumes; as in cluster-autoscaler
EVICT_DAEMONSET_POD = "cluster-autoscaler.kubernetes.io/enable-ds-eviction"


class Band(NamedTuple):
    """Pods from this priority up to the next band are evicted together, with this grace at most."""

    priority: int
    grace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """The flags of draining. With `bands`, DaemonSet pods are drained as all others."""

    cordons: bool = True
    delay_after_taint: float = 5.0
    eviction_patience: float = 120.0  # for one pod while nothing else moves
    max_grace: int = 600
    bands: tuple[Band, ...] = ()  # ascending
    evicts_daemonsets: bool = True  # of drained nodes
    evicts_daemonsets_of_empty: bool = False
    deletion_delay: float = 120.0  # longest wait for delay-deletion annotations
    end_patience: float = 60.0  # for AWS to accept the termination of an emptied node

    @classmethod
    def read(cls, config: Config) -> DrainSettings:
        """Take the settings from the flags."""
        return cls(
            cordons=config.cordon_node_before_terminating,
            delay_after_taint=config.node_delete_delay_after_taint.total_seconds(),
            eviction_patience=config.max_pod_eviction_time.total_seconds(),
            max_grace=config.max_graceful_termination_sec,
            bands=_read_bands(config.drain_priority_config),
            evicts_daemonsets=config.daemonset_eviction_for_occupied_nodes,
            evicts_daemonsets_of_empty=config.daemonset_eviction_for_empty_nodes,
            deletion_delay=config.node_deletion_delay_timeout.total_seconds(),
        )

    def band_of(self, pod: Pod) -> int:
        """Order of eviction: the pod's priority, or the lower end of its band; the lowest band takes the rest."""
        priority = pod.spec.priority
        if not self.bands:
            return priority
        return max((band.priority for band in self.bands if band.priority <= priority), default=self.bands[0].priority)

    def grace_of(self, pod: Pod) -> int:
        """The grace that a pod is given: its own, or the longest permitted if that is less."""
        own = DEFAULT_GRACE if pod.spec.grace_seconds is None else pod.spec.grace_seconds
        if not self.bands:
            return min(own, self.max_grace)
        lower_end = self.band_of(pod)
        return min(own, next(band.grace for band in self.bands if band.priority == lower_end))

    def evicts(self, pod: Pod, *, is_empty: bool) -> bool:
        """Tell whether a DaemonSet pod is asked to leave before its node goes."""
        wish = pod.annotations.get(EVICT_DAEMONSET_POD)
        if wish in ("true", "false"):
            return wish == "true"
        return self.evicts_daemonsets_of_empty if is_empty else self.evicts_daemonsets

    def longest(self, pods: int) -> float:
        """How long a drain of so many pods may take in all, if each needs all of its patience."""
        evictions = self.eviction_patience * max(pods, 1) + self.max_grace + HEADROOM
        return self.delay_after_taint + evictions + self.deletion_delay


def _read_bands(text: str) -> tuple[Band, ...]:
    pairs = [band.split(":") for band in text.split(",") if band]
    return tuple(sorted(Band(int(priority), int(grace)) for priority, grace in pairs))
