"""The operator's wishes that a pass obeys: limits, tiers, cutoffs.

Read from flags and ConfigMaps by the edges; here they are values with the
meaning spelled out. What an application wishes for itself joins them later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from autoscaler.core.model import GroupName, LaunchMethod
from autoscaler.core.regex import RegexError, compile_go
from autoscaler.core.scaledown.policy import ScaleDownPolicy


class PolicyError(ValueError):
    """A wish that cannot be read; the message names it."""


def compile_regex(text: str) -> re.Pattern[str]:
    """Compile an expression in Go's syntax, as the priority ConfigMap holds it.

    Raises PolicyError for what Go's regexp package would refuse.
    """
    try:
        return compile_go(text)
    except RegexError as error:
        raise PolicyError(f"regex {text!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Tiers:
    """The priority expander's map: (priority, expressions), the highest priority first.

    Expressions are searched in the name, unanchored; a group that matches
    several integers has the highest.
    """

    entries: tuple[tuple[int, tuple[re.Pattern[str], ...]], ...] = ()

    @classmethod
    def read(cls, priorities: Mapping[int, Iterable[str]]) -> Tiers:
        """Compile the map. Raises PolicyError that names the priority and the expression."""
        entries = []
        for priority in sorted(priorities, reverse=True):
            try:
                entries.append((priority, tuple(compile_regex(text) for text in priorities[priority])))
            except PolicyError as error:
                raise PolicyError(f"priority {priority}: {error}") from None
        return cls(tuple(entries))

    def priority_of(self, group: GroupName) -> int | None:
        """Return the highest priority that the name matches; None when it matches nothing."""
        for priority, expressions in self.entries:
            if any(expression.search(group) for expression in expressions):
                return priority
        return None

    def assign(self, groups: Iterable[GroupName]) -> dict[GroupName, int | None]:
        """Give each group its tier; None leaves it out. Without any match all are one tier."""
        found = {group: self.priority_of(group) for group in groups}
        if all(priority is None for priority in found.values()):
            return dict.fromkeys(found, 0)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Flags that a pass obeys; defaults are the product's. Memory in bytes, cpu in cores."""

    expendable_cutoff: int = -10
    max_nodes_total: int = 0  # 0: no limit
    max_cores_total: int = 320_000
    max_memory_total: int = 6_400_000 * 2**30
    max_nodes_per_scaleup: int = 1000
    max_launch_surplus: int = 2
    new_pod_scale_up_delay: timedelta = timedelta(0)
    max_node_provision_time: timedelta = timedelta(minutes=15)
    max_node_startup_time: timedelta = timedelta(minutes=15)
    allowed_schedulers: frozenset[str] = frozenset()  # empty: all
    bypassed_schedulers: frozenset[str] = frozenset()
    expanders: tuple[str, ...] = ("priority",)
    balance_similar: bool = True
    balancing_ignore_labels: frozenset[str] = frozenset()
    balancing_labels: tuple[str, ...] = ()
    startup_taints: frozenset[str] = frozenset()
    startup_taint_prefixes: tuple[str, ...] = ()
    status_taints: frozenset[str] = frozenset()
    launch_method: LaunchMethod | None = None  # None: each group's own
    capacity_backoff: tuple[timedelta, timedelta] = (timedelta(seconds=30), timedelta(seconds=60))
    initial_group_backoff: timedelta = timedelta(minutes=5)
    max_group_backoff: timedelta = timedelta(minutes=30)
    group_backoff_reset: timedelta = timedelta(hours=3)
    force_daemonsets: bool = False
    await_scheduler: bool = True  # leave pods alone that the scheduler has not judged yet
    tiers: Tiers = field(default_factory=Tiers)
    scale_down: ScaleDownPolicy = field(default_factory=ScaleDownPolicy)
