"""Marks: what a drain writes on its Node, and how each of them is taken off again.

Taint, cordon, load balancer label and stamp go on in one write and come off in
one. The stamp says which of them are ours: what stood there before stays.
These are edits of a Node as the API server has it; writing them is `nodes`'s.
Source of the taints: kubernetes/autoscaler, pkg/utils/taints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from autoscaler.core.model import Node

TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
CANDIDATE = "DeletionCandidateOfClusterAutoscaler"
STAMP = "priority-autoscaler/drain"
NOT_BALANCED = "node.kubernetes.io/exclude-from-external-load-balancers"
DELAYS_DELETION = "delay-deletion.cluster-autoscaler.kubernetes.io/"

_LONGEST_MOMENT = 11  # digits of a unix time that a datetime holds

Document = dict[str, Any]


class Step(StrEnum):
    """How far a drain had come when the stamp was written."""

    MARKED = "Marked"  # nothing was evicted yet
    EVICTING = "Evicting"  # past the first eviction


class Stamp(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The state of a drain, as it stands on its node. `owner` is the process that drains.

    `cordoned` and `excluded` say that the cordon and the load balancer label
    are ours, to be taken off if the drain is undone.
    """

    owner: str
    cause: str
    since: datetime
    deadline: datetime
    attempt: int = 1
    step: Step = Step.MARKED
    cordoned: bool = False
    excluded: bool = False


def read_stamp(annotations: Mapping[str, Any] | None) -> Stamp | None:
    """Return the stamp among a Node's annotations; None without one, or for one that cannot be read."""
    text = (annotations or {}).get(STAMP)
    if not isinstance(text, str):
        return None
    try:
        stamp = _READ.decode(text)
    except msgspec.DecodeError:
        return None
    return stamp if stamp.since.tzinfo is not None and stamp.deadline.tzinfo is not None else None


def is_marked(node: Node) -> bool:
    """Tell whether a Node carries the taint or the stamp of a drain, whoever's."""
    return STAMP in node.annotations or is_tainted(node)


def is_candidate(node: Node) -> bool:
    """Tell whether a Node carries the soft taint."""
    return any(taint.key == CANDIDATE for taint in node.taints)


def candidate_since(node: Node) -> datetime | None:
    """Return since when a Node carries the soft taint; None without one that says so."""
    return _tainted_since(node, CANDIDATE)


def deleted_since(node: Node) -> datetime | None:
    """Return since when a Node carries the taint of a drain; None without one that says so."""
    return _tainted_since(node, TO_BE_DELETED)


def is_tainted(node: Node) -> bool:
    """Tell whether a Node carries the taint of a drain, whoever's."""
    return any(taint.key == TO_BE_DELETED for taint in node.taints)


def _tainted_since(node: Node, key: str) -> datetime | None:
    for taint in node.taints:
        if taint.key == key and taint.value.isdecimal() and len(taint.value) <= _LONGEST_MOMENT:
            return datetime.fromtimestamp(int(taint.value), UTC)
    return None


@dataclass(frozen=True, slots=True)
class Mark:
    """Puts the marks of a drain on a Node, unless another process drains it.

    A repeated one keeps what the first found to be ours.
    """

    stamp: Stamp
    cordons: bool
    at: datetime

    def __call__(self, node: Document) -> bool:
        meta, spec = _section(node, "metadata"), _section(node, "spec")
        before = read_stamp(meta.get("annotations"))
        if before is not None and before.owner != self.stamp.owner:
            return False
        cordoned, excluded = (before.cordoned, before.excluded) if before else (False, False)
        if self.cordons and not spec.get("unschedulable"):
            spec["unschedulable"] = cordoned = True
        labels = _section(meta, "labels")
        if NOT_BALANCED not in labels:
            labels[NOT_BALANCED] = ""
            excluded = True
        if not _has_taint(spec, TO_BE_DELETED):
            _section(spec, "taints", list).append(_taint(TO_BE_DELETED, "NoSchedule", self.at))
        stamp = msgspec.structs.replace(self.stamp, cordoned=cordoned, excluded=excluded)
        _section(meta, "annotations")[STAMP] = msgspec.json.encode(stamp).decode()
        return True


@dataclass(frozen=True, slots=True)
class Restamp:
    """Replaces the stamp of one owner, and nothing else; not if the drain has become another's."""

    stamp: Stamp
    owner: str

    def __call__(self, node: Document) -> bool:
        meta = _section(node, "metadata")
        before = read_stamp(meta.get("annotations"))
        if before is None or before.owner != self.owner:
            return False
        stamp = msgspec.structs.replace(self.stamp, cordoned=before.cordoned, excluded=before.excluded)
        meta["annotations"][STAMP] = msgspec.json.encode(stamp).decode()
        if before.excluded:
            _section(meta, "labels")[NOT_BALANCED] = ""  # which a process that was stopped has taken off
        return True


@dataclass(frozen=True, slots=True)
class Leave:
    """Takes off what only we would ever take off: the load balancer label.

    Whoever comes next may be cluster-autoscaler, which takes away the taint
    and the cordon, and does not know the label.
    """

    owner: str

    def __call__(self, node: Document) -> bool:
        meta = _section(node, "metadata")
        stamp = read_stamp(meta.get("annotations"))
        if stamp is None or stamp.owner != self.owner or not stamp.excluded:
            return False
        return _section(meta, "labels").pop(NOT_BALANCED, None) is not None


@dataclass(frozen=True, slots=True)
class Unmark:
    """Takes the marks of a drain off, unless it has become somebody else's meanwhile.

    Without `owner`: what cluster-autoscaler left, which has no stamp, or what
    nobody can read. A cordon that came with its taint counts as ours; with
    `keeps_cordon`, whoever took the taint off has seen to ours, and what
    stands there now is another's.
    """

    owner: str = ""
    keeps_cordon: bool = False

    def __call__(self, node: Document) -> bool:
        meta, spec = _section(node, "metadata"), _section(node, "spec")
        annotations = _section(meta, "annotations")
        stamp = read_stamp(annotations)
        if (stamp.owner if stamp else "") != self.owner:
            return False
        is_ours = _has_taint(spec, TO_BE_DELETED) if stamp is None else stamp.cordoned
        if is_ours and not self.keeps_cordon:
            spec.pop("unschedulable", None)
        if stamp is not None and stamp.excluded:
            _section(meta, "labels").pop(NOT_BALANCED, None)
        annotations.pop(STAMP, None)
        _drop_taint(spec, TO_BE_DELETED)
        return True


@dataclass(frozen=True, slots=True)
class Shun:
    """Puts the soft taint on a Node, or takes it off."""

    at: datetime | None  # None: off

    def __call__(self, node: Document) -> bool:
        spec = _section(node, "spec")
        if (self.at is not None) == _has_taint(spec, CANDIDATE):
            return False
        if self.at is None:
            _drop_taint(spec, CANDIDATE)
        else:
            _section(spec, "taints", list).append(_taint(CANDIDATE, "PreferNoSchedule", self.at))
        return True


def _taint(key: str, effect: str, at: datetime) -> Document:
    return {"key": key, "value": str(int(at.timestamp())), "effect": effect}


def _has_taint(spec: Document, key: str) -> bool:
    return any(taint.get("key") == key for taint in spec.get("taints") or ())


def _drop_taint(spec: Document, key: str) -> None:
    kept = [taint for taint in spec.get("taints") or () if taint.get("key") != key]
    if kept:
        spec["taints"] = kept
    else:
        spec.pop("taints", None)


def _section(document: Document, name: str, kind: type[Any] = dict) -> Any:
    """Return a part of a document, made if it is missing."""
    if document.get(name) is None:
        document[name] = kind()
    return document[name]


_READ = msgspec.json.Decoder(Stamp)
