"""What AWS says of its groups, as core values.

Reads the dicts of botocore, which are also what `aws autoscaling
describe-auto-scaling-groups --output json` prints. Pure: no SDK, no network,
no clock. A fact that is missing leaves a field unknown or a fault in the group;
a document that is no ASG at all is a MalformedGroupError, for the caller to judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autoscaler.aws.fields import Document, FieldError, optional_text, rows, switch, table, text, texts, whole
from autoscaler.aws.known import Known
from autoscaler.aws.nodegroups import apply_nodegroup, nodegroup_key
from autoscaler.aws.shapes import read_shapes, tags_of, template_of, template_reference
from autoscaler.aws.tags import TagReading, profile_of, read_tags
from autoscaler.core.model import (
    GroupName,
    Instance,
    InstanceId,
    InstanceShape,
    InstanceType,
    LaunchMethod,
    Lifecycle,
    Market,
    NodeGroup,
    Zone,
)
from autoscaler.core.resources import Resources
from autoscaler.errors import AutoscalerError


class MalformedGroupError(AutoscalerError):
    """A document that is no Auto Scaling group; `position` counts from 0, `name` is what it calls itself."""

    def __init__(self, position: int, name: str, fault: str) -> None:
        super().__init__(f"Auto Scaling group {name or f'number {position + 1}'}: {fault}")
        self.position = position
        self.name = name
        self.fault = fault


def to_groups(
    documents: Iterable[Document], known: Known
) -> tuple[tuple[NodeGroup, ...], tuple[MalformedGroupError, ...]]:
    """Read groups, sorted by name, and report each that cannot be read."""
    groups: dict[GroupName, NodeGroup] = {}
    faults: list[MalformedGroupError] = []
    for position, document in enumerate(documents):
        try:
            group = to_group(document, known)
        except FieldError as error:
            name = document.get("AutoScalingGroupName") if isinstance(document, Mapping) else None
            faults.append(MalformedGroupError(position, str(name or ""), str(error)))
            continue
        if group.name in groups:
            faults.append(MalformedGroupError(position, group.name, "it is described twice"))
        groups[group.name] = group
    return tuple(groups[name] for name in sorted(groups)), tuple(faults)


def to_group(document: Document, known: Known) -> NodeGroup:
    """Read one group. Raises FieldError that names the field."""
    if not isinstance(document, Mapping):
        raise FieldError(f"expected an object, found {document!r}")
    name = GroupName(text(document, "AutoScalingGroupName"))
    bounds = known.bounds.get(name)
    smallest, largest = bounds or (whole(document, "MinSize"), whole(document, "MaxSize"))
    if smallest > largest:
        raise FieldError(f"MinSize {smallest} exceeds MaxSize {largest}")
    zones = tuple(sorted({Zone(zone) for zone in texts(document, "AvailabilityZones")}))
    if not zones:
        raise FieldError("AvailabilityZones is missing")
    market = read_market(document, known)
    shapes, shape_faults = read_shapes(document, known)
    tags = tags_of(document)
    reading = _read_wishes(tags, known)
    return NodeGroup(
        name=name,
        min_size=smallest,
        max_size=largest,
        desired=whole(document, "DesiredCapacity"),
        zones=zones,
        market=market,
        method=read_method(document, market),
        shapes=shapes,
        labels=reading.labels,
        taints=tuple(sorted(reading.taints)),
        tag_resources=Resources(reading.resources) if reading.resources else None,
        reserved_profile=known.reserved_profile or profile_of(tags),
        options=reading.options,
        instances=_instances(document, shapes, known),
        suspended=frozenset(text(each, "ProcessName") for each in rows(document, "SuspendedProcesses")),
        subnets=_subnets(document, zones, known),
        is_being_deleted=optional_text(document, "Status").startswith("Delete"),
        is_refreshing=name in known.refreshing,
        is_explicit=bounds is not None,
        faults=(*shape_faults, *reading.faults),
    )


def _read_wishes(tags: Mapping[str, str], known: Known) -> TagReading:
    reading = read_tags(tags)
    key = nodegroup_key(tags)
    if key is not None:
        reading.labels.setdefault("eks.amazonaws.com/nodegroup", key.name)  # EKS gives it to every node of the group
        nodegroup = known.nodegroups.get(key)
        if nodegroup is not None:
            apply_nodegroup(reading, nodegroup)
    return reading


def read_market(document: Document, known: Known) -> Market:
    """Tell how AWS sells the instances of a group; UNKNOWN when its template is. Raises FieldError."""
    policy = table(document, "MixedInstancesPolicy")
    if policy:
        distribution = table(policy, "InstancesDistribution")
        base = whole(distribution, "OnDemandBaseCapacity", 0)
        percentage = whole(distribution, "OnDemandPercentageAboveBaseCapacity", 100)
        if rows(distribution, "DistributionSegments"):
            return Market.MIXED
        if percentage == 100:
            return Market.ON_DEMAND
        return Market.SPOT if base == percentage == 0 else Market.MIXED
    template = template_of(document, known)
    if template is None:
        return Market.UNKNOWN
    if template_reference(document):
        options = table(template, "InstanceMarketOptions")
        kind = optional_text(options, "MarketType")
        return {"": Market.ON_DEMAND, "spot": Market.SPOT}.get(kind, Market.UNKNOWN)
    return Market.SPOT if optional_text(template, "SpotPrice") else Market.ON_DEMAND


def read_method(document: Document, market: Market) -> LaunchMethod:
    """LaunchInstances serves launch templates, and policies that are all spot or all on-demand."""
    if table(document, "MixedInstancesPolicy"):
        whole_market = market in (Market.SPOT, Market.ON_DEMAND)
        return LaunchMethod.SYNC if whole_market else LaunchMethod.DESIRED
    return LaunchMethod.SYNC if template_reference(document) else LaunchMethod.DESIRED


def read_lifecycle(state: str) -> Lifecycle:
    """Map a LifecycleState; one that we do not know counts as no node."""
    if state.startswith("Pending"):
        return Lifecycle.PENDING
    if state == "InService" or state.startswith("ReplacingRootVolume") or state == "RootVolumeReplaced":
        return Lifecycle.IN_SERVICE
    if state.startswith(("Terminat", "Detach")):
        return Lifecycle.LEAVING
    return Lifecycle.PARKED


def _instances(document: Document, shapes: tuple[InstanceShape, ...], known: Known) -> tuple[Instance, ...]:
    weights = {shape.instance_type: shape.weight for shape in shapes}
    found = []
    for each in rows(document, "Instances"):
        ident = InstanceId(text(each, "InstanceId"))
        kind = InstanceType(optional_text(each, "InstanceType"))
        found.append(
            Instance(
                id=ident,
                instance_type=kind,
                zone=Zone(text(each, "AvailabilityZone")),
                lifecycle=read_lifecycle(text(each, "LifecycleState")),
                healthy=optional_text(each, "HealthStatus").lower() != "unhealthy",
                protected=switch(each, "ProtectedFromScaleIn"),
                weight=whole(each, "WeightedCapacity", 0) or weights.get(kind, 1),
                since=known.first_seen.get(ident),
            )
        )
    return tuple(sorted(found, key=lambda one: one.id))


def _subnets(document: Document, zones: tuple[Zone, ...], known: Known) -> dict[Zone, str]:
    """Return the subnet of each zone that has exactly one."""
    names = [name.strip() for name in optional_text(document, "VPCZoneIdentifier").split(",") if name.strip()]
    if len(names) == len(zones) == 1:
        return {zones[0]: names[0]}
    by_zone: dict[Zone, list[str]] = {}
    for name in names:
        zone = known.subnet_zones.get(name)
        if zone is None:
            return {}
        by_zone.setdefault(zone, []).append(name)
    return {zone: found[0] for zone, found in sorted(by_zone.items()) if len(found) == 1}
