"""Which instances must be protected from the Auto Scaling group's own scale-in.

LaunchInstances names zones so that a family is even; one group of it may be
uneven by that, and AZRebalance would terminate nodes there without a drain.
Where desired capacities are written, AWS would do the same when a size arrives
late, from a process that leads no more. Taking protection away is dangerous
while desired is below the live instances: AWS would terminate the difference.
So desired must cover them first (DESIGN 5.10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.core.model import GroupName, InstanceId, LaunchMethod, Lifecycle, NodeGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """One change of scale-in protection. `raise_by` units of desired come first."""

    group: GroupName
    instances: tuple[InstanceId, ...]
    protect: bool
    raise_by: int = 0


def protection_changes(
    groups: Iterable[NodeGroup], mode: str, method: LaunchMethod | None = None
) -> tuple[Protection, ...]:
    """Return what is to be changed; `mode` is auto, always or never, `method` that of all groups, if not their own.

    An instance refresh waits for protected instances, so there it is lifted.
    `never` touches nothing: what is protected may be so by somebody else.
    """
    if mode == "never":
        return ()
    found = []
    for group in sorted(groups, key=lambda one: one.name):
        is_written = (method or group.method) is LaunchMethod.DESIRED
        if not (group.rebalances or is_written or mode == "always"):
            continue
        lift = group.is_refreshing
        members = sorted(
            one.id for one in group.instances if one.lifecycle is Lifecycle.IN_SERVICE and one.protected == lift
        )
        if members:
            missing = max(0, group.live_units - group.desired) if lift else 0
            found.append(Protection(group=group.name, instances=tuple(members), protect=not lift, raise_by=missing))
    return tuple(found)


def uncovered(groups: Iterable[NodeGroup], mode: str) -> frozenset[GroupName]:
    """Name the groups whose desired capacity is below the instances that scale-in may not take.

    AWS leaves these alone as long as they are protected; but it would
    launch nothing up to their number, and refuse to take one of them out at
    the minimum.
    """
    if mode == "never":
        return frozenset()
    return frozenset(
        group.name
        for group in groups
        if not (group.is_refreshing or group.is_being_deleted)
        and group.desired
        < sum(one.weight for one in group.instances if one.protected and one.lifecycle is Lifecycle.IN_SERVICE)
    )
