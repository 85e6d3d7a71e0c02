"""The hands: launches, removals and protection, carried out through AWS.

A launch goes by LaunchInstances or by the desired capacity, as it says. What
was raised is followed until it has come or is proven missing; the latter is
withdrawn, and teaches the memory what a refusal would have (DESIGN 5.7).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import anyio
import structlog

from autoscaler import clock
from autoscaler.aws.activities import ActivityReport, ActivityWatch, Raised, read_seen
from autoscaler.aws.client import Aws
from autoscaler.aws.launch import launch as launch_instances
from autoscaler.aws.protect import protect, unprotect
from autoscaler.aws.sizes import GroupSizes
from autoscaler.aws.terminate import terminate
from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind, Removal
from autoscaler.core.model import GroupName, LaunchMethod, NodeGroup
from autoscaler.core.scaleup.protection import Protection
from autoscaler.errors import AwsError
from autoscaler.loop.ledger import Ledger
from autoscaler.metrics import Metrics
from autoscaler.publish.numbers import count_removed

log = structlog.get_logger()


DENIED_SECONDS = 3600.0
NOT_LEADING = Refusal(
    kind=RefusalKind.CONTENTION, code="NotLeading", detail="the lease is not held; the next leader decides anew"
)

Touch = Callable[[Collection[GroupName]], None]


@dataclass(frozen=True, slots=True)
class Following:
    """Units of desired that are followed: the launch behind them, and the group as it was.

    What somebody else raised is followed too, so that it is not counted on
    for ever; but it is not ours to withdraw. What a predecessor left is.
    """

    launch: Launch
    group: NodeGroup
    is_ours: bool = True


class AwsHands:
    """Acts on Auto Scaling groups."""

    def __init__(self, aws: Aws, ledger: Ledger, metrics: Metrics, touch: Touch, may_write: Callable[[], bool]) -> None:
        self.sizes = GroupSizes(aws)
        self.watch = ActivityWatch(aws)
        self.following: dict[GroupName, Following] = {}
        self._aws = aws
        self._ledger = ledger
        self._metrics = metrics
        self._touch = touch
        self._may_write = may_write
        self._denied: dict[GroupName, float] = {}  # until when protection is not tried again, on anyio's clock

    async def launch(self, launch: Launch, group: NodeGroup) -> LaunchResult:
        """Ask for nodes; refusals come back in the result."""
        if not self._may_write():
            return LaunchResult(launch=launch, at=clock.now(), refusals=(NOT_LEADING,))
        if launch.method is LaunchMethod.SYNC:
            return await launch_instances(self._aws, launch, group)
        result, raised = await self.sizes.raise_by(launch, group)
        if raised is not None:
            self.following[group.name] = Following(launch, group)
            self.watch.follow(raised)
            self._ledger.note_raise(group.name, raised.desired, result.at)
        return result

    async def remove(self, removal: Removal, group: NodeGroup) -> bool:
        """Terminate an instance; a refusal is told, and the next pass tries again."""
        if not self._may_write():
            return False
        done = await terminate(self._aws, self.sizes, removal)
        if done.refusal is not None:
            log.warning(
                "instance.removal_refused",
                node_group=group.name,
                instance=removal.instance,
                error=str(done.refusal.kind),
                detail=done.refusal.detail,
            )
            return False
        if not done.was_gone:
            count_removed(self._metrics, removal.reason)
        log.info("instance.removed", node_group=group.name, instance=removal.instance, reason=removal.reason)
        return True

    def touched(self, groups: Collection[GroupName]) -> None:
        """Have the groups read again soon."""
        self._touch(groups)

    async def protect(self, change: Protection) -> bool:
        """Change scale-in protection; a group where that is not permitted is left alone for an hour."""
        if anyio.current_time() < self._denied.get(change.group, 0.0) or not self._may_write():
            return False
        if change.protect:
            done = await protect(self._aws, change.group, change.instances)
        else:
            done = await unprotect(self._aws, self.sizes, change.group, change.instances)
        self._ledger.note_fault(change.group, done.fault)
        if done.fault is not None:
            if done.denied:
                self._denied[change.group] = anyio.current_time() + DENIED_SECONDS
            log.warning(
                "protection.refused", node_group=change.group, detail=done.fault.detail, asked_again=not done.denied
            )
        elif done.changed:
            log.info(
                "protection.changed", node_group=change.group, instances=len(done.changed), protected=change.protect
            )
        return bool(done.changed)

    async def cover(self, group: GroupName) -> None:
        """Raise desired to the live instances, where it stayed below them; a refusal is told."""
        if not self._may_write():
            return
        try:
            await self.sizes.cover_live(group)
        except AwsError as error:
            log.warning("desired.not_restored", node_group=group, code=error.code, error=str(error))
        else:
            log.info("desired.restored", node_group=group)

    async def adopt(self, group: NodeGroup, *, is_ours: bool) -> None:
        """Follow units of desired that this process did not ask for. Raises AwsError."""
        units = group.desired - group.live_units
        launch = Launch(group=group.name, zone=None, count=units, units=units, method=LaunchMethod.DESIRED)
        seen = await read_seen(self._aws, group.name)
        self.following[group.name] = Following(launch, group, is_ours=is_ours)
        self.watch.follow(Raised(group.name, units, seen, group.desired))

    async def withdraw(self, group: GroupName, units: int) -> int:
        """Take back units that are proven missing; return how many were. Raises AwsError."""
        following = self.following.get(group)
        if following is None or not following.is_ours or not self._may_write():
            return 0
        return await self.sizes.withdraw(group, units)

    def judge(self, report: ActivityReport, now: NodeGroup) -> LaunchResult | None:
        """Turn what came and what failed since the last look into a result to learn from."""
        following = self.following.get(report.group)
        if following is None:
            return None
        known = {one.id for one in following.group.instances}
        new = tuple(one for one in now.live if one.id not in known)
        if not (new or report.refusals):
            return None
        self.following[report.group] = replace(following, group=now)
        launch = replace(following.launch, zone=None, count=len(new) + len(report.refusals), pods=())
        return LaunchResult(launch=launch, at=clock.now(), launched=new, refusals=report.refusals)
