"""Why instances that were asked for by desired capacity do not come.

Follows raises of ours through DescribeScalingActivities. Activities are told
apart by their ids, as seen before the raise, never by comparing AWS's clock
with ours. What a text means is `refusals`' business; polling each second or
two, only while something is missing, is the loop's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from autoscaler.aws.client import Aws
from autoscaler.aws.refusals import read_activity
from autoscaler.core.decision import Refusal, RefusalKind
from autoscaler.core.model import GroupName
from autoscaler.errors import AwsError

PAGE = 100
_PARALLEL = 4
_OVER = ("Failed", "Cancelled")
_DONE = "Successful"
_INSTANCE = re.compile(r"\bi-[0-9a-f]{8,17}\b")
_CAPACITY = re.compile(r"increasing the capacity from (\d{1,6}) to (\d{1,6})")
_STUCK = "WaitingForSpotInstanceId"


@dataclass(frozen=True, slots=True)
class Raised:
    """One raise of ours: how much, the activities that were there before it, and what desired became."""

    group: GroupName
    units: int
    seen: frozenset[str] = frozenset()
    desired: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityReport:
    """What one poll found new about a group.

    `failed` are the units of launches that ended without an instance, or that
    wait for spot capacity that is not there; `running` counts the launches
    under way that have no instance yet.
    """

    group: GroupName
    failed: int = 0
    running: int = 0
    refusals: tuple[Refusal, ...] = ()

    def proven_missing(self, missing: int) -> int:
        """Of the units that desired is above the live instances, how many will not come from these launches."""
        return max(0, min(self.failed, missing - self.running))


async def read_seen(aws: Aws, group: GroupName) -> frozenset[str]:
    """Name the latest activities of a group. Raises AwsError."""
    answer = await aws.call("autoscaling", "DescribeScalingActivities", AutoScalingGroupName=group, MaxRecords=PAGE)
    return frozenset(str(each.get("ActivityId")) for each in answer.get("Activities", ()))


@dataclass(slots=True)
class ActivityWatch:
    """The raises that are followed. An activity is reported once, however often it is read."""

    aws: Aws
    _seen: dict[GroupName, set[str]] = field(default_factory=dict)

    @property
    def followed(self) -> frozenset[GroupName]:
        return frozenset(self._seen)

    def follow(self, raised: Raised) -> None:
        """Report activities of the group from now on, but none that was there before the raise."""
        self._seen.setdefault(raised.group, set()).update(raised.seen)

    def forget(self, group: GroupName) -> None:
        """Stop following: nothing is missing any more."""
        self._seen.pop(group, None)

    async def poll(self) -> tuple[tuple[ActivityReport, ...], tuple[AwsError, ...]]:
        """Read every followed group once; return what is new, and the reads that failed."""
        reports: list[ActivityReport] = []
        errors: list[AwsError] = []
        limiter = anyio.CapacityLimiter(_PARALLEL)

        async def read(group: GroupName) -> None:
            async with limiter:
                try:
                    reports.append(await self._read(group))
                except AwsError as error:
                    errors.append(error)

        async with anyio.create_task_group() as tasks:
            for group in sorted(self._seen):
                tasks.start_soon(read, group)
        return tuple(sorted(reports, key=lambda one: one.group)), tuple(errors)

    async def _read(self, group: GroupName) -> ActivityReport:
        seen = self._seen[group]
        found: list[Mapping[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self.aws.call(
                "autoscaling", "DescribeScalingActivities", AutoScalingGroupName=group, MaxRecords=PAGE, **token
            )
            page = answer.get("Activities", ())
            found += [each for each in page if str(each.get("ActivityId")) not in seen]
            if not answer.get("NextToken") or any(str(each.get("ActivityId")) in seen for each in page):
                break
            token = {"NextToken": answer["NextToken"]}
        return self._report(group, seen, found)

    def _report(self, group: GroupName, seen: set[str], found: list[Mapping[str, Any]]) -> ActivityReport:
        failed = running = 0
        refusals: list[Refusal] = []
        for activity in reversed(found):  # AWS lists the newest first
            if not str(activity.get("Description", "")).startswith("Launching"):
                continue
            status = str(activity.get("StatusCode", ""))
            refusal = read_refusal(activity)
            if refusal is not None:
                refusals.append(refusal)
                failed += read_units(activity)
            elif status != _DONE:
                running += _INSTANCE.search(str(activity["Description"])) is None
                continue
            seen.add(str(activity.get("ActivityId")))
        return ActivityReport(group=group, failed=failed, running=running, refusals=tuple(refusals))


def read_units(activity: Mapping[str, Any]) -> int:
    """Return how many units a launching activity was for; AWS says it only in the prose of the cause."""
    told = _CAPACITY.search(str(activity.get("Cause") or ""))
    return max(1, int(told[2]) - int(told[1])) if told else 1


def read_refusal(activity: Mapping[str, Any]) -> Refusal | None:
    """Return why a launching activity brings no instance; None while it still may, or when it did."""
    status = str(activity.get("StatusCode", ""))
    text = str(activity.get("StatusMessage") or "")
    failure = read_activity(text)
    if status == _STUCK and failure.kind is not RefusalKind.UNKNOWN:
        pass  # the request stays open, but the text says that nothing comes of it
    elif status not in _OVER:
        return None
    return Refusal(
        kind=failure.kind,
        code=failure.code,
        detail=text,
        instance_type=failure.instance_type,
        zone=failure.zone,
        market=failure.market,
        subnet=failure.subnet,
    )
