"""LaunchInstances: the synchronous launch, with its tokens.

As botocore's model 1.43.117 and the AWS guide have it: launch templates only,
wholly spot or wholly on-demand, one zone of the group, at most 100 instances,
desired capacity raised by what was launched. A token is taken before the call
waits and answers the same ever after, also with the errors of that day; a call
that was refused as invalid leaves none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from autoscaler.core.model import Market
from autoscaler.emulator.aws.allocation import Outcome, attempt, candidates, market_of
from autoscaler.emulator.aws.groups import reconcile_soon
from autoscaler.emulator.aws.model import WIRE_MARKETS, AwsFault, Group, invalid
from autoscaler.emulator.aws.world import World

MOST_INSTANCES = 100
LONGEST_TOKEN = 64
Answer = dict[str, Any]


class Tokens:
    """Client tokens seen, by group: the parameters they came with, and the answer once there is one."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], tuple[str, Answer | None]] = {}

    def begin(self, parameters: Mapping[str, Any]) -> Answer | None:
        """The old answer of a repeated call; None for a new one, whose token is now taken."""
        key, asked = _key(parameters), repr(sorted(parameters.items()))
        if len(key[1]) > LONGEST_TOKEN:
            raise invalid(f"ClientToken has {len(key[1])} characters, more than {LONGEST_TOKEN}.")
        if key not in self._calls:
            self._calls[key] = (asked, None)
            return None
        earlier, answer = self._calls[key]
        if earlier != asked:
            raise AwsFault(
                "IdempotentParameterMismatch",
                "The ClientToken was used before in a call with other parameters.",
            )
        if answer is None:
            raise AwsFault("IdempotentCallInProgress", "A call with this ClientToken is still in progress.", 500)
        return answer

    def finish(self, parameters: Mapping[str, Any], answer: Answer) -> None:
        self._calls[_key(parameters)] = (self._calls[_key(parameters)][0], answer)

    def abandon(self, parameters: Mapping[str, Any]) -> None:
        """The call ended without an effect: the token is free again."""
        self._calls.pop(_key(parameters), None)

    def clear(self) -> None:
        self._calls.clear()


def launch_instances(world: World, parameters: Mapping[str, Any]) -> Answer:
    """Carry out one call; raises AwsFault for what the API refuses as a whole."""
    group = world.group(parameters["AutoScalingGroupName"])
    zone = _zone(world, group, parameters)
    market = _market(world, group)
    requested = parameters["RequestedCapacity"]
    _check_size(world, group, requested)
    outcome = attempt(world, group, zone, market, requested)
    group.desired += outcome.units
    if parameters.get("RetryStrategy") == "retry-with-group-configuration" and outcome.units < requested:
        group.desired += requested - outcome.units
        reconcile_soon(world, group)
    return _answer(world, parameters, outcome)


def _key(parameters: Mapping[str, Any]) -> tuple[str, str]:
    return parameters["AutoScalingGroupName"], parameters["ClientToken"]


def _zone(world: World, group: Group, parameters: Mapping[str, Any]) -> str:
    """The one zone that the call names; a group with one zone need not be told."""
    given = [name for name in ("AvailabilityZones", "AvailabilityZoneIds", "SubnetIds") if parameters.get(name)]
    if not given and len(group.zones) == 1:
        return group.zones[0]
    if len(given) != 1 or len(parameters[given[0]]) != 1:
        raise invalid(
            "Specify exactly one Availability Zone, Availability Zone ID or subnet for an Auto Scaling group with "
            "multiple Availability Zones."
        )
    wanted = parameters[given[0]][0]
    names = {
        "AvailabilityZones": {zone: zone for zone in group.zones},
        "AvailabilityZoneIds": {world.zone_id(zone): zone for zone in group.zones},
        "SubnetIds": {subnet: zone for zone, subnet in group.subnets.items()},
    }[given[0]]
    if wanted not in names:
        raise invalid(f"{wanted} is not one of the {given[0]} of the Auto Scaling group {group.name}.")
    return names[wanted]


def _market(world: World, group: Group) -> Market:
    if group.launch_configuration is not None:
        raise invalid(f"LaunchInstances requires a launch template; {group.name} uses a launch configuration.")
    if "Launch" in group.suspended:
        raise invalid(f"The Launch process of the Auto Scaling group {group.name} is suspended.")
    market = market_of(world, group)
    if market is Market.MIXED:
        raise invalid(
            "LaunchInstances requires a MixedInstancesPolicy of 100% On-Demand or 100% Spot Instances; "
            f"{group.name} mixes both."
        )
    return market


def _check_size(world: World, group: Group, requested: int) -> None:
    lightest = min((candidate.weight for candidate in candidates(world, group)), default=1)
    if -(-requested // lightest) > MOST_INSTANCES:
        raise invalid(f"RequestedCapacity {requested} would launch more than {MOST_INSTANCES} instances.")
    if group.desired + requested > group.max_size:
        raise invalid(
            f"The requested capacity {requested} would raise the desired capacity to {group.desired + requested}, "
            f"above the max size {group.max_size} of the Auto Scaling group {group.name}."
        )


def _answer(world: World, parameters: Mapping[str, Any], outcome: Outcome) -> Answer:
    together: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for instance in outcome.launched:
        key = (instance.instance_type, WIRE_MARKETS[instance.market], instance.subnet_id, instance.zone)
        together[key].append(instance.id)
    launched = [_place(world, *key) | {"InstanceIds": ids} for key, ids in together.items()]
    errors = [
        _place(world, refusal.instance_type, WIRE_MARKETS[refusal.market], refusal.subnet_id, refusal.zone)
        | {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
        for refusal in outcome.refusals
    ]
    return {
        "AutoScalingGroupName": parameters["AutoScalingGroupName"],
        "ClientToken": parameters["ClientToken"],
        "Instances": launched,
        "Errors": errors,
    }


def _place(world: World, instance_type: str, market: str, subnet: str, zone: str) -> Answer:
    return {
        "InstanceType": instance_type,
        "MarketType": market,
        "SubnetId": subnet,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": world.zone_id(zone),
    }
