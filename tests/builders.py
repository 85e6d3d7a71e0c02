"""Objects for tests, with everything defaulted: a test states only what matters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from autoscaler.core.model import (
    HOSTNAME_LABEL,
    INSTANCE_TYPE_LABEL,
    ZONE_LABEL,
    GroupName,
    Instance,
    InstanceId,
    InstanceShape,
    InstanceType,
    LaunchMethod,
    Market,
    Node,
    NodeGroup,
    NodeName,
    OwnerRef,
    Pod,
    Uid,
    Zone,
)
from autoscaler.core.podspec import Effect, HostPort, NodeTerm, PodSpec, Requirement, Taint, Toleration
from autoscaler.core.policy import Policy, Tiers
from autoscaler.core.quantity import parse_amount
from autoscaler.core.resources import Resources
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.workload import Workload

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZONES = ("eu-west-3a", "eu-west-3b", "eu-west-3c")
_numbers = count(1)


def resources(**amounts: str) -> Resources:
    """`resources(cpu="2", memory="4Gi", pods="10")`; underscores stand for dashes."""
    return Resources({(key := name.replace("_", "-")): parse_amount(key, text) for name, text in amounts.items()})


def taint(text: str) -> Taint:
    """`taint("gpu=yes:NoSchedule")`."""
    pair, effect = text.rsplit(":", 1)
    key, _, value = pair.partition("=")
    return Taint(key, value, Effect(effect))


def spec(cpu: str = "500m", memory: str = "512Mi", **fields: Any) -> PodSpec:
    """A pod spec; `extra` adds resources, `tolerates` a taint key, `zone` a node selector."""
    amounts = {"cpu": parse_amount("cpu", cpu), "memory": parse_amount("memory", memory), "pods": 1}
    amounts.update({name: parse_amount(name, text) for name, text in fields.pop("extra", {}).items()})
    tolerates = fields.pop("tolerates", None)
    if tolerates:
        fields["tolerations"] = (Toleration(tolerates, "Exists"),)
    zone = fields.pop("zone", None)
    if zone:
        fields["node_selector"] = ((ZONE_LABEL, zone),)
    port = fields.pop("host_port", None)
    if port:
        fields["host_ports"] = (HostPort("TCP", "0.0.0.0", port),)
    required = fields.pop("needs", None)  # {"label": "value"} as required node affinity
    if required:
        expressions = tuple(Requirement(key, "In", (value,)) for key, value in required.items())
        fields["node_terms"] = (NodeTerm(expressions),)
    return PodSpec(requests=Resources(amounts), **fields)


def pod(name: str = "", *, of: PodSpec | None = None, namespace: str = "shop", **fields: Any) -> Pod:
    """A pending pod that the scheduler has marked Unschedulable; spec fields may be given in passing."""
    name = name or f"web-{next(_numbers)}"
    own = {key: fields.pop(key) for key in list(fields) if key in Pod.__dataclass_fields__}
    own.setdefault("created", NOW - timedelta(seconds=10))
    if own.get("node") is None:
        own.setdefault("unschedulable_since", NOW - timedelta(seconds=5))
    if isinstance(own.get("owner"), str):
        own["owner"] = OwnerRef("ReplicaSet", own["owner"], Uid(f"uid-{own['owner']}"))
    return Pod(namespace=namespace, name=name, uid=Uid(f"{namespace}-{name}"), spec=of or spec(**fields), **own)


def pods(number: int, prefix: str = "web", **fields: Any) -> list[Pod]:
    """Pods that share one spec."""
    own = {key: fields.pop(key) for key in list(fields) if key in Pod.__dataclass_fields__}
    shared = fields.pop("of", None) or spec(**fields)
    return [pod(f"{prefix}-{position:05d}", of=shared, **own) for position in range(number)]


def shape(
    kind: str = "m5.xlarge", *, cpu: str = "4", memory: str = "16Gi", weight: int = 1, **extra: str
) -> InstanceShape:
    amounts = {"cpu": cpu, "memory": memory, "pods": "58", **extra}
    capacity = Resources({name: parse_amount(name, text) for name, text in amounts.items()})
    return InstanceShape(instance_type=InstanceType(kind), capacity=capacity, weight=weight)


def group(name: str = "spot-a", **fields: Any) -> NodeGroup:
    """A spot group in three zones, empty, at most ten nodes; `types` is short for shapes."""
    types = fields.pop("types", None)
    if types is not None:
        fields["shapes"] = tuple(shape(kind) if isinstance(kind, str) else kind for kind in types)
    if "zones" in fields:
        fields["zones"] = tuple(Zone(zone) for zone in fields["zones"])
    return NodeGroup(
        **{
            "name": GroupName(name),
            "min_size": 0,
            "max_size": 10,
            "desired": sum(instance.weight for instance in fields.get("instances", ()) if instance.is_live),
            "zones": tuple(Zone(zone) for zone in ZONES),
            "market": Market.SPOT,
            "method": LaunchMethod.SYNC,
            "shapes": (shape(),),
            **fields,
        }
    )


def instance(name: str = "", zone: str = ZONES[0], kind: str = "m5.xlarge", **fields: Any) -> Instance:
    return Instance(
        id=InstanceId(name or f"i-{next(_numbers):017x}"), instance_type=InstanceType(kind), zone=Zone(zone), **fields
    )


def node(name: str = "", *, of: Instance | None = None, zone: str = ZONES[0], **fields: Any) -> Node:
    """A Ready node; `of` makes it that instance's."""
    name = name or f"ip-10-0-0-{next(_numbers)}"
    kind = str(of.instance_type) if of is not None else "m5.xlarge"
    zone = str(of.zone) if of is not None else zone
    labels: Mapping[str, str] = {
        HOSTNAME_LABEL: name, ZONE_LABEL: zone, INSTANCE_TYPE_LABEL: kind, **fields.pop("labels", {})
    }  # fmt: skip
    amount = fields.pop("allocatable", None) or resources(cpu="3920m", memory="15Gi", pods="58")
    return Node(
        **{
            "name": NodeName(name),
            "uid": Uid(f"node-{name}"),
            "labels": labels,
            "allocatable": amount,
            "capacity": amount,
            "instance_id": of.id if of is not None else None,
            "provider_id": f"aws:///{zone}/{of.id}" if of is not None else "",
            "created": NOW - timedelta(hours=3),
            **fields,
        }
    )


def workload(name: str, kind: str = "ReplicaSet", namespace: str = "shop", **fields: Any) -> Workload:
    """A workload that exists."""
    return Workload(kind=kind, namespace=namespace, name=name, uid=Uid(f"uid-{name}"), **fields)


def policy(tiers: Mapping[int, list[str]] | None = None, **fields: Any) -> Policy:
    return Policy(tiers=Tiers.read(tiers or {}), **fields)


def snapshot(**fields: Any) -> Snapshot:
    """A world at NOW."""
    return Snapshot(**{"at": NOW, **fields})
