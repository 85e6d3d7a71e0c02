"""What the emulated account holds: pools, groups, instances, activities.

Plain mutable records without behaviour of their own; the world's lock guards
them all. How groups change is in `groups` and `launch`, how they look on the
wire in `describe`. Times are aware UTC; capacities of groups are in units
(weights), counts of pools in instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from autoscaler.core.model import Market

EventKind = Literal["launched", "in-service", "terminating", "terminated"]
WIRE_MARKETS = {Market.SPOT: "Spot", Market.ON_DEMAND: "OnDemand"}


class AwsFault(Exception):
    """An error answer of the emulated API.

    `code` and `status` as botocore's model has them; a sender's fault unless
    the status says otherwise.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> AwsFault:
    """The answer to a request that contradicts the state of the group."""
    return AwsFault("ValidationError", message)


@dataclass(slots=True)
class Instance:
    """One EC2 instance of a group; `wire` caches its form on the wire."""

    id: str
    group: str
    instance_type: str
    zone: str
    subnet_id: str
    market: Market
    weight: int
    launched: datetime
    private_ip: str
    image_id: str
    template: Mapping[str, str]
    tags: Mapping[str, str]
    weighted: bool = False
    state: str = "Pending"
    protected: bool = False
    healthy: bool = True
    wire: str | None = None

    @property
    def is_live(self) -> bool:
        return self.state == "InService" or self.state.startswith("Pending")

    @property
    def private_dns_name(self) -> str:
        """Unique for each instance, and the name of its Node: `ip-10-0-3-7.eu-west-3.compute.internal`."""
        return f"ip-{self.private_ip.replace('.', '-')}.{self.zone[:-1]}.compute.internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEvent:
    """What happened to one instance, for whoever plays its kubelet.

    `tags` are those of the instance, `group_tags` all tags of the group
    (node-template tags need not be propagated).
    """

    kind: EventKind
    id: str
    group: str
    instance_type: str
    zone: str
    market: Market
    private_dns_name: str
    private_ip: str
    launched: datetime
    tags: Mapping[str, str]
    group_tags: Mapping[str, str]

    @property
    def provider_id(self) -> str:
        return f"aws:///{self.zone}/{self.id}"


@dataclass(slots=True)
class Activity:
    """One entry of DescribeScalingActivities."""

    id: str
    group: str
    description: str
    cause: str
    started: datetime
    status: str
    details: str
    ended: datetime | None = None
    message: str | None = None
    progress: int = 0


@dataclass(frozen=True, slots=True)
class TagEntry:
    value: str
    propagate: bool


@dataclass(slots=True, kw_only=True)
class Group:
    """One Auto Scaling group.

    `settings` are the members of DescribeAutoScalingGroups that nothing here
    acts on, kept as they were given. `subnets` maps each zone to its subnet.
    """

    name: str
    arn: str
    min_size: int
    max_size: int
    desired: int
    zones: tuple[str, ...]
    subnets: dict[str, str]
    subnets_given: bool
    created: datetime
    template: dict[str, str] | None = None
    mixed: dict[str, Any] | None = None
    launch_configuration: str | None = None
    tags: dict[str, TagEntry] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    protect_new: bool = False
    rebalance: bool = False
    refusal: str | None = None
    deleting: bool = False
    refreshes: list[dict[str, Any]] = field(default_factory=list)
    instances: dict[str, Instance] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    retry_due: bool = False

    @property
    def live_units(self) -> int:
        return sum(instance.weight for instance in self.instances.values() if instance.is_live)

    def live_in(self, zone: str) -> int:
        return sum(1 for instance in self.instances.values() if instance.is_live and instance.zone == zone)
