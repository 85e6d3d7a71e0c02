"""The hands: launches, removals and protection, carried out through AWS.

A launch goes by LaunchInstances or by the desired capacity, as it says. What
was raised is followed until it has come or is proven missing; the latter is
withdrawn, and teaches the memory what a refusal would have (DESIGN 5.7).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import structlog

from autoscaler import clock
from autoscaler.aws.activities import ActivityReport, ActivityWatch
from autoscaler.aws.client import Aws
from autoscaler.aws.launch import launch as launch_instances
from autoscaler.aws.protect import protect, unprotect
from autoscaler.aws.sizes import GroupSizes
from autoscaler.aws.terminate import terminate
from autoscaler.core.decision import Launch, LaunchResult, Removal
from autoscaler.core.model import GroupName, LaunchMethod, NodeGroup
from autoscaler.core.scaleup.protection import Protection
from autoscaler.loop.ledger import Ledger
from autoscaler.metrics import Metrics
from autoscaler.publish.numbers import count_removed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Following:
    """A raise that is followed: the launch behind it and the group as it was."""

    launch: Launch
    group: NodeGroup
    units: int


class AwsHands:
    """Acts on Auto Scaling groups."""

    def __init__(
        self, aws: Aws, ledger: Ledger, metrics: Metrics, touch: Callable[[Collection[GroupName]], None]
    ) -> None:
        self.sizes = GroupSizes(aws)
        self.watch = ActivityWatch(aws)
        self.following: dict[GroupName, Following] = {}
        self._aws = aws
        self._ledger = ledger
        self._metrics = metrics
        self._touch = touch
        self._denied: set[GroupName] = set()

    async def launch(self, launch: Launch, group: NodeGroup) -> LaunchResult:
        """Ask for nodes; refusals come back in the result."""
        if launch.method is LaunchMethod.SYNC:
            return await launch_instances(self._aws, launch, group)
        result, raised = await self.sizes.raise_by(launch, group)
        if raised is not None:
            before = self.following.get(group.name)
            units = raised.units + (before.units if before is not None else 0)
            self.following[group.name] = Following(launch, group, units)
            self.watch.follow(raised)
            self._ledger.note_raise(group.name, group.desired + raised.units, result.at)
            result = replace(result, refusals=())
        return result

    async def remove(self, removal: Removal, group: NodeGroup) -> bool:
        """Terminate an instance; a refusal is told, and the next pass tries again."""
        done = await terminate(self.sizes, removal)
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
        """Change scale-in protection; a group where that is not permitted is left alone from then on."""
        if change.group in self._denied:
            return False
        if change.protect:
            done = await protect(self._aws, change.group, change.instances)
        else:
            done = await unprotect(self._aws, self.sizes, change.group, change.instances)
        if done.fault is not None:
            if done.denied:
                self._denied.add(change.group)
            log.warning(
                "protection.refused", node_group=change.group, detail=done.fault.detail, asked_again=not done.denied
            )
        elif done.changed:
            log.info(
                "protection.changed", node_group=change.group, instances=len(done.changed), protected=change.protect
            )
        return bool(done.changed)

    def judge(self, report: ActivityReport) -> LaunchResult | None:
        """Turn what the activities of a followed group say into a result to learn from."""
        following = self.following.get(report.group)
        if following is None or not report.refusals:
            return None
        launch = replace(following.launch, zone=None)
        return LaunchResult(launch=launch, at=clock.now(), refusals=report.refusals)
