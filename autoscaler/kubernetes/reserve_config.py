"""Headroom and floors, as the policy and the ConfigMap `priority-autoscaler-headroom` write them (DESIGN 7 and 8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from autoscaler.core.duration import parse_duration
from autoscaler.core.policy import PolicyError, compile_regex
from autoscaler.core.quantity import format_amount, parse_amount
from autoscaler.core.reserve import Floor, Headroom
from autoscaler.core.resources import Resources
from autoscaler.core.sizes import Count, Linear, Size, read_ladder, read_linear
from autoscaler.core.window import Window, parse_window
from autoscaler.kubernetes.policy_reader import PolicyReader
from autoscaler.kubernetes.yaml_text import YamlFault, load_document

CONFIG_MAP = "priority-autoscaler-headroom"
_SIZES = ("linear", "ladder", "replicas")
_HEADROOM = ("groups", "perZone", *_SIZES, "pod", "window")
_FLOOR = ("groups", "nodes", "window", "warmup")


def read_headroom(reader: PolicyReader, value: Any) -> tuple[Headroom, ...]:
    """Read the list `headroom` of the policy; faults are the reader's."""
    found = []
    for path, one in reader.rows(value, "headroom"):
        row = reader.mapping(one, path, _HEADROOM)
        size, requests = _size(reader, row, path), _pod(reader, row.get("pod"), f"{path}.pod")
        per_zone = row.get("perZone", False)
        if not isinstance(per_zone, bool):
            reader.fault(f"{path}.perZone", f"expected true or false, got {per_zone!r}")
        if size is None or requests is None or _is_endless(reader, size, requests, path):
            continue
        found.append(
            Headroom(
                name=path,
                size=size,
                requests=requests,
                groups=_groups(reader, row, path),
                per_zone=per_zone is True,
                window=_window(reader, row, path),
            )
        )
    return tuple(found)


def read_floors(reader: PolicyReader, value: Any) -> tuple[Floor, ...]:
    """Read the list `floors` of the policy; faults are the reader's."""
    found = []
    for path, one in reader.rows(value, "floors"):
        row = reader.mapping(one, path, _FLOOR)
        groups, nodes = _groups(reader, row, path), reader.value(f"{path}.nodes", row.get("nodes"), _count)
        window = _window(reader, row, path)
        warmup = reader.value(f"{path}.warmup", str(row.get("warmup", "0s")), _span)
        if "groups" not in row:
            reader.fault(f"{path}.groups", "is missing; .* means every group")
        if groups is not None and nodes is not None:
            floor = Floor(name=path, groups=groups, nodes=nodes, window=window, warmup=warmup or timedelta(0))
            found.append(floor)
    return tuple(found)


def parse_headroom(data: Mapping[str, str]) -> tuple[Headroom, ...]:
    """Read the data of the ConfigMap. Raises PolicyError that names every fault with its key."""
    reader = PolicyReader()
    row: dict[str, Any] = {key: data[key] for key in data if key in ("linear", "ladder")}
    for key in data:
        if key not in ("linear", "ladder", "pod"):
            reader.fault(key, "unknown; expected one of linear, ladder, pod")
    size = _size(reader, row, "")
    try:
        pod = load_document(data.get("pod", ""))
    except YamlFault as fault:
        reader.fault("pod", str(fault))
        pod = None
    else:
        pod = _pod(reader, pod, "pod")
    if size is not None and pod is not None:
        _is_endless(reader, size, pod, "linear")
    if reader.faults or size is None or pod is None:
        raise PolicyError("; ".join(reader.faults))
    return (Headroom(name="headroom", size=size, requests=pod),)


def _size(reader: PolicyReader, row: Mapping[str, Any], path: str) -> Size | None:
    given = [key for key in _SIZES if key in row]
    if len(given) != 1:
        reader.fault(path or "linear", f"expected exactly one of {', '.join(_SIZES if path else _SIZES[:2])}")
        return None
    (key,) = given
    where = f"{path}.{key}" if path else key
    if key == "replicas":
        number = reader.value(where, row[key], _count)
        return None if number is None else Count(number)
    if key == "linear":
        return reader.value(where, row[key], read_linear)
    return reader.value(where, row[key], read_ladder)


def _is_endless(reader: PolicyReader, size: Size, pod: Resources, path: str) -> bool:
    """Whether room for the cluster's cores brings more cores that want room, without end."""
    cores = size.cores_per_replica if isinstance(size, Linear) else 0.0
    if not cores or pod["cpu"] < cores * 1000 or (isinstance(size, Linear) and size.most):
        return False
    asked = format_amount("cpu", pod["cpu"])
    reader.fault(path, f"a pod of {asked} cpu for each {cores:g} cores grows with the nodes that it buys; set max")
    return True


def _pod(reader: PolicyReader, value: Any, path: str) -> Resources | None:
    """The shape of a placeholder: amounts by resource."""
    if not isinstance(value, dict) or not value:
        reader.fault(path, 'expected amounts such as {cpu: "1", memory: 2Gi}')
        return None
    amounts = {}
    for name, text in value.items():
        amount = reader.value(f"{path}.{name}", text, partial(_amount, str(name)))
        if amount is not None:
            amounts[str(name)] = amount
    return Resources(amounts) if len(amounts) == len(value) else None


def _amount(name: str, text: Any) -> int:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise PolicyError(f"expected an amount, got {text!r:.40}")
    amount = parse_amount(name, str(text))
    if amount <= 0:
        raise PolicyError(f"expected more than nothing, got {text}")
    return amount


def _groups(reader: PolicyReader, row: Mapping[str, Any], path: str) -> re.Pattern[str] | None:
    if "groups" not in row:
        return None
    return reader.value(f"{path}.groups", row["groups"], _regex)


def _regex(value: Any) -> re.Pattern[str]:
    if not isinstance(value, str) or not value:
        raise PolicyError(f"expected a regular expression, got {value!r:.40}")
    return compile_regex(value)


def _window(reader: PolicyReader, row: Mapping[str, Any], path: str) -> Window | None:
    if row.get("window") is None:
        return None
    return reader.value(f"{path}.window", str(row["window"]), parse_window)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PolicyError(f"expected a whole number that is not negative, got {value!r:.40}")
    return value


def _span(text: str) -> timedelta:
    span = parse_duration(text)
    if span < timedelta(0):
        raise PolicyError("expected a duration that is not negative")
    return span
