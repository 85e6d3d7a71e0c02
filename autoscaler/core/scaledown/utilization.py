"""How full is a node, by the requests of its pods? cluster-autoscaler's measure.

The fuller of cpu and memory counts; of a node with GPUs the GPUs alone. Pods
that should be gone by now are left out, and so is air. Options in the tags of
a group replace the flags.
Source: kubernetes/autoscaler, pkg/simulator/utilization/info.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from typing import NamedTuple, TypeVar

from autoscaler.core.duration import parse_duration
from autoscaler.core.model import Node, NodeGroup, Pod
from autoscaler.core.scaledown.drainability import is_air, is_long_terminating
from autoscaler.core.scaledown.policy import ScaleDownPolicy

GPU = "nvidia.com/gpu"
GPU_LABEL = "k8s.amazonaws.com/accelerator"
T = TypeVar("T")


class Utilization(NamedTuple):
    """The highest share of a resource that is requested; `resource` is that one."""

    share: float
    resource: str

    def __str__(self) -> str:
        return f"{self.resource} {self.share:.0%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """What is counted, and at which time. `cutoff` is the priority below which pods are air."""

    policy: ScaleDownPolicy
    at: datetime
    cutoff: int

    def measure(self, node: Node, pods: Iterable[Pod]) -> Utilization | None:
        """Return the utilization; None when the node does not say what it has."""
        counted = [pod for pod in pods if not pod.is_finished and not is_air(pod, self.cutoff)]
        found = [self._share(node, counted, resource) for resource in resources_of(node)]
        known = [one for one in found if one is not None]
        return max(known, key=lambda one: one.share) if len(known) == len(found) else None

    def _share(self, node: Node, pods: Iterable[Pod], resource: str) -> Utilization | None:
        room, used = node.allocatable[resource], 0
        if room <= 0:
            return None
        for pod in pods:
            amount = pod.spec.requests[resource]
            if self._is_left_out(pod):
                room -= amount
            elif not is_long_terminating(pod, self.at):
                used += amount
        return Utilization(used / room if room > 0 else 0.0 if not used else 1.0, resource)

    def _is_left_out(self, pod: Pod) -> bool:
        policy = self.policy
        return (policy.ignore_daemonsets and pod.is_of_daemonset) or (policy.ignore_mirror_pods and pod.is_mirror)


def has_gpu(node: Node) -> bool:
    return GPU_LABEL in node.labels or node.allocatable[GPU] > 0


def resources_of(node: Node) -> tuple[str, ...]:
    """The resources that decide how full the node is."""
    return (GPU,) if has_gpu(node) else ("cpu", "memory")


def threshold(node: Node, policy: ScaleDownPolicy) -> float:
    return policy.gpu_utilization_threshold if has_gpu(node) else policy.utilization_threshold


def policy_of(group: NodeGroup, policy: ScaleDownPolicy) -> ScaleDownPolicy:
    """The flags as the group's tags change them; an option that does not parse counts as absent."""
    options = group.options
    if not options:
        return policy
    return replace(
        policy,
        utilization_threshold=_read(
            options.get("scaledownutilizationthreshold"), _read_share, policy.utilization_threshold
        ),
        gpu_utilization_threshold=_read(
            options.get("scaledowngpuutilizationthreshold"), _read_share, policy.gpu_utilization_threshold
        ),
        unneeded_time=_read(options.get("scaledownunneededtime"), parse_duration, policy.unneeded_time),
        unready_time=_read(options.get("scaledownunreadytime"), parse_duration, policy.unready_time),
        ignore_daemonsets=_read(options.get("ignoredaemonsetsutilization"), _read_bool, policy.ignore_daemonsets),
    )


def _read(text: str | None, read: Callable[[str], T], default: T) -> T:
    if text is None:
        return default
    try:
        return read(text)
    except ValueError:
        return default


def _read_share(text: str) -> float:
    """Raises ValueError."""
    share = float(text)
    if not isfinite(share):
        raise ValueError(text)
    return share


def _read_bool(text: str) -> bool:
    """As Go's strconv.ParseBool. Raises ValueError."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(text)
