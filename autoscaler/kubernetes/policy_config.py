"""The ConfigMap `priority-autoscaler`, key `policy`: what has no flag of cluster-autoscaler.

The text becomes values here, or one PolicyError that names every fault with
its path. Keeping the last good one is the caller's business. Floors, headroom
and prices are checked for their form only, by whoever plans with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from autoscaler.core.policy import PolicyError
from autoscaler.core.scaledown.policy import Amount, DisruptionBudget, ScaleDownPolicy
from autoscaler.core.window import parse_window
from autoscaler.kubernetes.yaml_text import YamlFault, load_document

CONFIG_MAP = "priority-autoscaler"
KEY = "policy"
_PERCENTAGE = re.compile(r"(\d+)%")
_AMOUNTS = {"cluster": "cluster", "perGroup": "per_group", "perZone": "per_zone", "perNamespace": "per_namespace"}
_KNOWN = ("paused", "disruption", "floors", "headroom", "prices")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """The policy as read; `budget` None: the parallelism flags are the limit."""

    paused: bool = False
    budget: DisruptionBudget | None = None

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
class _Reader:
    faults: list[str] = field(default_factory=list)

    def read(self, document: Any) -> OperatorPolicy:
        if document is None:
            return OperatorPolicy()
        top = self._mapping(document, "policy", _KNOWN)
        for key in ("floors", "headroom"):
            if not isinstance(top.get(key) or [], list):
                self._fault(key, "expected a list")
        if not isinstance(top.get("prices") or {}, dict):
            self._fault("prices", "expected a mapping")
        paused = top.get("paused", False)
        if not isinstance(paused, bool):
            self._fault("paused", f"expected true or false, got {paused!r}")
        budget = self._budget(top["disruption"]) if top.get("disruption") is not None else None
        return OperatorPolicy(paused=paused is True, budget=budget)

    def _budget(self, value: Any) -> DisruptionBudget:
        row = self._mapping(value, "disruption", (*_AMOUNTS, "windows"))
        amounts = {
            name: self._value(f"disruption.{key}", row[key], _read_amount)
            for key, name in _AMOUNTS.items()
            if row.get(key) is not None
        }
        windows = row.get("windows") or []
        if not isinstance(windows, list):
            self._fault("disruption.windows", "expected a list of windows")
            windows = []
        read = [self._value(f"disruption.windows[{n}]", str(text), parse_window) for n, text in enumerate(windows)]
        return DisruptionBudget(**amounts, windows=tuple(window for window in read if window is not None))

    def _mapping(self, value: Any, path: str, known: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._fault(path, f"expected a mapping, got {value!r:.40}")
            return {}
        for key in value:
            if key not in known:
                inner = str(key) if path == "policy" else f"{path}.{key}"
                self._fault(inner, f"unknown; expected one of {', '.join(known)}")
        return value

    def _value(self, path: str, value: Any, read: Callable[[Any], T]) -> T | None:
        try:
            return read(value)
        except ValueError as error:
            self._fault(path, str(error))
            return None

    def _fault(self, path: str, fault: str) -> None:
        self.faults.append(f"{path}: {fault}")


def _read_amount(value: Any) -> Amount:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Amount(value)
    match = _PERCENTAGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and int(match[1]) <= 100:
        return Amount(int(match[1]), is_percentage=True)
    if isinstance(value, str) and value.strip().isdecimal():
        return Amount(int(value))
    raise ValueError(f"expected a count or a percentage up to 100%, got {value!r}")
