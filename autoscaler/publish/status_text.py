"""The text of `cluster-autoscaler-status`: the YAML that cluster-autoscaler 1.30 and newer write.

Keys in alphabetical order, times in whole seconds and quoted, but `time` as
Go prints it; what is zero or empty is left out where theirs leaves it out.
Source: cluster-autoscaler, clusterstate/api/types.go and clusterstate/utils/status.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from autoscaler.publish.status import Condition, GroupStanding, NodeCounts, Standing, Status

LONGEST_MESSAGE = 500  # characters
_PLAIN = re.compile(r"[A-Za-z](?:[\w ./()-]*[\w)])?|\d{4}-\d\d-\d\d [\d:.]+ \+0000 UTC", re.ASCII)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  # which YAML takes for something else


def status_text(status: Status, probed: datetime, at: datetime) -> str:
    """Write a status down: `probed` is when it was last known to hold, `at` when it is written."""
    document = {
        "autoscalerStatus": "Running" if status.is_running else "Initializing",
        "clusterWide": _standing(status.cluster, probed if status.is_running else None),
        "nodeGroups": [_group(one, probed) for one in status.groups],
        "time": go_time(at),
    }
    return "\n".join(_lines({key: value for key, value in document.items() if value != []})) + "\n"


def go_time(at: datetime) -> str:
    """A time as Go prints it: `2026-03-02 09:15:41.7312 +0000 UTC`."""
    at = at.astimezone(UTC)
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def _group(group: GroupStanding, probed: datetime) -> dict[str, Any]:
    document: dict[str, Any] = _standing(group.standing, probed)
    document["health"] |= {"cloudProviderTarget": group.target, "maxSize": group.max_size, "minSize": group.min_size}
    code, message = group.backoff or ("", "")
    document["scaleUp"]["backoffInfo"] = (
        {"errorCode": code, "errorMessage": message[:LONGEST_MESSAGE]} if group.backoff else {}
    )
    return document | {"name": group.name}


def _standing(standing: Standing, probed: datetime | None) -> dict[str, Any]:
    scale_down = _condition(standing.scale_down, probed)
    if standing.candidates:
        scale_down["candidates"] = standing.candidates
    return {
        "health": _condition(standing.health, probed) | {"nodeCounts": _counts(standing.counts)},
        "scaleDown": scale_down,
        "scaleUp": _condition(standing.scale_up, probed),
    }


def _condition(condition: Condition, probed: datetime | None) -> dict[str, Any]:
    return {
        "lastProbeTime": _time(probed),
        "lastTransitionTime": _time(condition.since),
        "status": condition.status,
    }


def _counts(counts: NodeCounts) -> dict[str, Any]:
    registered: dict[str, Any] = {
        "notStarted": counts.not_started,
        "ready": counts.ready,
        "suspended": 0,
        "total": counts.registered,
        "unready": {"resourceUnready": 0, "total": counts.unready},
    }
    if counts.being_deleted:
        registered["beingDeleted"] = counts.being_deleted
    return {
        "longUnregistered": counts.long_unregistered,
        "registered": registered,
        "unregistered": counts.unregistered,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mapping in YAML's block style, as Go's writer lays it out."""
    for key in sorted(value):
        part = value[key]
        if isinstance(part, Mapping) and part:
            yield f"{key}:"
            yield from (f"  {line}" for line in _lines(part))
        elif isinstance(part, Sequence) and not isinstance(part, str):
            yield f"{key}:"
            for each in part:
                first, *rest = _lines(each)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
        else:
            yield f"{key}: {_scalar(part)}"


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    return "{}" if isinstance(value, Mapping) else str(value)
