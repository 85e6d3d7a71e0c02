"""Large clusters for the benches: nodes of some groups in three zones, and pods as the cache holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from autoscaler.core.model import (
    HOSTNAME_LABEL,
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
    Phase,
    Pod,
    Uid,
    Zone,
)
from autoscaler.core.podspec import PodSpec
from autoscaler.core.resources import Resources

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=6)
ZONES = tuple(Zone(f"eu-west-3{letter}") for letter in "abc")


class App:
    """What the pods of one application share."""

    def __init__(self, number: int, spec: PodSpec) -> None:
        self.spec = spec
        self.labels: Mapping[str, str] = {"app": f"app-{number}"}
        self.owner = OwnerRef("ReplicaSet", f"app-{number}", Uid(f"rs-{number}"))

    def pod(self, name: str, node: Node | None = None) -> Pod:
        """A pod that runs on a node, or waits for one."""
        return Pod(
            namespace="bench",
            name=name,
            uid=Uid(name),
            spec=self.spec,
            labels=self.labels,
            owner=self.owner,
            created=OLD,
            node=node.name if node is not None else None,
            phase=Phase.PENDING if node is None else Phase.RUNNING,
            unschedulable_since=OLD if node is None else None,
        )


def build_fleet(count: int, capacities: Sequence[Resources]) -> tuple[list[Node], list[NodeGroup]]:
    """`count` nodes, divided over one group of each capacity."""
    nodes: list[Node] = []
    groups: list[NodeGroup] = []
    for number, capacity in enumerate(capacities):
        members = [_node(number, each, capacity) for each in range(count // len(capacities))]
        nodes += members
        groups.append(build_group(number, capacity, members))
    return nodes, groups


def build_group(number: int, capacity: Resources, members: Sequence[Node] = ()) -> NodeGroup:
    kind = InstanceType(f"bench.{number}")
    return NodeGroup(
        name=GroupName(f"spot-{number:02d}"),
        min_size=0,
        max_size=10_000,
        desired=len(members),
        zones=ZONES,
        market=Market.SPOT,
        method=LaunchMethod.SYNC,
        shapes=(InstanceShape(instance_type=kind, capacity=capacity),),
        instances=tuple(
            Instance(id=InstanceId(f"i-{node.name}"), instance_type=kind, zone=Zone(node.labels[ZONE_LABEL]))
            for node in members
        ),
    )


def _node(group: int, number: int, capacity: Resources) -> Node:
    zone, name = ZONES[number % 3], f"node-{group:02d}-{number:04d}"
    return Node(
        name=NodeName(name),
        labels={HOSTNAME_LABEL: name, ZONE_LABEL: zone, "group": f"spot-{group:02d}"},
        allocatable=capacity,
        capacity=capacity,
        instance_id=InstanceId(f"i-{name}"),
        provider_id=f"aws:///{zone}/i-{name}",
        created=OLD,
    )
