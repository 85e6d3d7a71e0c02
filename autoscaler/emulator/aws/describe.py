"""What the world looks like through the Auto Scaling API.

Only reads. Pages as the API does: MaxRecords and an opaque NextToken, default
50 groups (at most 100) and 100 activities, newest activity first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from autoscaler.emulator.aws.model import Activity, AwsFault, Group, Instance
from autoscaler.emulator.aws.wire import Ready, service, write_item
from autoscaler.emulator.aws.world import World

Parameters = Mapping[str, Any]
Item = TypeVar("Item")


def page(items: Sequence[Item], parameters: Parameters, default: int, most: int) -> tuple[Sequence[Item], str | None]:
    """One page of the items, and the token of the next one."""
    token = parameters.get("NextToken")
    if token is not None and not str(token).isdigit():
        raise AwsFault("InvalidNextToken", f"The token '{token}' is invalid.")
    size = int(parameters.get("MaxRecords") or default)
    if not 1 <= size <= most:
        raise AwsFault(
            "ValidationError", f"The specified MaxRecords value {size} is not within the range of 1 to {most}."
        )
    start = int(token or 0)
    following = start + size
    return items[start:following], str(following) if following < len(items) else None


def describe_auto_scaling_groups(world: World, parameters: Parameters) -> dict[str, Any]:
    names = parameters.get("AutoScalingGroupNames")
    filters = parameters.get("Filters") or []
    chosen = [
        group
        for name, group in sorted(world.groups.items())
        if (names is None or name in names or group.arn in names) and all(_passes(group, one) for one in filters)
    ]
    groups, token = page(chosen, parameters, 50, 100)
    with_instances = parameters.get("IncludeInstances", True)
    return {"AutoScalingGroups": [_group(world, group, with_instances) for group in groups], "NextToken": token}


def describe_auto_scaling_instances(world: World, parameters: Parameters) -> dict[str, Any]:
    wanted = parameters.get("InstanceIds")
    chosen = [i for i in world.instances.values() if wanted is None or i.id in wanted]
    instances, token = page(chosen, parameters, 50, 50)
    details = [
        _instance(world, instance) | {"AutoScalingGroupName": instance.group, "HealthStatus": _health(instance).upper()}
        for instance in instances
    ]
    return {"AutoScalingInstances": details, "NextToken": token}


def describe_scaling_activities(world: World, parameters: Parameters) -> dict[str, Any]:
    """Activities of one group or of all, newest first; those of the last call's second keep their order."""
    name = parameters.get("AutoScalingGroupName")
    groups: Iterable[Group] = world.groups.values() if name is None else [world.group(name)]
    wanted = parameters.get("ActivityIds")
    found = [a for group in groups for a in reversed(group.activities) if wanted is None or a.id in wanted]
    if name is None:
        found.sort(key=lambda activity: activity.started, reverse=True)
    activities, token = page(found, parameters, 100, 100)
    return {"Activities": [activity_item(world, one) for one in activities], "NextToken": token}


def describe_tags(world: World, parameters: Parameters) -> dict[str, Any]:
    """Tags of all groups; filters by auto-scaling-group, key, value and propagate-at-launch."""
    names = {"auto-scaling-group": "ResourceId", "key": "Key", "value": "Value"}
    found = []
    for _, group in sorted(world.groups.items()):
        for tag in _tags(group):
            checks = [
                str(tag.get(names.get(one["Name"], "PropagateAtLaunch"))).lower()
                in [str(value).lower() for value in one.get("Values") or []]
                for one in parameters.get("Filters") or []
            ]
            found += [tag] if all(checks) else []
    tags, token = page(found, parameters, 50, 100)
    return {"Tags": tags, "NextToken": token}


def describe_instance_refreshes(world: World, parameters: Parameters) -> dict[str, Any]:
    group = world.group(parameters["AutoScalingGroupName"])
    refreshes, token = page(list(reversed(group.refreshes)), parameters, 50, 100)
    return {"InstanceRefreshes": list(refreshes), "NextToken": token}


def describe_warm_pool(world: World, parameters: Parameters) -> dict[str, Any]:
    """Warm pools are not emulated: every group has none."""
    world.group(parameters["AutoScalingGroupName"])
    return {"Instances": []}


def activity_item(world: World, activity: Activity) -> dict[str, Any]:
    group = world.groups.get(activity.group)
    return {
        "ActivityId": activity.id,
        "AutoScalingGroupName": activity.group,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.started,
        "EndTime": activity.ended,
        "StatusCode": activity.status,
        "StatusMessage": activity.message,
        "Progress": activity.progress,
        "Details": activity.details,
        "AutoScalingGroupARN": group.arn if group is not None else None,
    }


def _group(world: World, group: Group, with_instances: bool) -> dict[str, Any]:
    return group.settings | {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "LaunchConfigurationName": group.launch_configuration,
        "LaunchTemplate": group.template,
        "MixedInstancesPolicy": group.mixed,
        "MinSize": group.min_size,
        "MaxSize": group.max_size,
        "DesiredCapacity": group.desired,
        "AvailabilityZones": list(group.zones),
        "Instances": [_ready(world, one) for one in group.instances.values()] if with_instances else [],
        "CreatedTime": group.created,
        "SuspendedProcesses": [
            {"ProcessName": name, "SuspensionReason": "User suspended"} for name in sorted(group.suspended)
        ],
        "VPCZoneIdentifier": ",".join(group.subnets[zone] for zone in group.zones) if group.subnets_given else "",
        "Status": "Delete in progress" if group.deleting else None,
        "Tags": _tags(group),
        "NewInstancesProtectedFromScaleIn": group.protect_new,
    }


def _tags(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": group.name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": tag.value,
            "PropagateAtLaunch": tag.propagate,
        }
        for key, tag in sorted(group.tags.items())
    ]


def _ready(world: World, instance: Instance) -> Ready:
    """The instance as XML, written once per change of its state."""
    if instance.wire is None:
        shape = service("autoscaling").shape_for("Instance")
        instance.wire = write_item(shape, _instance(world, instance))
    return Ready(instance.wire)


def _instance(world: World, instance: Instance) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "InstanceType": instance.instance_type,
        "AvailabilityZone": instance.zone,
        "AvailabilityZoneId": world.zone_id(instance.zone),
        "LifecycleState": instance.state,
        "HealthStatus": _health(instance),
        "LaunchTemplate": instance.template or None,
        "ProtectedFromScaleIn": instance.protected,
        "WeightedCapacity": str(instance.weight) if instance.weighted else None,
    }


def _health(instance: Instance) -> str:
    return "Healthy" if instance.healthy else "Unhealthy"


def _passes(group: Group, one: Parameters) -> bool:
    """Filters of DescribeAutoScalingGroups: tag-key, tag-value and tag:KEY."""
    values = one.get("Values") or []
    if one["Name"] == "tag-key":
        return any(key in values for key in group.tags)
    if one["Name"] == "tag-value":
        return any(tag.value in values for tag in group.tags.values())
    if one["Name"].startswith("tag:"):
        tag = group.tags.get(one["Name"].removeprefix("tag:"))
        return tag is not None and tag.value in values
    raise AwsFault(
        "ValidationError", f"Filter type {one['Name']} is not correct. Allowed: tag-key, tag-value, tag:<key>"
    )
