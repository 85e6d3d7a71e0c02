"""Which instance types a group would launch, in which market, and one attempt to do it.

As EC2 Fleet with the "prioritized" strategy: the types of the policy are tried
in their order, each for what is still missing. An attempt takes from the pools
and adds instances; desired capacity and activities are the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler import clock
from autoscaler.core.model import Market
from autoscaler.emulator.aws import samples
from autoscaler.emulator.aws.backing import Template, instance_types
from autoscaler.emulator.aws.model import Group, Instance
from autoscaler.emulator.aws.world import World

MOST_TYPES = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to launch: a type, the units it counts for, the template it comes from."""

    instance_type: str
    weight: int
    template: Template | None
    weighted: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one pool said no to."""

    instance_type: str
    market: Market
    zone: str
    subnet_id: str
    code: str
    message: str
    facts: Mapping[str, str]


@dataclass(slots=True)
class Outcome:
    launched: list[Instance] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def units(self) -> int:
        return sum(instance.weight for instance in self.launched)


def base_specification(group: Group) -> dict[str, str]:
    """The launch template that the group names; empty for a launch configuration."""
    if group.mixed is not None:
        specification: dict[str, str] = group.mixed.get("LaunchTemplate", {}).get("LaunchTemplateSpecification", {})
        return specification
    return group.template or {}


def market_of(world: World, group: Group) -> Market:
    """How the group buys: by its InstancesDistribution, else by its template's market options."""
    if group.mixed is not None:
        base, share = on_demand_share(group)
        if share >= 100:
            return Market.ON_DEMAND
        return Market.SPOT if base == 0 and share == 0 else Market.MIXED
    if group.launch_configuration is not None:
        _, bids = world.backing.launch_configuration(group.launch_configuration) or ("", False)
        return Market.SPOT if bids else Market.ON_DEMAND
    template = world.backing.template(group.template or {})
    options = template.data.get("InstanceMarketOptions") or {} if template else {}
    return Market.SPOT if options.get("MarketType") == "spot" else Market.ON_DEMAND


def on_demand_share(group: Group) -> tuple[int, int]:
    """Base capacity and percentage above it, of a mixed instances policy."""
    distribution = (group.mixed or {}).get("InstancesDistribution") or {}
    share = distribution.get("OnDemandPercentageAboveBaseCapacity")
    return int(distribution.get("OnDemandBaseCapacity") or 0), 100 if share is None else int(share)


def candidates(world: World, group: Group) -> list[Candidate]:
    """The types that the group may launch, most wanted first; none when its template is gone."""
    if group.launch_configuration is not None:
        configuration = world.backing.launch_configuration(group.launch_configuration)
        return [Candidate(configuration[0], 1, None)] if configuration else []
    base = world.backing.template(base_specification(group))
    if base is None:
        return []
    found: list[Candidate] = []
    for override in (group.mixed or {}).get("LaunchTemplate", {}).get("Overrides") or [{}]:
        own = override.get("LaunchTemplateSpecification")
        template = world.backing.template(own) if own else base
        weighted = bool(override.get("WeightedCapacity"))
        weight = int(override.get("WeightedCapacity") or 1)
        requirements = override.get("InstanceRequirements")
        if requirements:
            names = matching_types(requirements)
        else:
            default = template.data.get("InstanceType") if template else None
            names = [override.get("InstanceType") or default or ""]
        found += [Candidate(name, weight, template, weighted) for name in names if name]
    return found


def matching_types(requirements: Mapping[str, Any]) -> list[str]:
    """Current-generation types within the vCPU and memory bounds, smallest first, at most 20."""
    cpus, memory = requirements.get("VCpuCount") or {}, requirements.get("MemoryMiB") or {}
    allowed = requirements.get("AllowedInstanceTypes")
    fits = []
    for name, facts in instance_types().items():
        vcpus, mebibytes = facts["VCpuInfo"]["DefaultVCpus"], facts["MemoryInfo"]["SizeInMiB"]
        if not facts.get("CurrentGeneration") or facts.get("BareMetal") or (allowed and name not in allowed):
            continue
        if _within(vcpus, cpus) and _within(mebibytes, memory):
            fits.append((vcpus, mebibytes, name))
    return [name for _, _, name in sorted(fits)[:MOST_TYPES]]


def attempt(world: World, group: Group, zone: str, market: Market, units: int) -> Outcome:
    """Launch up to `units` in one zone and one market, type by type."""
    outcome = Outcome()
    options = candidates(world, group)
    if not options or group.refusal is not None:
        code = group.refusal or "InvalidLaunchTemplate"
        named = options[0].instance_type if options else ""
        outcome.refusals.append(_refusal(world, group, world.pool(named, zone, market), code))
        return outcome
    for candidate in options:
        missing = units - outcome.units
        if missing <= 0:
            break
        wanted = math.ceil(missing / candidate.weight)
        pool = world.pool(candidate.instance_type, zone, market)
        taken = world.pools.take(pool, wanted)
        for _ in range(taken):
            outcome.launched.append(_launch(world, group, candidate, zone, market))
        if taken < wanted:
            outcome.refusals.append(_refusal(world, group, pool, world.pools.stock(pool).refusal))
    return outcome


def _launch(world: World, group: Group, candidate: Candidate, zone: str, market: Market) -> Instance:
    template = candidate.template
    instance = Instance(
        id=world.new_id("i"),
        group=group.name,
        instance_type=candidate.instance_type,
        zone=zone,
        subnet_id=group.subnets.get(zone, ""),
        market=market,
        weight=candidate.weight,
        weighted=candidate.weighted,
        launched=clock.now(),
        private_ip=world.address(),
        image_id=str(template.data.get("ImageId") or "") if template else "",
        template=named(template) if template else {},
        tags=_tags(group, template),
        protected=group.protect_new,
    )
    world.add_instance(instance)
    return instance


def named(template: Template) -> dict[str, str]:
    """How an instance names the template that it came from."""
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": str(template.version),
    }


def _tags(group: Group, template: Template | None) -> dict[str, str]:
    """Tags of a new instance: its template's, then those that the group propagates."""
    tags: dict[str, str] = {}
    if template is not None:
        for specification in template.data.get("TagSpecifications") or []:
            if specification.get("ResourceType") == "instance":
                tags |= {tag["Key"]: tag["Value"] for tag in specification.get("Tags") or []}
        tags["aws:ec2launchtemplate:id"] = template.id
        tags["aws:ec2launchtemplate:version"] = str(template.version)
    tags |= {key: tag.value for key, tag in group.tags.items() if tag.propagate}
    tags["aws:autoscaling:groupName"] = group.name
    return tags


def _refusal(world: World, group: Group, pool: Any, code: str) -> Refusal:
    others = [zone for zone in sorted(world.backing.default_subnets()) if zone != pool.zone]
    subnet = group.subnets.get(pool.zone, "")
    facts = {
        "type": pool.instance_type,
        "zone": pool.zone,
        "others": ", ".join(others),
        "subnet": subnet,
        "limit": "64",
    }
    message = samples.error_message(code, pool.market, **facts)
    return Refusal(pool.instance_type, pool.market, pool.zone, subnet, code, message, facts)


def _within(value: int, bounds: Mapping[str, Any]) -> bool:
    highest = bounds.get("Max")
    return int(bounds.get("Min") or 0) <= value and (highest is None or value <= int(highest))
