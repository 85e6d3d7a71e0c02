"""The Decision as `simulate --output json` prints it: a stable contract.

Equal decisions give equal bytes, whatever the order of their parts. Fields
are added, never renamed; a key is always there, if only empty. The exception
is a verdict's `unmet`, which is there only when it has something to tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from autoscaler.core.decision import Cause, Decision, Outcome
from autoscaler.core.model import GroupName, PodKey, Zone
from autoscaler.publish.reasons import whys

_encode = json.JSONEncoder(ensure_ascii=False).encode


def to_json(decision: Decision) -> dict[str, Any]:
    """The contract's document, made of plain values in their final order."""
    return {
        "at": format_time(decision.at),
        "launches": _launches(decision),
        "verdicts": dict(_verdicts(decision)),
        "drains": [
            {"node": drain.node, "cause": str(drain.cause), "pods": [str(key) for key in sorted(drain.pods)]}
            for drain in decision.drains
        ],
        "kept": {node: whys(objections) for node, objections in sorted(decision.kept.items())},
    }


def write_json(decision: Decision) -> str:
    """The document as text, one launch, verdict, drain or node a line; ends with a newline."""
    parts = []
    for key, value in to_json(decision).items():
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(map(_encode, value)) + "\n ]"
        elif isinstance(value, dict) and value:
            text = "{\n  " + ",\n  ".join(f"{_encode(name)}: {_encode(one)}" for name, one in value.items()) + "\n }"
        else:
            text = _encode(value)
        parts.append(f"{_encode(key)}: {text}")
    return "{" + ",\n ".join(parts) + "}\n"


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`; fractions only where there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _launches(decision: Decision) -> list[dict[str, Any]]:
    """One entry for each (group, zone, cause); launches are bounded by the API, wishes are not."""
    counts: dict[tuple[GroupName, Zone | None, Cause], int] = {}
    pods: dict[tuple[GroupName, Zone | None, Cause], set[PodKey]] = {}
    for launch in decision.launches:
        key = (launch.group, launch.zone, launch.cause)
        counts[key] = counts.get(key, 0) + launch.count
        pods.setdefault(key, set()).update(launch.pods)
    return [
        {
            "group": group,
            "zone": zone,
            "count": counts[group, zone, cause],
            "cause": str(cause),
            "pods": [str(pod) for pod in sorted(pods[group, zone, cause])],
        }
        for group, zone, cause in sorted(counts, key=lambda key: (key[0], key[1] or "", key[2]))
    ]


def _verdicts(decision: Decision) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pods of a class share their objections, so each is written once."""
    shared: dict[int, dict[str, list[str]]] = {}
    for key, verdict in sorted(decision.verdicts.items()):
        objections = shared.get(id(verdict.objections))
        if objections is None:
            objections = {group: whys(raised) for group, raised in sorted(verdict.objections.items()) if raised}
            shared[id(verdict.objections)] = objections
        document: dict[str, Any] = {"outcome": str(verdict.outcome)}
        if verdict.outcome is Outcome.LAUNCH:
            document["group"] = verdict.group
        document["objections"] = objections
        if verdict.unmet:
            document["unmet"] = whys(verdict.unmet)
        yield str(key), document
