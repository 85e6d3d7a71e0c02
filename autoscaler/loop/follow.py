"""Follows raises of desired capacity until they came, or are proven missing.

While something is missing, the activities are read each second and a half.
What failed is taught to the memory, no longer counted as upcoming, and
withdrawn from desired, never below the live instances. What neither comes
nor fails until the deadline is given up the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio
import structlog

from autoscaler import clock
from autoscaler.aws.activities import ActivityReport
from autoscaler.aws.groups import GroupSource
from autoscaler.config import Config
from autoscaler.config.policy import to_policy
from autoscaler.core.model import GroupName, NodeGroup
from autoscaler.core.policy import Tiers
from autoscaler.errors import AwsError
from autoscaler.loop.hands import AwsHands
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.pace import Pace

log = structlog.get_logger()

POLL_SECONDS = 1.5


@dataclass(kw_only=True)
class Follower:
    """The background half of the `desired` launch method."""

    hands: AwsHands
    source: GroupSource
    ledger: Ledger
    pace: Pace
    config: Config
    jitter: Callable[[], float]

    async def run(self) -> None:
        """Poll for ever; idle while nothing is missing."""
        since: dict[GroupName, float] = {}
        while True:
            await anyio.sleep(POLL_SECONDS)
            try:
                await self._adopt()
                followed = set(self.hands.following)
                since = {name: since.get(name, anyio.current_time()) for name in followed}
                if followed:
                    await self._poll(since)
            except AwsError as error:
                log.warning("activities.read_failed", code=error.code, error=str(error))

    async def _adopt(self) -> None:
        """Follow what is missing although this process did not ask for it."""
        for group in self.source.groups:
            missing = group.desired > group.live_units and "Launch" not in group.suspended
            if missing and group.name not in self.hands.following:
                await self.hands.adopt(group)

    async def _poll(self, since: dict[GroupName, float]) -> None:
        """Look once at everything that is followed. Raises AwsError."""
        reports, errors = await self.hands.watch.poll()
        for error in errors:
            log.warning("activities.read_failed", code=error.code, error=str(error))
        await self.source.refresh(set(since))
        groups = {group.name: group for group in self.source.groups}
        self.ledger.settle(groups.values())
        for report in reports:
            if report.group in groups:
                await self._judge(report, groups[report.group])
        for name, began in since.items():
            await self._settle(name, groups.get(name), began)

    async def _judge(self, report: ActivityReport, group: NodeGroup) -> None:
        """Learn from what came and what failed, and withdraw the latter."""
        result = self.hands.judge(report, group)
        if result is None:
            return
        policy = to_policy(self.config, Tiers())
        self.ledger.memory = self.ledger.memory.learn(result, group, policy, self.jitter())
        for refusal in report.refusals:
            log.info(
                "scale_up.failed",
                node_group=report.group,
                error=str(refusal.kind),
                code=refusal.code,
                detail=refusal.detail,
            )
        missing = report.proven_missing(group.desired - group.live_units)
        if missing:
            await self._withdraw(report.group, missing)

    async def _withdraw(self, name: GroupName, units: int) -> None:
        self.ledger.note_missing(name, units)
        self.pace.ring()
        taken = await self.hands.withdraw(name, units)
        if taken:
            log.info("desired.withdrawn", node_group=name, units=taken)
        await self._reread(name, units - taken)

    async def _reread(self, name: GroupName, units_left: int) -> None:
        """See the lower desired before the missing units are forgotten. Raises AwsError."""
        await self.source.refresh({name})
        self.ledger.note_withdrawn(name, units_left)
        self.pace.ring()

    async def _settle(self, name: GroupName, group: NodeGroup | None, since: float) -> None:
        """Stop following a group in which nothing is missing, or whose time is over."""
        missing = 0 if group is None else group.desired - group.live_units
        if missing > 0 and anyio.current_time() - since < self.config.max_node_provision_time.total_seconds():
            return
        if missing > 0:
            detail = f"{missing} units were asked for and neither came nor failed in time"
            policy = to_policy(self.config, Tiers())
            self.ledger.memory = self.ledger.memory.group_failed(name, detail, clock.now(), policy)
            await self._withdraw(name, missing)
        self.hands.following.pop(name, None)
        self.hands.watch.forget(name)
