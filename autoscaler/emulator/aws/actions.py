"""The Auto Scaling operations that change groups, by name; reads are in `describe`.

`ANSWERS` holds every operation that our world answers; what is not in it goes
to moto. Each takes the world (its lock held) and the parsed parameters, and
gives the members of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autoscaler import clock
from autoscaler.emulator.aws import describe, samples
from autoscaler.emulator.aws.allocation import base_specification
from autoscaler.emulator.aws.backing import require_template
from autoscaler.emulator.aws.groups import lose, reconcile_soon, set_desired, terminate
from autoscaler.emulator.aws.model import AwsFault, Group, TagEntry, invalid
from autoscaler.emulator.aws.world import World

Parameters = Mapping[str, Any]
Answer = dict[str, Any]
MOST_PROTECTED = 50
PROCESSES = frozenset(
    {
        "Launch",
        "Terminate",
        "AddToLoadBalancer",
        "AlarmNotification",
        "AZRebalance",
        "HealthCheck",
        "InstanceRefresh",
        "ReplaceUnhealthy",
        "ScheduledActions",
    }
)
_KEPT = (
    "AvailabilityZoneDistribution",
    "AvailabilityZoneImpairmentPolicy",
    "CapacityRebalance",
    "Context",
    "DefaultCooldown",
    "DefaultInstanceWarmup",
    "DesiredCapacityType",
    "HealthCheckGracePeriod",
    "HealthCheckType",
    "InstanceMaintenancePolicy",
    "LoadBalancerNames",
    "MaxInstanceLifetime",
    "PlacementGroup",
    "ServiceLinkedRoleARN",
    "TargetGroupARNs",
    "TerminationPolicies",
)
_DEFAULTS: dict[str, Any] = {
    "DefaultCooldown": 300,
    "HealthCheckType": "EC2",
    "HealthCheckGracePeriod": 0,
    "TerminationPolicies": ["Default"],
    "CapacityRebalance": False,
    "LoadBalancerNames": [],
    "TargetGroupARNs": [],
    "EnabledMetrics": [],
}


def create_auto_scaling_group(world: World, parameters: Parameters) -> Answer:
    name = parameters["AutoScalingGroupName"]
    if name in world.groups:
        raise AwsFault("AlreadyExists", samples.GROUP_EXISTS.format(name=name))
    sources = ("LaunchTemplate", "MixedInstancesPolicy", "LaunchConfigurationName")
    given = [key for key in sources if parameters.get(key)]
    if len(given) != 1:
        raise invalid(samples.ONE_SOURCE)
    zones, subnets = _places(world, parameters)
    group = Group(
        name=name,
        arn=f"arn:aws:autoscaling:{world.region}:{world.backing.account}:autoScalingGroup:{world.new_id('g')}:autoScalingGroupName/{name}",
        min_size=parameters["MinSize"],
        max_size=parameters["MaxSize"],
        desired=parameters.get("DesiredCapacity", parameters["MinSize"]),
        zones=zones,
        subnets=subnets,
        subnets_given=bool(parameters.get("VPCZoneIdentifier")),
        created=clock.now(),
        protect_new=parameters.get("NewInstancesProtectedFromScaleIn", False),
        settings=_DEFAULTS | _kept(parameters),
    )
    _set_source(world, group, parameters)
    _check_sizes(group)
    _put_tags(group, parameters.get("Tags") or [])
    world.groups[name] = group
    reconcile_soon(world, group)
    return {}


def update_auto_scaling_group(world: World, parameters: Parameters) -> Answer:
    """As at AWS, what is not named stays: the mixed instances policy too."""
    group = world.group(parameters["AutoScalingGroupName"])
    group.min_size = parameters.get("MinSize", group.min_size)
    group.max_size = parameters.get("MaxSize", group.max_size)
    within = max(group.min_size, min(group.max_size, group.desired))
    group.desired = parameters.get("DesiredCapacity", within)
    _check_sizes(group)
    group.protect_new = parameters.get("NewInstancesProtectedFromScaleIn", group.protect_new)
    group.settings |= _kept(parameters)
    if parameters.get("AvailabilityZones") or parameters.get("VPCZoneIdentifier"):
        group.zones, group.subnets = _places(world, parameters)
        group.subnets_given = bool(parameters.get("VPCZoneIdentifier"))
    _set_source(world, group, parameters)
    reconcile_soon(world, group)
    return {}


def delete_auto_scaling_group(world: World, parameters: Parameters) -> Answer:
    group = world.group(parameters["AutoScalingGroupName"])
    if group.instances and not parameters.get("ForceDelete"):
        raise AwsFault(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
            "still in the group.",
        )
    group.deleting, group.desired, group.min_size = True, 0, 0
    for instance in list(group.instances.values()):
        if instance.is_live:
            world.begin_termination(instance, "The group is being deleted.")
    world.timers.after(world.delays.terminate if group.instances else 0, lambda: _forget(world, group))
    return {}


def set_desired_capacity(world: World, parameters: Parameters) -> Answer:
    set_desired(world, world.group(parameters["AutoScalingGroupName"]), parameters["DesiredCapacity"])
    return {}


def terminate_instance(world: World, parameters: Parameters) -> Answer:
    """By InstanceId, or by InstanceIds (at most 100) with the group's name; all of them or none."""
    decrement, single = parameters["ShouldDecrementDesiredCapacity"], parameters.get("InstanceId")
    ids = [single] if single else parameters.get("InstanceIds") or []
    if not ids or len(ids) > 100 or (single and parameters.get("InstanceIds")):
        raise invalid("Specify either InstanceId, or between 1 and 100 InstanceIds with AutoScalingGroupName.")
    if not single and not parameters.get("AutoScalingGroupName"):
        raise invalid("AutoScalingGroupName is required with InstanceIds.")
    found = [world.instance(one, samples.UNKNOWN_INSTANCE.format(id=one)) for one in ids]
    group = world.group(parameters.get("AutoScalingGroupName") or found[0].group)
    strangers = [one.id for one in found if one.group != group.name]
    if strangers:
        raise invalid(samples.UNKNOWN_INSTANCE.format(id=strangers[0]))
    if decrement and group.desired - sum(one.weight for one in found if one.is_live) < group.min_size:
        raise invalid(samples.AT_MIN_SIZE.format(min=group.min_size))
    activities = [describe.activity_item(world, terminate(world, group, one, decrement)) for one in found]
    return {"Activity": activities[0]} if single else {"Activities": activities}


def set_instance_protection(world: World, parameters: Parameters) -> Answer:
    group = world.group(parameters["AutoScalingGroupName"])
    ids = parameters.get("InstanceIds") or []
    if len(ids) > MOST_PROTECTED:
        raise AwsFault("LimitExceeded", f"The number of instance IDs exceeds the limit of {MOST_PROTECTED}.")
    for one in ids:
        if one not in group.instances:
            raise invalid(f"The instance {one} is not part of Auto Scaling group {group.name}.")
        if group.instances[one].state != "InService":
            raise invalid(f"The instance {one} is not in InService or EnteringStandby or Standby.")
    for one in ids:
        group.instances[one].protected = parameters["ProtectedFromScaleIn"]
        group.instances[one].wire = None
    return {}


def set_instance_health(world: World, parameters: Parameters) -> Answer:
    instance = world.instance(parameters["InstanceId"], samples.UNKNOWN_INSTANCE.format(id=parameters["InstanceId"]))
    instance.healthy, instance.wire = parameters["HealthStatus"] == "Healthy", None
    if not instance.healthy and "ReplaceUnhealthy" not in world.group(instance.group).suspended:
        lose(world, instance)
    return {}


def suspend_processes(world: World, parameters: Parameters) -> Answer:
    world.group(parameters["AutoScalingGroupName"]).suspended |= _processes(parameters)
    return {}


def resume_processes(world: World, parameters: Parameters) -> Answer:
    group = world.group(parameters["AutoScalingGroupName"])
    group.suspended -= _processes(parameters)
    reconcile_soon(world, group)
    return {}


def create_or_update_tags(world: World, parameters: Parameters) -> Answer:
    for tag in parameters["Tags"]:
        _put_tags(world.group(tag["ResourceId"]), [tag])
    return {}


def delete_tags(world: World, parameters: Parameters) -> Answer:
    for tag in parameters["Tags"]:
        world.group(tag["ResourceId"]).tags.pop(tag["Key"], None)
    return {}


def start_instance_refresh(world: World, parameters: Parameters) -> Answer:
    """The refresh is only told of: it replaces nothing and lasts until it is cancelled."""
    group = world.group(parameters["AutoScalingGroupName"])
    refresh = {
        "InstanceRefreshId": world.new_id("refresh"),
        "AutoScalingGroupName": group.name,
        "Status": "InProgress",
        "StartTime": clock.now(),
        "PercentageComplete": 0,
    }
    group.refreshes.append(refresh)
    return {"InstanceRefreshId": refresh["InstanceRefreshId"]}


def cancel_instance_refresh(world: World, parameters: Parameters) -> Answer:
    group = world.group(parameters["AutoScalingGroupName"])
    running = [refresh for refresh in group.refreshes if refresh["Status"] == "InProgress"]
    if not running:
        raise AwsFault("ActiveInstanceRefreshNotFound", samples.NO_REFRESH.format(name=group.name))
    running[-1]["Status"] = "Cancelled"
    return {"InstanceRefreshId": running[-1]["InstanceRefreshId"]}


def _forget(world: World, group: Group) -> None:
    if world.groups.get(group.name) is group:
        del world.groups[group.name]


def _places(world: World, parameters: Parameters) -> tuple[tuple[str, ...], dict[str, str]]:
    """Zones in order, and the subnet of each: as given, else the default subnet."""
    given = [one.strip() for one in (parameters.get("VPCZoneIdentifier") or "").split(",") if one.strip()]
    subnets = {world.backing.zone_of_subnet(subnet): subnet for subnet in given}
    zones = parameters.get("AvailabilityZones") or sorted(subnets)
    defaults = world.backing.default_subnets()
    unknown = [zone for zone in zones if zone not in defaults]
    if not zones or unknown:
        raise invalid(samples.ZONES_DO_NOT_MATCH.format(zones=", ".join(unknown)))
    return tuple(sorted(zones)), {zone: subnets.get(zone, defaults[zone]) for zone in zones}


def _set_source(world: World, group: Group, parameters: Parameters) -> None:
    """What the group launches from; naming one kind drops the other."""
    if parameters.get("LaunchTemplate"):
        found = require_template(world.backing, parameters["LaunchTemplate"])
        version = parameters["LaunchTemplate"].get("Version", "$Default")
        group.template = {"LaunchTemplateId": found.id, "LaunchTemplateName": found.name, "Version": version}
        group.mixed = group.launch_configuration = None
    elif parameters.get("MixedInstancesPolicy"):
        group.mixed = dict(parameters["MixedInstancesPolicy"])
        group.template = group.launch_configuration = None
        _complete_policy(world, group)
    elif parameters.get("LaunchConfigurationName"):
        name = parameters["LaunchConfigurationName"]
        if world.backing.launch_configuration(name) is None:
            raise invalid(f"Launch configuration name not found - {name}")
        group.launch_configuration = name
        group.template = group.mixed = None


def _complete_policy(world: World, group: Group) -> None:
    """Fill in what AWS fills in: id and name of the template, the distribution's defaults."""
    policy = group.mixed or {}
    specification = base_specification(group)
    found = require_template(world.backing, specification)
    if (found.data.get("InstanceMarketOptions") or {}).get("MarketType"):
        raise invalid(samples.SPOT_TEMPLATE_IN_POLICY)
    template = dict(policy["LaunchTemplate"])
    template["LaunchTemplateSpecification"] = {
        "LaunchTemplateId": found.id,
        "LaunchTemplateName": found.name,
        "Version": specification.get("Version", "$Default"),
    }
    defaults = {
        "OnDemandAllocationStrategy": "prioritized",
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 100,
        "SpotAllocationStrategy": "lowest-price",
    }
    distribution = defaults | (policy.get("InstancesDistribution") or {})
    group.mixed = {"LaunchTemplate": template, "InstancesDistribution": distribution}


def _kept(parameters: Parameters) -> Answer:
    return {key: parameters[key] for key in _KEPT if key in parameters}


def _check_sizes(group: Group) -> None:
    if group.min_size > group.max_size:
        raise invalid("Max bound must be greater than or equal to min bound")
    if group.desired > group.max_size or group.desired < group.min_size:
        raise invalid(samples.DESIRED_OUTSIDE.format(desired=group.desired, min=group.min_size, max=group.max_size))


def _put_tags(group: Group, tags: list[dict[str, Any]]) -> None:
    for tag in tags:
        group.tags[tag["Key"]] = TagEntry(tag.get("Value") or "", tag.get("PropagateAtLaunch", False))


def _processes(parameters: Parameters) -> frozenset[str]:
    named = frozenset(parameters.get("ScalingProcesses") or PROCESSES)
    if named - PROCESSES:
        raise invalid(f"Unknown scaling processes: {', '.join(sorted(named - PROCESSES))}")
    return named


ANSWERS: dict[str, Callable[[World, Parameters], Answer]] = {
    "CancelInstanceRefresh": cancel_instance_refresh,
    "CreateAutoScalingGroup": create_auto_scaling_group,
    "CreateOrUpdateTags": create_or_update_tags,
    "DeleteAutoScalingGroup": delete_auto_scaling_group,
    "DeleteTags": delete_tags,
    "DescribeAutoScalingGroups": describe.describe_auto_scaling_groups,
    "DescribeAutoScalingInstances": describe.describe_auto_scaling_instances,
    "DescribeInstanceRefreshes": describe.describe_instance_refreshes,
    "DescribeScalingActivities": describe.describe_scaling_activities,
    "DescribeTags": describe.describe_tags,
    "DescribeWarmPool": describe.describe_warm_pool,
    "ResumeProcesses": resume_processes,
    "SetDesiredCapacity": set_desired_capacity,
    "SetInstanceHealth": set_instance_health,
    "SetInstanceProtection": set_instance_protection,
    "StartInstanceRefresh": start_instance_refresh,
    "SuspendProcesses": suspend_processes,
    "TerminateInstanceInAutoScalingGroup": terminate_instance,
    "UpdateAutoScalingGroup": update_auto_scaling_group,
}
