"""Follows raises of desired capacity until they came, or are proven missing.

While something is missing, the activities are read each second and a half.
What failed is taught to the memory, no longer counted as upcoming, and
withdrawn from desired, never below the live instances. What neither comes
nor fails until the deadline is given up the same way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import structlog

from autoscaler import clock
from autoscaler.aws.activities import ActivityReport
from autoscaler.aws.groups import GroupSource
from autoscaler.config import Config
from autoscaler.config.policy import to_policy
from autoscaler.core.decision import LaunchResult
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
    tell: Callable[[LaunchResult], Awaitable[None]]  # what was refused after all
    # An activity is told once: no call that fails afterwards may lose what it told.
    _unjudged: list[ActivityReport] = field(default_factory=list)
    _to_withdraw: dict[GroupName, int] = field(default_factory=dict)
    _left_short: set[GroupName] | None = None  # groups to which instances were missing when this process began to lead

    async def run(self) -> None:
        """Poll for ever; idle while nothing is missing."""
        since: dict[GroupName, float] = {}
        while True:
            await anyio.sleep(POLL_SECONDS)
            await self._adopt()
            followed = set(self.hands.following)
            since = {name: since.get(name, anyio.current_time()) for name in followed}
            try:
                if followed:
                    await self._poll(since)
            except AwsError as error:
                log.warning("activities.read_failed", code=error.code, error=str(error))

    async def _adopt(self) -> None:
        """Follow what is missing although this process did not ask for it.

        What was missing as it began to lead was asked for by its predecessor,
        ours or cluster-autoscaler, who would withdraw it: left standing, it
        would bring a node that nobody wants once there is capacity.
        """
        if self.source.refreshed_at is None:
            return
        short = [one for one in self.source.groups if one.desired > one.live_units and "Launch" not in one.suspended]
        if self._left_short is None:
            self._left_short = {one.name for one in short}
        for group in short:
            if group.name not in self.hands.following:
                try:
                    await self.hands.adopt(group, is_ours=group.name in self._left_short)
                    self._left_short.discard(group.name)
                except AwsError as error:
                    log.warning("activities.read_failed", node_group=group.name, code=error.code, error=str(error))

    async def _poll(self, since: dict[GroupName, float]) -> None:
        """Look once at everything that is followed. Raises AwsError."""
        reports, errors = await self.hands.watch.poll()
        self._unjudged += reports
        for error in errors:
            log.warning("activities.read_failed", code=error.code, error=str(error))
        await self.source.refresh(set(since))
        groups = {group.name: group for group in self.source.groups}
        self.ledger.settle(groups.values())
        reports, self._unjudged = tuple(self._unjudged), []
        for report in reports:
            if report.group in groups:
                await self._judge(report, groups[report.group])
        for name in sorted(self._to_withdraw):
            await self._withdraw(name)
        for name, began in since.items():
            await self._settle(name, groups.get(name), began)

    async def _judge(self, report: ActivityReport, group: NodeGroup) -> None:
        """Learn from what came and what failed, and note what of it is to be withdrawn."""
        result = self.hands.judge(report, group)
        if result is None:
            return
        policy = to_policy(self.config, Tiers())
        self.ledger.memory = self.ledger.memory.learn(result, group, policy, self.jitter())
        short = group.desired - group.live_units
        missing = report.proven_missing(short)
        if missing:
            self._give_up(group.name, min(short, missing + self._to_withdraw.get(group.name, 0)))
        if result.refusals:
            await self.tell(result)

    def _give_up(self, name: GroupName, units: int) -> None:
        self._to_withdraw[name] = units
        self.ledger.note_missing(name, units)
        self.pace.ring()

    async def _withdraw(self, name: GroupName) -> bool:
        """Take back what was given up; False when AWS refuses: the next poll tries again."""
        units = self._to_withdraw[name]
        try:
            taken = await self.hands.withdraw(name, units)
            del self._to_withdraw[name]
            if taken:
                log.info("desired.withdrawn", node_group=name, units=taken)
            await self.source.refresh({name})  # see the lower desired before the missing units are forgotten
        except AwsError as error:
            log.warning("desired.withdrawal_failed", node_group=name, code=error.code, error=str(error))
            return name not in self._to_withdraw
        self.ledger.note_withdrawn(name, units - taken)
        self.pace.ring()
        return True

    async def _settle(self, name: GroupName, group: NodeGroup | None, since: float) -> None:
        """Stop following a group in which nothing is missing, or whose time is over."""
        missing = 0 if group is None else group.desired - group.live_units
        if missing > 0 and anyio.current_time() - since < self.config.max_node_provision_time.total_seconds():
            return
        if missing > 0:
            detail = f"{missing} units were asked for and neither came nor failed in time"
            policy = to_policy(self.config, Tiers())
            self.ledger.memory = self.ledger.memory.group_failed(name, detail, clock.now(), policy)
            self._give_up(name, missing)
            if not await self._withdraw(name):
                return
        self._to_withdraw.pop(name, None)
        self.hands.following.pop(name, None)
        self.hands.watch.forget(name)
