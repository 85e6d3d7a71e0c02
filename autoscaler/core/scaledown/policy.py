"""The operator's wishes for scale-down and the return to spot.

Names and defaults are cluster-autoscaler's flags, except the disruption
budget, which has none there (ConfigMap `priority-autoscaler`, key `policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from autoscaler.core.duration import format_duration
from autoscaler.core.window import Window


class Amount(NamedTuple):
    """A number of nodes or pods, or a percentage of those there are."""

    value: int
    is_percentage: bool = False

    def of(self, total: int) -> int:
        """The number; a percentage rounds up."""
        return -(-total * self.value // 100) if self.is_percentage else self.value

    def __str__(self) -> str:
        return f"{self.value}%" if self.is_percentage else str(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisruptionBudget:
    """What all voluntary causes together may take away at once; None: no limit of that kind."""

    cluster: Amount | None = None  # nodes
    per_group: Amount | None = None  # nodes
    per_zone: Amount | None = None  # nodes
    per_namespace: Amount | None = None  # pods
    windows: tuple[Window, ...] = ()  # voluntary only inside one of them; none: always


@dataclass(frozen=True, slots=True)
class BadCondition:
    """A node condition that has a node drained once it has held for `lasts`."""

    type: str
    status: str = "True"
    lasts: timedelta = timedelta(0)

    def __str__(self) -> str:
        return f"{self.type}={self.status},{format_duration(self.lasts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleDownPolicy:
    """Flags that scale-down obeys. Memory in bytes, cpu in cores."""

    enabled: bool = True
    unneeded_time: timedelta = timedelta(minutes=10)
    unready_enabled: bool = True
    unready_time: timedelta = timedelta(minutes=20)
    utilization_threshold: float = 0.5
    gpu_utilization_threshold: float = 0.5
    delay_after_add: timedelta = timedelta(minutes=10)
    delay_after_delete: timedelta = timedelta(0)
    delay_after_failure: timedelta = timedelta(minutes=3)
    delay_is_local: bool = False  # the delays hold for each group by itself
    ignore_daemonsets: bool = False  # in the utilization
    ignore_mirror_pods: bool = False
    skip_custom_controllers: bool = True
    skip_local_storage: bool = True
    skip_system_pods: bool = True
    system_pods_block_for: timedelta = timedelta(hours=1)
    min_replica_count: int = 0
    max_parallelism: int = 10
    max_drain_parallelism: int = 1
    max_unready_percentage: float = 45.0
    ok_unready_count: int = 3
    min_cores_total: int = 0
    min_memory_total: int = 0
    on_demand_min_age: timedelta | None = timedelta(hours=2)  # None: never
    bad_conditions: tuple[BadCondition, ...] = ()
    paused: bool = False
    budget: DisruptionBudget | None = None  # None: the two parallelism limits alone
