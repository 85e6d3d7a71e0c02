"""The state machine of a group: from its desired capacity to instances.

Asynchronous, as at AWS: a change is only noted, and a reconciliation some time
later launches what is missing (leaving Failed activities for what the pools
lack, and trying again) or terminates what is too much. Needs the world's lock.
Synchronous launches are in `launch`.
"""

from __future__ import annotations

from collections import Counter

from autoscaler import clock
from autoscaler.core.model import Market
from autoscaler.emulator.aws import samples
from autoscaler.emulator.aws.allocation import Outcome, Refusal, attempt, market_of, on_demand_share
from autoscaler.emulator.aws.model import Activity, Group, Instance, invalid
from autoscaler.emulator.aws.world import World


def reconcile_soon(world: World, group: Group) -> None:
    """Bring instances and desired capacity together, after the launch delay."""
    world.timers.after(world.delays.launch, lambda: _reconcile(world, group))


def set_desired(world: World, group: Group, desired: int) -> None:
    """Note a new desired capacity; refuses what is outside min and max."""
    if desired > group.max_size:
        raise invalid(samples.ABOVE_MAX.format(desired=desired, max=group.max_size))
    if desired < group.min_size:
        raise invalid(samples.BELOW_MIN.format(desired=desired, min=group.min_size))
    group.desired = desired
    reconcile_soon(world, group)


def terminate(world: World, group: Group, instance: Instance, decrement: bool) -> Activity:
    """TerminateInstanceInAutoScalingGroup of one instance; without decrement it is replaced."""
    if instance.state.startswith("Terminat"):
        raise invalid(f"The instance {instance.id} is not in InService or Standby.")
    weight = instance.weight if instance.is_live else 0
    if decrement and group.desired - weight < group.min_size:
        raise invalid(samples.AT_MIN_SIZE.format(min=group.min_size))
    before = group.desired
    group.desired -= weight if decrement else 0
    now = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
    cause = f"At {now} instance {instance.id} was taken out of service in response to a user request"
    cause += f", shrinking the capacity from {before} to {group.desired}." if decrement else "."
    activity = world.begin_termination(instance, cause)
    reconcile_soon(world, group)
    return activity


def lose(world: World, instance: Instance) -> None:
    """EC2 takes the instance (spot reclaim, TerminateInstances, bad health); the group replaces it."""
    group = world.groups.get(instance.group)
    if instance.state.startswith("Terminat"):
        return
    now = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
    cause = f"At {now} an instance was taken out of service in response to an EC2 health check indicating it has been "
    world.begin_termination(instance, cause + "terminated or stopped.")
    if group is not None:
        reconcile_soon(world, group)


def rebalance(world: World, group: Group) -> None:
    """AZRebalance, once: launch in the emptiest zone, then end an unprotected instance of the fullest."""
    if not group.rebalance or world.groups.get(group.name) is not group:
        return
    world.timers.after(world.delays.retry, lambda: rebalance(world, group))
    counts = {zone: group.live_in(zone) for zone in group.zones}
    fullest = max(group.zones, key=lambda zone: counts[zone])
    emptiest = min(group.zones, key=lambda zone: counts[zone])
    if counts[fullest] - counts[emptiest] <= 1 or {"AZRebalance", "Launch", "Terminate"} & group.suspended:
        return
    victim = _victim(group, fullest)
    if victim is None:
        return
    launched = attempt(world, group, emptiest, victim.market, victim.weight).launched
    if launched:
        now = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
        world.begin_termination(
            victim, f"At {now} instances were launched to balance instances in zones {fullest} with other zones."
        )


def _reconcile(world: World, group: Group) -> None:
    if world.groups.get(group.name) is not group:
        return
    missing = group.desired - group.live_units
    if missing > 0 and "Launch" not in group.suspended:
        _launch_missing(world, group, missing)
        if group.live_units < group.desired:
            _retry_later(world, group)
    elif missing < 0 and "Terminate" not in group.suspended:
        _terminate_surplus(world, group)


def _retry_later(world: World, group: Group) -> None:
    """One chain of retries a group, however often it is asked to reconcile."""
    if group.retry_due:
        return
    group.retry_due = True

    def retry() -> None:
        group.retry_due = False
        _reconcile(world, group)

    world.timers.after(world.delays.retry, retry)


def _launch_missing(world: World, group: Group, missing: int) -> None:
    for market, wanted in _by_market(world, group, missing):
        usable, units = list(group.zones), wanted
        while units > 0 and usable:
            for zone, even_share in _shares(group, usable, units).items():
                share = min(even_share, units)
                if share <= 0:
                    break
                before = group.live_units
                outcome = attempt(world, group, zone, market, share)
                units -= outcome.units
                if outcome.units < share:
                    usable.remove(zone)
                    _record_failure(world, group, outcome, before, before + share)


def _by_market(world: World, group: Group, missing: int) -> list[tuple[Market, int]]:
    market = market_of(world, group)
    if market is not Market.MIXED:
        return [(market, missing)]
    base, share = on_demand_share(group)
    above = max(0, group.desired - base)
    wanted = min(base, group.desired) + -(-above * share // 100)
    have = sum(i.weight for i in group.instances.values() if i.is_live and i.market is Market.ON_DEMAND)
    on_demand = min(missing, max(0, wanted - have))
    return [(Market.ON_DEMAND, on_demand), (Market.SPOT, missing - on_demand)]


def _shares(group: Group, zones: list[str], units: int) -> Counter[str]:
    """How many of the units each zone gets, so that the zones end as even as they can."""
    live = {zone: group.live_in(zone) for zone in zones}
    shares: Counter[str] = Counter()
    for _ in range(units):
        shares[min(zones, key=lambda zone: live[zone] + shares[zone])] += 1
    return shares


def _record_failure(world: World, group: Group, outcome: Outcome, before: int, wanted: int) -> None:
    refusal = outcome.refusals[-1]
    message = status_message(refusal, group)
    now = clock.now()
    activity = world.record(
        group.name,
        f"Launching a new EC2 instance.  Status Reason: {message}",
        "Failed",
        f'{{"Subnet ID":"{refusal.subnet_id}","Availability Zone":"{refusal.zone}"}}',
        f"At {now:%Y-%m-%dT%H:%M:%SZ} an instance was started in response to a difference between desired and actual "
        f"capacity, increasing the capacity from {before} to {wanted}.",
    )
    activity.message, activity.progress, activity.ended = message, 100, now


def status_message(refusal: Refusal, group: Group) -> str:
    return samples.status_message(refusal.code, refusal.market, group.mixed is not None, **refusal.facts)


def _terminate_surplus(world: World, group: Group) -> None:
    surplus = group.live_units - group.desired
    while surplus > 0:
        counts = Counter(i.zone for i in group.instances.values() if i.is_live and not i.protected)
        victim = _victim(group, max(counts, key=lambda zone: (counts[zone], zone))) if counts else None
        if victim is None or victim.weight > surplus:
            return
        surplus -= victim.weight
        now = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}"
        world.begin_termination(
            victim,
            f"At {now} an instance was taken out of service in response to a difference between desired and actual "
            f"capacity, shrinking the capacity from {group.desired + surplus + victim.weight} to "
            f"{group.desired + surplus}.",
        )


def _victim(group: Group, zone: str) -> Instance | None:
    """The oldest instance of the zone that scale-in may take; those InService first."""
    choice = [i for i in group.instances.values() if i.is_live and not i.protected and i.zone == zone]
    return min(choice, key=lambda i: (i.state != "InService", i.launched, i.id), default=None)
