"""Terminating one exact instance of a group.

Relative (with decrement), so that no other writer of sizes is overruled. What
is gone already is success. AWS tells a group at its minimum from an unknown
instance in prose only: so the group is read instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.aws.answers import refusal_of
from autoscaler.aws.client import Aws
from autoscaler.aws.gate import BACKOFF
from autoscaler.aws.sizes import GROUP_MISSING, GroupSizes
from autoscaler.core.decision import Refusal, Removal
from autoscaler.core.model import Lifecycle, NodeGroup
from autoscaler.errors import AwsError

NO_NODE = "NoNode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """What became of a removal. Without a refusal the instance is going, or gone already."""

    removal: Removal
    refusal: Refusal | None = None
    decremented: bool = False
    was_gone: bool = False


async def terminate(aws: Aws, sizes: GroupSizes, removal: Removal) -> Termination:
    """Terminate one instance; never raises for what AWS says.

    An instance that never became a Node goes even at the group minimum, where
    AWS refuses to decrement: then AWS replaces it.
    """
    try:
        await _send(aws, removal, decrement=removal.decrement)
        return Termination(removal=removal, decremented=removal.decrement)
    except AwsError as error:
        return await _judge(aws, sizes, removal, error)


async def _judge(aws: Aws, sizes: GroupSizes, removal: Removal, error: AwsError) -> Termination:
    """Look at the group to learn what an error of the call meant."""
    refused = Termination(removal=removal, refusal=refusal_of(error))
    if error.code == BACKOFF or error.status in (401, 403):
        return refused
    try:
        group = await sizes.read_group(removal.group)
    except AwsError as second:
        return Termination(removal=removal, was_gone=True) if second.code == GROUP_MISSING else refused
    if _is_gone(group, removal):
        return Termination(removal=removal, was_gone=True)
    if not (removal.decrement and removal.reason == NO_NODE and group.desired <= group.min_size):
        return refused
    try:
        await _send(aws, removal, decrement=False)
    except AwsError as second:
        return Termination(removal=removal, refusal=refusal_of(second))
    return Termination(removal=removal)


def _is_gone(group: NodeGroup, removal: Removal) -> bool:
    states = [one.lifecycle for one in group.instances if one.id == removal.instance]
    return not states or states[0] is Lifecycle.LEAVING


async def _send(aws: Aws, removal: Removal, *, decrement: bool) -> None:
    await aws.call(
        "autoscaling",
        "TerminateInstanceInAutoScalingGroup",
        InstanceId=removal.instance,
        ShouldDecrementDesiredCapacity=decrement,
    )
