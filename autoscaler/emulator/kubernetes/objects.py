"""Reading API objects that may be malformed: whatever is absent or odd reads as empty.

Objects are plain JSON dictionaries and are never changed once stored; whoever
wants a change takes a copy from the store. Quantities are read here too: cpu
in millicores, the rest in base units, rounded up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # what odd objects make code raise

_UNITS = {
    "": Decimal(1), "m": Decimal("1e-3"), "u": Decimal("1e-6"), "n": Decimal("1e-9"),
    "k": Decimal("1e3"), "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"),
    "P": Decimal("1e15"), "E": Decimal("1e18"), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)([a-zA-Z]*)")


def section(obj: Any, *path: str) -> Json:
    """The dictionary at `path`, empty when there is none."""
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj if isinstance(obj, dict) else {}


def rows(obj: Any, *path: str) -> list[Json]:
    """The dictionaries in the list at `path`, empty when there is none."""
    found = section(obj, *path[:-1]).get(path[-1])
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def text(obj: Any, *path: str) -> str:
    """The text at `path`, empty when there is none."""
    found = section(obj, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def whole(obj: Any, *path: str, default: int = 0) -> int:
    """The integer at `path`, else `default`."""
    found = section(obj, *path[:-1]).get(path[-1])
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def labels(obj: Json) -> dict[str, str]:
    return section(obj, "metadata", "labels")


def uid(obj: Json) -> str:
    return text(obj, "metadata", "uid")


def controller_of(obj: Json) -> Json:
    """The owner reference of the controller, empty when there is none."""
    return next((owner for owner in rows(obj, "metadata", "ownerReferences") if owner.get("controller") is True), {})


def condition(obj: Json, name: str) -> Json:
    """The condition `name` of an object, empty when it has none."""
    return next((found for found in rows(obj, "status", "conditions") if found.get("type") == name), {})


def is_ready(obj: Json) -> bool:
    return condition(obj, "Ready").get("status") == "True"


def is_terminating(obj: Json) -> bool:
    return bool(text(obj, "metadata", "deletionTimestamp"))


def is_finished(pod: Json) -> bool:
    return text(pod, "status", "phase") in ("Succeeded", "Failed")


def is_active(pod: Json) -> bool:
    """Controllers count such pods as theirs: neither finished nor on their way out."""
    return not is_finished(pod) and not is_terminating(pod)


def set_condition(obj: Json, row: Json, at: str) -> None:
    """Put a condition into an own copy, keeping its transition time when its status stays."""
    status = obj["status"] = section(obj, "status")
    kept = [found for found in rows(obj, "status", "conditions") if found.get("type") != row["type"]]
    before = condition(obj, row["type"])
    same = before.get("status") == row["status"]
    kept.append({"lastTransitionTime": before.get("lastTransitionTime", at) if same else at, **row})
    status["conditions"] = kept


def amount(resource: str, value: Any) -> int:
    """A quantity as an integer (cpu in millicores), rounding up. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{value!r} is no quantity of {resource}")
    exact = Decimal(match[1]) * _UNITS[match[2]] * (1000 if resource == "cpu" else 1)
    rounded = int(exact)
    return rounded + 1 if exact > rounded else rounded


def amounts(table: Any) -> dict[str, int]:
    """A resource list as integers. Raises ValueError."""
    return {name: amount(name, value) for name, value in table.items()} if isinstance(table, dict) else {}


def containers(pod_spec: Json) -> Iterator[Json]:
    yield from rows(pod_spec, "containers")
    yield from rows(pod_spec, "initContainers")
