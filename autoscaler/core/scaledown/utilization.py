"""How full is a node, by the requests of its pods? cluster-autoscaler's measure.

The fuller of cpu and memory counts; of a node with GPUs the GPUs alone. Pods
that should be gone by now are left out, and so is air. Options in the tags of
a group replace the flags.
Source: kubernetes/autoscaler, pkg/simulator/utilization/info.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import NamedTuple, TypeVar

from autoscaler.core.duration import parse_duration
from autoscaler.core.model import Node, NodeGroup
from autoscaler.core.scaledown.drainability import IGNORED, Kinds
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


def measure(node: Node, policy: ScaleDownPolicy, kinds: Kinds) -> Utilization | None:
    """Return the utilization; None when the node does not say what it has."""
    found = [_share(node, policy, kinds, resource) for resource in resources_of(node)]
    known = [one for one in found if one is not None]
    return max(known, key=lambda one: one.share) if len(known) == len(found) else None


def _share(node: Node, policy: ScaleDownPolicy, kinds: Kinds, resource: str) -> Utilization | None:
    room, used = node.allocatable[resource], 0
    if room <= 0:
        return None
    for kind, pods in kinds:
        amount = kind.spec.requests[resource] * len(pods)
        if not amount or kind.is_air or pods[0].is_finished:
            continue
        if (policy.ignore_daemonsets and kind.is_of_daemonset) or (policy.ignore_mirror_pods and kind.is_mirror):
            room -= amount
        elif kind.ruling is not IGNORED or kind.is_mirror:
            used += amount
    return Utilization(used / room if room > 0 else 0.0 if not used else 1.0, resource)


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
