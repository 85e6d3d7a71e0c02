"""How much room is to be spare: cluster-proportional-autoscaler's JSON as it stands, a count, or a percentage.

Source of the rules: cluster-proportional-autoscaler, linearcontroller.go and
laddercontroller.go. Theirs freezes on a bad edit; keeping the last good one
is the caller's business here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PERCENTAGE = re.compile(r"(\d+)%")
_LINEAR = ("coresPerReplica", "nodesPerReplica", "min", "max", "preventSinglePointFailure", "includeUnschedulableNodes")
_LADDER = ("coresToReplicas", "nodesToReplicas", "includeUnschedulableNodes")
_MOST = 10**9  # of anything
Rungs = tuple[tuple[int, int], ...]


class SizeError(ValueError):
    """A size that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How large a set of nodes is: whole cores (rounded up) and nodes, all of them and the schedulable ones."""

    cores: int = 0
    nodes: int = 0
    schedulable_cores: int = 0
    schedulable_nodes: int = 0
    pods: int = 0  # of the application, where it is one's own room

    def count(self, *, with_unschedulable: bool) -> tuple[int, int]:
        return (self.cores, self.nodes) if with_unschedulable else (self.schedulable_cores, self.schedulable_nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Replicas in proportion to cores or nodes, the larger of both; 0: the term is not there."""

    cores_per_replica: float = 0.0
    nodes_per_replica: float = 0.0
    least: int = 1
    most: int = 0  # 0: no limit
    prevent_single_point_failure: bool = False
    with_unschedulable: bool = False

    def replicas(self, extent: Extent) -> int:
        cores, nodes = extent.count(with_unschedulable=self.with_unschedulable)
        terms = (self._term(cores, self.cores_per_replica), self._term(nodes, self.nodes_per_replica))
        wanted = max(terms)
        if self.prevent_single_point_failure and nodes > 1:
            return max(wanted, 2)
        return wanted

    def _term(self, amount: int, per_replica: float) -> int:
        if per_replica == 0:
            return 1
        wanted = max(self.least, math.ceil(min(amount / per_replica, _MOST)))
        return min(wanted, self.most) if self.most else wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Replicas by steps of cores or nodes, the larger of both."""

    cores: Rungs = ()
    nodes: Rungs = ()
    with_unschedulable: bool = False

    def replicas(self, extent: Extent) -> int:
        cores, nodes = extent.count(with_unschedulable=self.with_unschedulable)
        return max(_climb(self.cores, cores), _climb(self.nodes, nodes))


def _climb(rungs: Rungs, amount: int) -> int:
    """The last rung that is reached; below the first its value counts all the same."""
    found = rungs[0][1] if rungs else 0
    for threshold, replicas in rungs:
        if threshold > amount:
            break
        found = replicas
    return found


@dataclass(frozen=True, slots=True)
class Count:
    """A fixed number of replicas."""

    number: int

    def replicas(self, _: Extent) -> int:
        return self.number


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage of the application's pods, rounded up."""

    percent: int

    def replicas(self, extent: Extent) -> int:
        return -(-extent.pods * self.percent // 100)


Size = Linear | Ladder | Count | Share


def read_size(text: str) -> Size:
    """Read the value of an annotation: `3`, `10%`, or JSON of either kind. Raises SizeError."""
    text = text.strip()
    match = _PERCENTAGE.fullmatch(text)
    if match is not None:
        return Share(min(int(match[1][:12]), _MOST))
    if text.isdecimal():
        return Count(min(int(text[:12]), _MOST))
    if not text.startswith("{"):
        raise SizeError("expected a count such as 3, a percentage such as 10%, or linear or ladder JSON")
    value = _decode(text)
    for key, read in (("linear", read_linear), ("ladder", read_ladder)):
        if set(value) == {key}:
            return read(value[key])
    return read_ladder(value) if value.keys() & {"coresToReplicas", "nodesToReplicas"} else read_linear(value)


def read_linear(value: object) -> Linear:
    """Read linear parameters, as JSON text or decoded. Raises SizeError."""
    row = _decode(value)
    _know(row, _LINEAR)
    per_core, per_node = (_amount(row, key) for key in _LINEAR[:2])
    least, most = (_whole(row, key) for key in ("min", "max"))
    if per_core <= 0 and per_node <= 0:
        raise SizeError("coresPerReplica or nodesPerReplica must be greater than 0")
    if most and most < least:
        raise SizeError(f"max {most} is less than min {least}")
    return Linear(
        cores_per_replica=per_core,
        nodes_per_replica=per_node,
        least=least or 1,
        most=most,
        prevent_single_point_failure=_truth(row, "preventSinglePointFailure"),
        with_unschedulable=_truth(row, "includeUnschedulableNodes"),
    )


def read_ladder(value: object) -> Ladder:
    """Read ladder parameters, as JSON text or decoded. Raises SizeError."""
    row = _decode(value)
    _know(row, _LADDER)
    cores, nodes = (_rungs(row, key) for key in _LADDER[:2])
    if not cores and not nodes:
        raise SizeError("coresToReplicas or nodesToReplicas must hold a step")
    return Ladder(cores=cores, nodes=nodes, with_unschedulable=_truth(row, "includeUnschedulableNodes"))


def _decode(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SizeError(f"no JSON: {error}") from None
        except RecursionError:
            raise SizeError("no JSON: nested too deeply") from None
    if not isinstance(value, dict):
        raise SizeError(f"expected an object, got {value!r:.40}")
    return {key: each for key, each in value.items() if each is not None}  # null is absent, as Go reads it


def _know(row: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(str(key) for key in row if key not in known)
    if unknown:
        raise SizeError(f"unknown {', '.join(unknown)}; expected {', '.join(known)}")


def _amount(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise SizeError(f"{key}: expected a number from 0 to {_MOST}, got {value!r:.40}")
    return float(value)


def _whole(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise SizeError(f"{key}: expected a whole number from 0 to {_MOST}, got {value!r:.40}")
    return value


def _truth(row: Mapping[str, Any], key: str) -> bool:
    value = row.get(key, False)
    if not isinstance(value, bool):
        raise SizeError(f"{key}: expected true or false, got {value!r:.40}")
    return value


def _rungs(row: Mapping[str, Any], key: str) -> Rungs:
    value = row.get(key) or []
    fault = f"{key}: expected steps such as [[1, 1], [64, 3]] of whole numbers that are not negative"
    if not isinstance(value, list):
        raise SizeError(fault)
    found = []
    for step in value:
        if (
            not isinstance(step, list)
            or len(step) != 2
            or not all(type(one) is int and 0 <= one <= _MOST for one in step)
        ):
            raise SizeError(fault)
        found.append((step[0], step[1]))
    return tuple(sorted(found))
