"""Pods and nodes written as JSON, with everything defaulted."""

from __future__ import annotations

from typing import Any

import msgspec

from autoscaler.core.model import Node, Pod
from autoscaler.core.podspec import PodSpec
from autoscaler.kubernetes.convert import to_node, to_pod
from autoscaler.kubernetes.interner import Interner
from autoscaler.kubernetes.unknown_fields import decode_object
from autoscaler.kubernetes.wire import WireNode, WirePod


def pod(
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    interner: Interner | None = None,
    **meta: Any,
) -> Pod:
    document = {
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "uid": "u1",
            "creationTimestamp": "2026-01-01T12:00:00Z",
            **meta,
        },
        "spec": {"containers": [{"name": "c", "image": "web:1"}], **(spec or {})},
        "status": status,
    }
    wire = decode_object(msgspec.json.encode(document), msgspec.json.Decoder(WirePod))
    return to_pod(wire, interner or Interner())


def spec_of(**spec: Any) -> PodSpec:
    return pod(spec).spec


def node(**parts: Any) -> Node:
    document = {"metadata": {"name": "n1", "uid": "n", "creationTimestamp": "2026-01-01T12:00:00Z"}, **parts}
    return to_node(msgspec.json.decode(msgspec.json.encode(document), type=WireNode))
