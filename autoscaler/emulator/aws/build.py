"""Groups in one line: for the demo, the tests and the benches.

What it makes is what the API would have made: a launch template in EC2 and a
group in Auto Scaling, with the same state and the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict

from autoscaler.core.model import Market
from autoscaler.emulator.aws.actions import create_auto_scaling_group
from autoscaler.emulator.aws.world import World

IMAGE = "ami-0e05be0ef0a2b1c3d"


class GroupSettings(TypedDict, total=False):
    """What can be said of a new group; all but the name has a default.

    `policy`: launch through a mixed instances policy; the default is to do so
    for several types or a mixed market, and else to put the market into the
    launch template. `weights` in units by type. `base` and `percentage`: the
    on-demand part of a mixed market. Tags are propagated to the instances.
    `template` is merged into the launch template's data.
    """

    name: Required[str]
    zones: Sequence[str]
    instance_types: Sequence[str]
    market: str
    min: int
    max: int
    desired: int
    tags: Mapping[str, str]
    weights: Mapping[str, int]
    base: int
    percentage: int
    policy: bool
    template: Mapping[str, Any]
    protect_new: bool


def create_group(world: World, settings: GroupSettings) -> None:
    """Create the launch template `NAME-template` and the group; needs the world's lock."""
    name = settings["name"]
    types = list(settings.get("instance_types", ("m5.large",)))
    market = Market(settings.get("market", Market.ON_DEMAND))
    with_policy = settings.get("policy", len(types) > 1 or market is Market.MIXED or bool(settings.get("weights")))
    data: dict[str, Any] = {"ImageId": IMAGE, "InstanceType": types[0]} | dict(settings.get("template", {}))
    if market is Market.SPOT and not with_policy:
        data["InstanceMarketOptions"] = {"MarketType": "spot"}
    template = f"{name}-template"
    world.backing.create_template(template, data)
    specification = {"LaunchTemplateName": template, "Version": "$Latest"}
    source: dict[str, Any] = {"LaunchTemplate": specification}
    if with_policy:
        source = {"MixedInstancesPolicy": _policy(settings, types, market, specification)}
    tags = settings.get("tags", {})
    create_auto_scaling_group(
        world,
        source
        | {
            "AutoScalingGroupName": name,
            "MinSize": settings.get("min", 0),
            "MaxSize": settings.get("max", 10),
            "DesiredCapacity": settings.get("desired", settings.get("min", 0)),
            "VPCZoneIdentifier": ",".join(_subnets(world, settings)),
            "NewInstancesProtectedFromScaleIn": settings.get("protect_new", False),
            "Tags": [{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
        },
    )


def _subnets(world: World, settings: GroupSettings) -> list[str]:
    defaults = world.backing.default_subnets()
    return [defaults[zone] for zone in settings.get("zones", list(defaults))]


def _policy(
    settings: GroupSettings, types: list[str], market: Market, specification: Mapping[str, str]
) -> dict[str, Any]:
    weights = settings.get("weights", {})
    overrides = [
        {"InstanceType": one} | ({"WeightedCapacity": str(weights[one])} if one in weights else {}) for one in types
    ]
    share = {Market.SPOT: 0, Market.ON_DEMAND: 100}.get(market, settings.get("percentage", 50))
    return {
        "LaunchTemplate": {"LaunchTemplateSpecification": specification, "Overrides": overrides},
        "InstancesDistribution": {
            "OnDemandBaseCapacity": settings.get("base", 0) if market is Market.MIXED else 0,
            "OnDemandPercentageAboveBaseCapacity": share,
        },
    }
