"""The trial: reads, harmless refusals, one launch, and its end, each reply judged.

It stops where there is nothing to go on with: a group that cannot be read, a
denied launch, zones that are all dry. Whoever runs it settles the debts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from autoscaler.aws.refusals import classify_in_reply
from autoscaler.core.decision import RefusalKind
from autoscaler.core.model import InstanceId
from autoscaler.selftest import assumptions
from autoscaler.selftest.assumptions import Assumption, Check, Result
from autoscaler.selftest.debts import Debts, instances_of, new_token
from autoscaler.selftest.tape import Reply, Tape

LISTING_SECONDS = 120.0  # for the listing to show what was launched, and that it is gone
LISTING_PAUSE = 1.0


@dataclass(kw_only=True)
class Trial:
    """Runs the steps on one group; `checks` is what came of them so far."""

    tape: Tape
    group: str
    debts: Debts
    tell: Callable[[Check], None]
    checks: list[Check] = field(default_factory=list)

    def note(self, check: Check) -> bool:
        """Take a result; tell whether it was as assumed."""
        self.checks.append(check)
        self.tape.note(check=check.name, result=str(check.result), detail=check.detail)
        self.tell(check)
        return check.result is Result.AS_ASSUMED

    async def run(self) -> None:
        """All steps, as far as they lead."""
        await self._ask(assumptions.IDENTITY, "sts", "GetCallerIdentity")
        reply = await self._read_group()
        if not self.note(assumptions.GROUP.judge(reply)):
            return
        found = (reply.answer or {}).get("AutoScalingGroups", [])
        if not found:
            self.note(Check("the group exists", Result.FAILED, f"there is no group {self.group} in {self.tape.region}"))
            return
        group = found[0]
        await self._read_the_rest(group)
        await self._ask_too_much(group)
        token = new_token()
        wrong = await self.debts.launch(self.group, f"{self.tape.region}z", token)
        if not self.note(assumptions.WRONG_ZONE.judge(wrong)) or not self._has_room(group):
            return
        await self._launch(group)

    async def _ask(self, assumption: Assumption, service: str, operation: str, **parameters: Any) -> bool:
        return self.note(assumption.judge(await self.tape.ask(service, operation, **parameters)))

    async def _read_group(self) -> Reply:
        return await self.tape.ask("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=[self.group])

    async def _read_the_rest(self, group: dict[str, Any]) -> None:
        """What the controller reads beside the group."""
        await self._ask(
            assumptions.ACTIVITIES, "autoscaling", "DescribeScalingActivities",
            AutoScalingGroupName=self.group, MaxRecords=10,
        )  # fmt: skip
        known = [one["InstanceId"] for one in group.get("Instances", ())][:10]
        await self._ask(
            assumptions.INSTANCES, "ec2", "DescribeInstances",
            **({"InstanceIds": known} if known else {"MaxResults": 5}),
        )  # fmt: skip
        await self._ask(assumptions.TYPES, "ec2", "DescribeInstanceTypes", InstanceTypes=["m5.large"])

    async def _ask_too_much(self, group: dict[str, Any]) -> None:
        await self._ask(
            assumptions.ABOVE_MAXIMUM, "autoscaling", "SetDesiredCapacity",
            AutoScalingGroupName=self.group, DesiredCapacity=group["MaxSize"] + 1, HonorCooldown=False,
        )  # fmt: skip

    def _has_room(self, group: dict[str, Any]) -> bool:
        suspended = [one.get("ProcessName") for one in group.get("SuspendedProcesses", ())]
        fault = ""
        if group["DesiredCapacity"] >= group["MaxSize"]:
            fault = f"{self.group} is at its maximum of {group['MaxSize']}: raise it by one for the test"
        elif "Launch" in suspended or "Terminate" in suspended:
            fault = f"{self.group} has Launch or Terminate suspended: resume them for the test"
        return not fault or self.note(Check("there is room for one instance", Result.FAILED, fault))

    async def _launch(self, group: dict[str, Any]) -> None:
        """One instance, in the first zone that has one; then everything that needs it."""
        dry: list[str] = []
        for zone in group["AvailabilityZones"]:
            token = new_token()
            reply = await self.debts.launch(self.group, zone, token)
            check = assumptions.LAUNCH.judge(reply)
            launched = instances_of(reply.answer or {})
            if launched or reply.answer is None:
                if self.note(check) or launched:
                    await self._use(group, zone, token, launched)
                return
            errors = (reply.answer or {}).get("Errors", [])
            kinds = {classify_in_reply(str(one.get("ErrorCode")), str(one.get("ErrorMessage"))) for one in errors}
            dry.append(f"{zone}: {', '.join(sorted({str(one.get('ErrorCode')) for one in errors})) or 'nothing'}")
            if check.result is not Result.AS_ASSUMED:
                self.note(check)
            if not kinds <= {RefusalKind.NO_CAPACITY}:
                self.note(Check(check.name, Result.FAILED, f"refused for another reason than capacity: {dry[-1]}"))
                return
        self.note(
            Check(
                assumptions.LAUNCH.name,
                Result.DRY,
                f"no zone has capacity ({'; '.join(dry)}); the refusals are in the file, and nothing was launched. "
                "Try again later, or with another group",
            )
        )

    async def _use(self, group: dict[str, Any], zone: str, token: str, launched: list[InstanceId]) -> None:
        """What can only be seen with an instance: tokens, listings, protection, its end."""
        again = await self.debts.launch(self.group, zone, token)
        check = assumptions.SAME_TOKEN.judge(again)
        other = instances_of(again.answer or {})
        if again.answer is not None and other != launched:
            check = Check(check.name, Result.DIFFERS, f"it launched {other} after {launched}: a token must replay")
        self.note(check)
        zones = [one for one in group["AvailabilityZones"] if one != zone]
        wish = (zones[0], token) if zones else (zone, token, 2)
        self.note(assumptions.OTHER_WISH.judge(await self.debts.launch(self.group, *wish)))
        await self._wait_listing("the listing shows it", launched[0], is_there=True)
        await self._ask(
            assumptions.PROTECTION, "autoscaling", "SetInstanceProtection",
            AutoScalingGroupName=self.group, InstanceIds=[launched[0]], ProtectedFromScaleIn=False,
        )  # fmt: skip
        if self.note(assumptions.END.judge(await self.debts.terminate(launched[0]))):
            await self._ask(
                assumptions.GONE, "autoscaling", "TerminateInstanceInAutoScalingGroup",
                InstanceId=launched[0], ShouldDecrementDesiredCapacity=True,
            )  # fmt: skip
            await self._wait_listing("the listing shows that it goes", launched[0], is_there=False)

    async def _wait_listing(self, name: str, instance: InstanceId, *, is_there: bool) -> None:
        """Read the group until it shows, or no longer shows, the instance as one that stays."""
        began = anyio.current_time()
        while True:
            reply = await self._read_group()
            waited = anyio.current_time() - began
            for group in (reply.answer or {}).get("AutoScalingGroups", ()):
                states = {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]}
                if (instance in states and not states[instance].startswith("Terminat")) == is_there:
                    detail = (
                        f"after {waited:.1f} s, as {states.get(instance, 'gone')}; desired {group['DesiredCapacity']}"
                    )
                    self.note(Check(name, Result.AS_ASSUMED, detail))
                    return
            if waited > LISTING_SECONDS:
                self.note(Check(name, Result.DIFFERS, f"not within {waited:.0f} s"))
                return
            await anyio.sleep(LISTING_PAUSE)
