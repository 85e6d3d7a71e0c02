"""Desired capacities: read, changed relatively, verified, one task per group at a time.

For groups that LaunchInstances does not serve. A write never exceeds the
maximum and never goes below the live instances or the minimum. Others may write
too: nothing read here is trusted after the lock is released. AWS takes only
absolute sizes: one that arrives late may be below what runs by then. So
instances are protected from scale-in where sizes are written, and desired is
raised to them again (`protection`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from autoscaler import clock
from autoscaler.aws.activities import Raised, read_seen
from autoscaler.aws.answers import may_have_happened, refusal_of
from autoscaler.aws.client import Aws
from autoscaler.aws.convert import to_group
from autoscaler.aws.fields import FieldError
from autoscaler.aws.known import Known
from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind
from autoscaler.core.model import GroupName, NodeGroup, Zone
from autoscaler.errors import AwsError

GROUP_MISSING = "GroupMissing"
AT_MAXIMUM = "AtMaximum"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """The units of a group, just read."""

    min: int
    max: int
    desired: int
    live: int


async def read_group(aws: Aws, group: GroupName) -> NodeGroup:
    """Read one group as it is now, without its shape. Raises AwsError."""
    answer = await aws.call("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=[group])
    for document in answer.get("AutoScalingGroups", ()):
        try:
            return to_group(document, Known())
        except FieldError as error:
            raise AwsError("MalformedGroup", f"group {group}: {error}") from None
    raise AwsError(GROUP_MISSING, f"group {group}: it does not exist any more", 400)


def at_maximum(group: GroupName, units: int, zone: Zone | None = None) -> Refusal:
    """What somebody else's raise took from us: nothing is dry, and the next refresh shows it."""
    detail = f"group {group}: {units} units would exceed its maximum; they are not asked for"
    return Refusal(kind=RefusalKind.CONTENTION, code=AT_MAXIMUM, detail=detail, zone=zone)


class GroupSizes:
    """Changes desired capacities; one for the whole process, as it holds the locks."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._locks: dict[GroupName, anyio.Lock] = {}

    @asynccontextmanager
    async def alone(self, group: GroupName) -> AsyncIterator[None]:
        async with self._locks.setdefault(group, anyio.Lock()):
            yield

    async def read_group(self, group: GroupName) -> NodeGroup:
        """Read one group as it is now, without its shape. Raises AwsError."""
        return await read_group(self._aws, group)

    async def read(self, group: GroupName) -> Sizes:
        """Read the sizes of a group. Raises AwsError."""
        found = await self.read_group(group)
        return Sizes(found.min_size, found.max_size, found.desired, found.live_units)

    async def raise_by(self, wish: Launch, group: NodeGroup) -> tuple[LaunchResult, Raised | None]:
        """Add the units of a launch to the desired capacity, as far as the maximum allows.

        The result names no instances: they come, or their failures do, and
        `Raised` is what `activities` follows. Where protected instances live
        above desired, it is counted from these: nothing would come otherwise.
        Never raises for what AWS says.
        """
        began = anyio.current_time()
        refusals: tuple[Refusal, ...] = ()
        raised: Raised | None = None
        try:
            async with self.alone(group.name):
                seen = await read_seen(self._aws, group.name)
                sizes = await self.read(group.name)
                base = max(sizes.desired, sizes.live)
                target = min(base + wish.units, sizes.max, group.max_size)
                if target > base:
                    await self._write(group.name, sizes.desired, target)
                    raised = Raised(group.name, target - base, seen, target)
                got = max(0, target - base)
                if got < wish.units:
                    refusals = (at_maximum(group.name, wish.units - got, wish.zone),)
        except AwsError as error:
            refusals = (refusal_of(error, wish.zone),)
        seconds = anyio.current_time() - began
        return LaunchResult(launch=wish, at=clock.now(), refusals=refusals, seconds=seconds), raised

    async def withdraw(self, group: GroupName, units: int) -> int:
        """Take back units that are proven missing; return how many were. Raises AwsError."""
        async with self.alone(group):
            sizes = await self.read(group)
            target = max(sizes.desired - units, sizes.live, sizes.min)
            if target >= sizes.desired:
                return 0
            await self._write(group, sizes.desired, target)
            return sizes.desired - target

    async def cover_live(self, group: GroupName) -> None:
        """Raise desired to the live instances: AWS would terminate the difference. Raises AwsError."""
        async with self.alone(group):
            sizes = await self.read(group)
            target = min(sizes.live, sizes.max)
            if target > sizes.desired:
                await self._write(group, sizes.desired, target)

    async def _write(self, group: GroupName, before: int, target: int) -> None:
        """Write and, when the answer is lost, read whether it happened. Raises AwsError."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._aws.call(
                    "autoscaling",
                    "SetDesiredCapacity",
                    AutoScalingGroupName=group,
                    DesiredCapacity=target,
                    HonorCooldown=False,
                )
                return
            except AwsError as error:
                if not may_have_happened(error) or attempt == _ATTEMPTS:
                    raise
            now = (await self.read(group)).desired
            if now == target:
                return
            if now != before:
                raise AwsError("ResourceContention", f"group {group}: desired became {now} by another hand", 400)
