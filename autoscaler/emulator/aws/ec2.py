"""The EC2 calls that our world answers: instances of groups, and instance types.

DescribeInstances knows the instances of groups only (the market shows as
InstanceLifecycle). DescribeInstanceTypes serves moto's recorded AWS data from
XML written once; with filters it is left to moto. All else goes to moto.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from autoscaler.core.model import Market
from autoscaler.emulator.aws.backing import instance_types
from autoscaler.emulator.aws.groups import lose
from autoscaler.emulator.aws.model import AwsFault, Instance
from autoscaler.emulator.aws.wire import Flat, Ready, operation, write_item
from autoscaler.emulator.aws.world import World

STATES = {"Pending": (0, "pending"), "InService": (16, "running"), "Terminating": (32, "shutting-down")}
TYPES_A_PAGE = 100


def describe_instances(world: World, flat: Flat) -> dict[str, Any]:
    """One reservation for each instance; ids, the usual filters and pages."""
    chosen = _by_id(world, flat)
    for name, values in _filters(flat):
        chosen = [instance for instance in chosen if _value(instance, name) in values]
    start, size = int(flat.get("NextToken") or 0), int(flat.get("MaxResults") or len(chosen) or 1)
    following = start + size
    reservations = [
        {
            "ReservationId": f"r-{instance.id.removeprefix('i-')}",
            "OwnerId": world.backing.account,
            "Instances": [_item(instance)],
        }
        for instance in chosen[start:following]
    ]
    return {"Reservations": reservations, "NextToken": str(following) if following < len(chosen) else None}


def terminate_instances(world: World, flat: Flat) -> dict[str, Any]:
    """As an operator, or the end of a spot instance, does: the group replaces what is lost."""
    changes = []
    for instance in _by_id(world, flat):
        before = STATES.get(instance.state, (16, "running"))
        lose(world, instance)
        changes.append(
            {
                "InstanceId": instance.id,
                "PreviousState": {"Code": before[0], "Name": before[1]},
                "CurrentState": {"Code": 32, "Name": "shutting-down"},
            }
        )
    return {"TerminatingInstances": changes}


def describe_instance_types(_world: World, flat: Flat) -> dict[str, Any]:
    """Named types, or all of them in pages of at most 100."""
    known = instance_types()
    names = _numbered(flat, "InstanceType")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise AwsFault(
            "InvalidInstanceType",
            f"The following supplied instance types do not exist: [{', '.join(unknown)}]",
        )
    names = names or sorted(known)
    start, size = int(flat.get("NextToken") or 0), int(flat.get("MaxResults") or TYPES_A_PAGE)
    following = start + size
    return {
        "InstanceTypes": [_type_item(name) for name in names[start:following]],
        "NextToken": str(following) if following < len(names) else None,
    }


def answer_for(action: str, flat: Flat) -> Callable[[World, Flat], dict[str, Any]] | None:
    """The function that answers the call; None where moto does."""
    if action == "DescribeInstanceTypes" and "Filter.1.Name" in flat:
        return None
    return {
        "DescribeInstances": describe_instances,
        "DescribeInstanceTypes": describe_instance_types,
        "TerminateInstances": terminate_instances,
    }.get(action)


def _by_id(world: World, flat: Flat) -> list[Instance]:
    ids = _numbered(flat, "InstanceId")
    missing = [one for one in ids if one not in world.instances]
    if missing:
        noun = "ID" if len(missing) == 1 else "IDs"
        verb = "does" if len(missing) == 1 else "do"
        raise AwsFault("InvalidInstanceID.NotFound", f"The instance {noun} '{', '.join(missing)}' {verb} not exist")
    return [world.instances[one] for one in ids] if ids else list(world.instances.values())


def _item(instance: Instance) -> dict[str, Any]:
    code, name = STATES.get(instance.state, (16, "running"))
    return {
        "InstanceId": instance.id,
        "ImageId": instance.image_id,
        "State": {"Code": code, "Name": name},
        "PrivateDnsName": instance.private_dns_name,
        "PrivateIpAddress": instance.private_ip,
        "InstanceType": instance.instance_type,
        "InstanceLifecycle": "spot" if instance.market is Market.SPOT else None,
        "LaunchTime": instance.launched,
        "Placement": {"AvailabilityZone": instance.zone, "Tenancy": "default"},
        "SubnetId": instance.subnet_id,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(instance.tags.items())],
    }


def _value(instance: Instance, name: str) -> str:
    if name.startswith("tag:"):
        return instance.tags.get(name.removeprefix("tag:"), "")
    item = _item(instance)
    found: Mapping[str, Any] = {
        "instance-id": item["InstanceId"],
        "instance-type": item["InstanceType"],
        "instance-lifecycle": item["InstanceLifecycle"],
        "instance-state-name": item["State"]["Name"],
        "availability-zone": instance.zone,
        "private-dns-name": item["PrivateDnsName"],
    }
    if name not in found:
        raise AwsFault("InvalidParameterValue", f"The filter '{name}' is invalid")
    return found[name] or ""


def _filters(flat: Flat) -> list[tuple[str, list[str]]]:
    found = []
    number = 1
    while name := flat.get(f"Filter.{number}.Name"):
        found.append((name, _numbered(flat, f"Filter.{number}.Value")))
        number += 1
    return found


def _numbered(flat: Flat, prefix: str) -> list[str]:
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)")
    found = [(int(match[1]), value) for key, value in flat.items() if (match := pattern.fullmatch(key))]
    return [value for _, value in sorted(found)]


@cache
def _type_item(name: str) -> Ready:
    shape = operation("ec2", "DescribeInstanceTypes").output_shape.members["InstanceTypes"].member
    return write_item(shape, instance_types()[name])
