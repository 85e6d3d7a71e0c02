"""Scale-in protection: keeps AWS from terminating nodes of ours without a drain.

Only instances in service can be protected; others are left for the next time.
Protection is taken away only once desired covers the live instances: AWS would
terminate the difference. Which instances want it is the planner's question.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from autoscaler.aws.client import Aws
from autoscaler.aws.facts import chunks
from autoscaler.aws.sizes import GroupSizes
from autoscaler.core.model import GroupFault, GroupName, InstanceId
from autoscaler.errors import AwsError

MOST_INSTANCES = 50  # of one call
FAULT = "ScaleInProtectionFailed"  # reason of the event


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Which instances were changed, and the fault when AWS refused; `denied` when it always will."""

    changed: tuple[InstanceId, ...] = ()
    fault: GroupFault | None = None
    denied: bool = False


async def protect(aws: Aws, group: GroupName, ids: Collection[InstanceId]) -> Protection:
    """Protect instances from scale-in; never raises for what AWS says."""
    return await _set(aws, group, ids, protected=True)


async def unprotect(aws: Aws, sizes: GroupSizes, group: GroupName, ids: Collection[InstanceId]) -> Protection:
    """Take protection away, after making desired cover the live instances."""
    try:
        await sizes.cover_live(group)
    except AwsError as error:
        return Protection(fault=_fault(error), denied=error.status == 403)
    return await _set(aws, group, ids, protected=False)


async def _set(aws: Aws, group: GroupName, ids: Collection[InstanceId], *, protected: bool) -> Protection:
    changed: list[InstanceId] = []
    fault: GroupFault | None = None
    for chunk in chunks(sorted(set(ids)), MOST_INSTANCES):
        done, error = await _set_some(aws, group, chunk, protected=protected)
        changed += done
        if error is not None:
            fault = _fault(error)
            if error.status != 400:
                return Protection(changed=tuple(changed), fault=fault, denied=error.status == 403)
    return Protection(changed=tuple(changed), fault=fault)


async def _set_some(
    aws: Aws, group: GroupName, ids: list[InstanceId], *, protected: bool
) -> tuple[list[InstanceId], AwsError | None]:
    """Change some instances; when one of them spoils the call, the halves are tried alone."""
    try:
        await aws.call(
            "autoscaling",
            "SetInstanceProtection",
            AutoScalingGroupName=group,
            InstanceIds=ids,
            ProtectedFromScaleIn=protected,
        )
    except AwsError as error:
        if error.status != 400 or len(ids) == 1:
            return [], error
        half = len(ids) // 2
        first, fault = await _set_some(aws, group, ids[:half], protected=protected)
        second, other = await _set_some(aws, group, ids[half:], protected=protected)
        return first + second, fault or other
    return ids, None


def _fault(error: AwsError) -> GroupFault:
    return GroupFault(code=FAULT, detail=f"{error}; AWS may terminate nodes here without a drain")
