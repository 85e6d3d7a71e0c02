"""Reads documents that people write: every fault is noted with its path, and the reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class PolicyReader:
    """Collects `faults`, each as `path: what is wrong`."""

    faults: list[str] = field(default_factory=list)

    def mapping(self, value: Any, path: str, known: tuple[str, ...]) -> Mapping[str, Any]:
        """A mapping with none but the known keys; `path` is empty for the whole document."""
        if not isinstance(value, dict):
            self.fault(path or "policy", f"expected a mapping, got {value!r:.40}")
            return {}
        for key in value:
            if key not in known:
                self.fault(f"{path}.{key}" if path else str(key), f"unknown; expected one of {', '.join(known)}")
        return value

    def rows(self, value: Any, path: str) -> list[tuple[str, Any]]:
        """The entries of a list, each with its own path."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(path, "expected a list")
            return []
        return [(f"{path}[{number}]", row) for number, row in enumerate(value)]

    def value(self, path: str, value: Any, read: Callable[[Any], T]) -> T | None:
        """What `read` makes of a value; None when it raises ValueError."""
        try:
            return read(value)
        except ValueError as error:
            self.fault(path, str(error))
            return None

    def fault(self, path: str, fault: str) -> None:
        self.faults.append(f"{path}: {fault}")
