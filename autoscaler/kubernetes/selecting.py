"""Selecting: which pods do Services and the owners of pods mean?

Asked only where a scheduler derives the selector of its default spread
constraints from them; it knows no other kinds than these.
"""

from __future__ import annotations

from typing import Any

from autoscaler.core.podspec import LabelSelector, Requirement
from autoscaler.core.schedulers import Service
from autoscaler.kubernetes.convert import MalformedObjectError, key_of
from autoscaler.kubernetes.requests import FieldError
from autoscaler.kubernetes.specs import to_selector
from autoscaler.kubernetes.wire import WireMatching, WireSelecting

SELECTING_WIRES: dict[str, type[Any]] = {
    "ReplicaSet": WireSelecting,
    "StatefulSet": WireSelecting,
    "ReplicationController": WireMatching,
}


def to_service(wire: WireMatching) -> Service:
    """Convert a Service; one without a selector selects no pod, and adds nothing."""
    selector = wire.spec.selector if wire.spec is not None else None
    return Service(wire.metadata.namespace or "default", tuple(sorted((selector or {}).items())))


def owner_selector(kind: str, wire: object) -> LabelSelector | None:
    """The selector of an owner, where it was read. Raises MalformedObjectError."""
    if isinstance(wire, WireMatching) and wire.spec is not None:
        pairs = sorted((wire.spec.selector or {}).items())
        return LabelSelector(tuple(Requirement(key, "In", (value,)) for key, value in pairs))
    if isinstance(wire, WireSelecting) and wire.spec is not None:
        try:
            return to_selector("spec.selector", wire.spec.selector)
        except FieldError as error:
            raise MalformedObjectError(kind, key_of(wire.metadata), str(error)) from None
    return None
