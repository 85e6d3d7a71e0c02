"""Keeps the Auto Scaling groups fresh, and their instances safe from AWS.

Every group is read once a `interval`; those that we touched, or that still
wait for instances, sooner. A failed read keeps what was known and waits
longer each time. After each read, what AZRebalance could take away without a
drain is protected from scale-in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import anyio
import structlog
from anyio.abc import TaskStatus

from autoscaler.aws.groups import GroupSource
from autoscaler.core.model import GroupName, InstanceId, LaunchMethod, Lifecycle, NodeGroup
from autoscaler.core.scaleup.protection import Protection, protection_changes, uncovered
from autoscaler.errors import AwsError
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.pace import Pace

log = structlog.get_logger()

TOUCHED_DELAY = 1.0  # seconds: AWS's listings lag behind its answers
WAITING_INTERVAL = 5.0  # between reads of groups with instances on their way
FIRST_RETRY, LAST_RETRY = 1.0, 30.0


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """How the groups are kept. Seconds; `protect` and `cover` are None in a dry run."""

    interval: float
    protection: str  # auto | always | never
    method: LaunchMethod | None  # None: each group's own
    protect: Callable[[Protection], Awaitable[bool]] | None
    cover: Callable[[GroupName], Awaitable[None]] | None


class GroupKeeper:
    """Reads groups in the background and rings when they changed."""

    def __init__(self, source: GroupSource, ledger: Ledger, pace: Pace, upkeep: Upkeep) -> None:
        self._source = source
        self._ledger = ledger
        self._pace = pace
        self._upkeep = upkeep
        self._touched: set[GroupName] = set()
        self._touch = anyio.Event()
        self._aged: set[InstanceId] = set()
        self._told_none = False
        self._uncovered: frozenset[GroupName] = frozenset()

    def touch(self, names: Collection[GroupName]) -> None:
        """Have these groups read again soon."""
        self._touched.update(names)
        self._touch.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read for ever; `tasks.start` returns at once: until the first read the loop is blind."""
        task_status.started()
        failures, whole_due = 0, anyio.current_time()
        while True:
            whole = anyio.current_time() >= whole_due
            names = None if whole else self._wanted()
            try:
                await self._read(names)
                failures = 0
                if whole:
                    whole_due = anyio.current_time() + self._upkeep.interval
            except AwsError as error:
                failures += 1
                self._touched.update(names or ())
                log.warning("groups.read_failed", code=error.code, error=str(error), failures=failures)
                await anyio.sleep(min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures - 1, 10)))
                continue
            await self._wait(whole_due)

    def _wanted(self) -> set[GroupName]:
        names, self._touched = self._touched, set()
        return names | {group.name for group in self._source.groups if _waits(group)}

    async def _wait(self, whole_due: float) -> None:
        """Wait until something is due: a touched group, one with instances to come, or all."""
        waiting = any(_waits(group) for group in self._source.groups)
        due = min(whole_due, anyio.current_time() + WAITING_INTERVAL) if waiting else whole_due
        with anyio.move_on_at(due):
            await self._touch.wait()
            await anyio.sleep(TOUCHED_DELAY)
        self._touch = anyio.Event()

    async def _read(self, names: Collection[GroupName] | None) -> None:
        if names is not None and not names:
            return
        before = self._source.groups
        groups = await self._source.refresh(names)
        if not groups and not self._told_none:
            self._told_none = True
            log.warning(
                "groups.none_selected", detail="no Auto Scaling group matches the flags; nothing can be launched"
            )
        await self._learn_ages(groups)
        self._ledger.settle(groups)
        if groups != before:
            self._pace.ring()
        await self._protect(groups)
        if names is None:
            await self._cover(groups)

    async def _learn_ages(self, groups: Collection[NodeGroup]) -> None:
        """Ask EC2, once for each instance, when it was launched: first sight may be long after."""
        present = {one.id for group in groups for one in group.instances}
        new = present - self._aged
        self._aged = present
        if new:
            await self._source.learn_launch_times(new)

    async def _protect(self, groups: Collection[NodeGroup]) -> None:
        protect = self._upkeep.protect
        if protect is None:
            return
        for change in protection_changes(groups, self._upkeep.protection, self._upkeep.method):
            if await protect(change):
                self._touched.add(change.group)
            self._pace.ring()  # a refusal is told by the next pass

    async def _cover(self, groups: Collection[NodeGroup]) -> None:
        """Raise desired to what is protected, where it was below in two whole reads: listings lag."""
        before, self._uncovered = self._uncovered, uncovered(groups, self._upkeep.protection)
        for name in sorted(before & self._uncovered):
            if self._upkeep.cover is not None:
                await self._upkeep.cover(name)
                self._touched.add(name)


def _waits(group: NodeGroup) -> bool:
    """Instances are on their way: soon they must be protected, or missed."""
    return group.desired > group.live_units or any(one.lifecycle is Lifecycle.PENDING for one in group.instances)
