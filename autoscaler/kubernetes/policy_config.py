"""The ConfigMap `priority-autoscaler`, key `policy`: what has no flag of cluster-autoscaler.

The text becomes values here, or one PolicyError that names every fault with
its path. Keeping the last good one is the caller's business. Prices are
checked for their form only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from autoscaler.core.policy import PolicyError
from autoscaler.core.reserve import Reserve
from autoscaler.core.scaledown.policy import Amount, DisruptionBudget, ScaleDownPolicy
from autoscaler.core.window import parse_window
from autoscaler.kubernetes.policy_reader import PolicyReader
from autoscaler.kubernetes.reserve_config import read_floors, read_headroom
from autoscaler.kubernetes.yaml_text import YamlFault, load_document

CONFIG_MAP = "priority-autoscaler"
KEY = "policy"
_PERCENTAGE = re.compile(r"(\d+)%")
_AMOUNTS = {"cluster": "cluster", "perGroup": "per_group", "perZone": "per_zone", "perNamespace": "per_namespace"}
_KNOWN = ("paused", "disruption", "floors", "headroom", "prices")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """The policy as read; `budget` None: the parallelism flags are the limit."""

    paused: bool = False
    budget: DisruptionBudget | None = None
    reserve: Reserve = field(default_factory=Reserve)

    def join(self, flags: ScaleDownPolicy) -> ScaleDownPolicy:
        """The flags with this policy; either may pause."""
        return replace(flags, paused=flags.paused or self.paused, budget=self.budget)


def parse_policy(text: str) -> OperatorPolicy:
    """Read the policy. Raises PolicyError with all faults, each with its path."""
    try:
        document = load_document(text)
    except YamlFault as fault:
        raise PolicyError(str(fault)) from None
    reader = _Reader()
    policy = reader.read(document)
    if reader.faults:
        raise PolicyError("; ".join(reader.faults))
    return policy


@dataclass(slots=True)
class _Reader(PolicyReader):
    """Reads the whole policy."""

    def read(self, document: Any) -> OperatorPolicy:
        if document is None:
            return OperatorPolicy()
        top = self.mapping(document, "", _KNOWN)
        if not isinstance(top.get("prices") or {}, dict):
            self.fault("prices", "expected a mapping")
        paused = top.get("paused", False)
        if not isinstance(paused, bool):
            self.fault("paused", f"expected true or false, got {paused!r}")
        budget = self._budget(top["disruption"]) if top.get("disruption") is not None else None
        reserve = Reserve(
            headroom=read_headroom(self, top.get("headroom")), floors=read_floors(self, top.get("floors"))
        )
        return OperatorPolicy(paused=paused is True, budget=budget, reserve=reserve)

    def _budget(self, value: Any) -> DisruptionBudget:
        row = self.mapping(value, "disruption", (*_AMOUNTS, "windows"))
        amounts = {
            name: self.value(f"disruption.{key}", row[key], _read_amount)
            for key, name in _AMOUNTS.items()
            if row.get(key) is not None
        }
        rows = self.rows(row.get("windows"), "disruption.windows")
        read = [self.value(path, str(text), parse_window) for path, text in rows]
        return DisruptionBudget(**amounts, windows=tuple(window for window in read if window is not None))


def _read_amount(value: Any) -> Amount:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Amount(value)
    match = _PERCENTAGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and int(match[1]) <= 100:
        return Amount(int(match[1]), is_percentage=True)
    if isinstance(value, str) and value.strip().isdecimal():
        return Amount(int(value))
    raise ValueError(f"expected a count or a percentage up to 100%, got {value!r}")
