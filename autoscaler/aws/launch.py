"""LaunchInstances: asked once, answered with ids and error codes.

A call is repeated, with its token, only when its answer was lost or is still
being worked out; so whatever is repeated launches once. A refusal is a value.
Groups that cannot be asked this way go by `sizes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from random import SystemRandom
from typing import Any

import anyio

from autoscaler import clock
from autoscaler.aws.answers import may_have_happened, refusal_of
from autoscaler.aws.client import Aws
from autoscaler.aws.refusals import classify_in_reply
from autoscaler.aws.sizes import at_maximum, read_group
from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind
from autoscaler.core.model import Instance, InstanceId, InstanceType, Lifecycle, Market, NodeGroup, Zone
from autoscaler.errors import AwsError

MOST_INSTANCES = 100  # of one call
LONGEST_TOKEN = 64  # characters, as the API takes them
ATTEMPTS = 4
DEADLINE = 40.0  # seconds, over all attempts
_MARKETS = {"spot": Market.SPOT, "ondemand": Market.ON_DEMAND}
_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class _Part:
    """One call of a launch."""

    units: int
    token: str


async def launch(aws: Aws, wish: Launch, group: NodeGroup) -> LaunchResult:
    """Ask for the instances of one launch and report what came; never raises for what AWS says.

    NO_ANSWER is reported when the answer stayed lost: the instances may exist,
    and show up with the next refresh. Raises ValueError for a wish that names
    no zone in a group that has several.
    """
    zone = wish.zone or (group.zones[0] if len(group.zones) == 1 else None)
    if zone is None:
        raise ValueError(f"group {group.name}: LaunchInstances needs one zone of {', '.join(group.zones)}")
    began = anyio.current_time()
    answers: list[tuple[tuple[Instance, ...], tuple[Refusal, ...]]] = []

    async def ask(part: _Part) -> None:
        answers.append(await _ask(aws, part, group, zone))

    async with anyio.create_task_group() as tasks:
        for part in _parts(wish):
            tasks.start_soon(ask, part)
    return LaunchResult(
        launch=wish,
        at=clock.now(),
        launched=tuple(sorted((one for launched, _ in answers for one in launched), key=lambda one: one.id)),
        refusals=tuple(refusal for _, refusals in answers for refusal in refusals),
        seconds=anyio.current_time() - began,
    )


def _parts(wish: Launch) -> Iterator[_Part]:
    """Split a launch into calls of at most MOST_INSTANCES, each with a token of its own."""
    each = max(1, wish.units // max(1, wish.count))
    whole, left = MOST_INSTANCES * each, wish.units
    for number in range(1 + (wish.units - 1) // whole):
        suffix = f"-{number}" if number else ""
        yield _Part(min(whole, left), wish.token[: LONGEST_TOKEN - len(suffix)] + suffix)
        left -= whole


async def _ask(aws: Aws, part: _Part, group: NodeGroup, zone: Zone) -> tuple[tuple[Instance, ...], tuple[Refusal, ...]]:
    refusal = Refusal(kind=RefusalKind.NO_ANSWER, code="RequestTimeout", detail="LaunchInstances: no answer", zone=zone)
    lost = False
    with anyio.move_on_after(DEADLINE):
        for attempt in range(ATTEMPTS):
            if attempt:
                await anyio.sleep(0.4 * 2**attempt * (1 - _random.random() / 2))
            try:
                answer = await aws.call(
                    "autoscaling",
                    "LaunchInstances",
                    AutoScalingGroupName=group.name,
                    RequestedCapacity=part.units,
                    ClientToken=part.token,
                    AvailabilityZones=[zone],
                    RetryStrategy="none",
                )
            except AwsError as error:
                refusal = refusal_of(error, zone, launching=True)
                lost = lost or may_have_happened(error) or error.code.startswith("IdempotentCallInProgress")
                is_sure = refusal.kind is RefusalKind.NO_LAUNCH_API and (attempt > 0 or not lost)
                if is_sure or not (lost or refusal.kind is RefusalKind.CONTENTION):
                    return (), (await _explained(aws, refusal, part, group),)
            else:
                return _launched(answer, group, zone, clock.now()), tuple(_refusals(answer, zone))
    return (), (replace(refusal, kind=RefusalKind.NO_ANSWER) if lost else refusal,)


async def _explained(aws: Aws, refusal: Refusal, part: _Part, group: NodeGroup) -> Refusal:
    """Tell a group that somebody else has filled from one that is misconfigured: AWS does so in prose only."""
    if not refusal.code.startswith("Validation"):
        return refusal
    try:
        found = await read_group(aws, group.name)
    except AwsError:
        return refusal
    beyond = found.desired + part.units - found.max_size
    return at_maximum(group.name, beyond, refusal.zone) if beyond > 0 else refusal


def _launched(answer: Mapping[str, Any], group: NodeGroup, zone: Zone, at: datetime) -> tuple[Instance, ...]:
    weights = {shape.instance_type: shape.weight for shape in group.shapes}
    return tuple(
        Instance(
            id=InstanceId(ident),
            instance_type=InstanceType(entry.get("InstanceType", "")),
            zone=Zone(entry.get("AvailabilityZone") or zone),
            lifecycle=Lifecycle.PENDING,
            weight=weights.get(InstanceType(entry.get("InstanceType", "")), 1),
            since=at,
        )
        for entry in answer.get("Instances", ())
        for ident in entry.get("InstanceIds", ())
    )


def _refusals(answer: Mapping[str, Any], zone: Zone) -> Iterator[Refusal]:
    for error in answer.get("Errors", ()):
        code, message = str(error.get("ErrorCode") or "Unknown"), str(error.get("ErrorMessage") or "")
        kind = error.get("InstanceType")
        yield Refusal(
            kind=classify_in_reply(code, message),
            code=code,
            detail=message,
            instance_type=InstanceType(kind) if kind else None,
            zone=Zone(error.get("AvailabilityZone") or zone),
            market=_MARKETS.get(str(error.get("MarketType") or "").lower().replace("-", "")),
            subnet=error.get("SubnetId"),
        )
