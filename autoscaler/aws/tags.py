"""What the tags of a group say about nodes that are yet to come.

Keys and matching are cluster-autoscaler's: a prefix is searched anywhere in the
key. A tag that does not parse is skipped alone and reported as a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autoscaler.core.model import GroupFault
from autoscaler.core.podspec import Effect, Taint
from autoscaler.core.quantity import QuantityError, format_amount, parse_amount

TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"
LABEL = f"{TEMPLATE}label/"
TAINT = f"{TEMPLATE}taint/"
RESOURCE = f"{TEMPLATE}resources/"
OPTION = f"{TEMPLATE}autoscaling-options/"
EKS = "eks:"
KOPS = "kops.k8s.io/"
INVALID_TAG = "InvalidTag"  # reason of the event

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_TAINT_VALUE = re.compile(r"([^:]*):(NoSchedule|PreferNoSchedule|NoExecute)")


@dataclass(slots=True)
class TagReading:
    """The tags of one group, read."""

    labels: dict[str, str] = field(default_factory=dict)
    taints: list[Taint] = field(default_factory=list)
    resources: dict[str, int] = field(default_factory=dict)  # millicores, bytes, pieces
    options: dict[str, str] = field(default_factory=dict)  # keys in lower case
    faults: list[GroupFault] = field(default_factory=list)


def read_tags(tags: Mapping[str, str]) -> TagReading:
    """Read every node-template and `eks:` tag, in the order of their keys."""
    reading = TagReading()
    for key in sorted(tags):
        fault = _read_one(reading, key, tags[key])
        if fault:
            reading.faults.append(GroupFault(code=INVALID_TAG, detail=f"tag {key}={tags[key]}: {fault}; it is ignored"))
    return reading


def _read_one(reading: TagReading, key: str, value: str) -> str | None:
    """Add one tag to `reading`, or return what is wrong with it."""
    if label := _after(key, LABEL):
        if not (is_qualified_name(label) and is_label_value(value)):
            return "Kubernetes accepts no such label"
        reading.labels[label] = value
    elif taint := _after(key, TAINT):
        match = _TAINT_VALUE.fullmatch(value)
        if match is None or not (is_qualified_name(taint) and is_label_value(match[1])):
            return "expected <value>:NoSchedule, :PreferNoSchedule or :NoExecute"
        reading.taints.append(Taint(taint, match[1], Effect(match[2])))
    elif resource := _after(key, RESOURCE):
        return _read_amount(reading.resources, resource, value)
    elif option := _after(key, OPTION):
        reading.options[option.lower()] = value
    elif (label := _after(key, EKS)) and is_qualified_name(label) and is_label_value(value):
        reading.labels.setdefault(label, value)  # AWS writes these; whatever is no label says nothing of nodes
    return None


def read_resources(tags: Mapping[str, str]) -> dict[str, int]:
    """Read only the `resources/` tags, leaving out what does not parse."""
    amounts: dict[str, int] = {}
    for key in sorted(tags):
        if resource := _after(key, RESOURCE):
            _read_amount(amounts, resource, tags[key])
    return amounts


def _read_amount(amounts: dict[str, int], resource: str, value: str) -> str | None:
    try:
        amount = parse_amount(resource, value)
    except QuantityError as error:
        return str(error)
    if amount < 0:
        return f"{format_amount(resource, amount)} is negative"
    amounts[resource] = amount
    return None


def _after(key: str, prefix: str) -> str:
    """Return what follows the prefix, up to its next occurrence; empty when it does not occur."""
    parts = key.split(prefix, 2)
    return parts[1] if len(parts) > 1 else ""


def is_qualified_name(text: str) -> bool:
    """Tell whether the API server takes `text` as the key of a label or taint."""
    prefix, slash, name = text.rpartition("/")
    return bool(_NAME.fullmatch(name)) and (not slash or bool(_PREFIX.fullmatch(prefix)))


def is_label_value(text: str) -> bool:
    return not text or bool(_NAME.fullmatch(text))


def profile_of(keys: Iterable[str]) -> str:
    """Guess by tag keys how the kubelet of the group reserves: `eks`, `kops` or `none`."""
    keys = list(keys)
    if any(key.startswith(EKS) for key in keys):
        return "eks"
    return "kops" if any(KOPS in key for key in keys) else "none"
