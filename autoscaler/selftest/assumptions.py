"""What we assume of AWS, step by step: the answers of our emulator, on which code and tests rest.

A step assumes an answer that holds certain fields, or a refusal with one of
certain codes. What came is judged against it; nothing else is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autoscaler.aws.answers import is_denied, may_have_happened
from autoscaler.selftest.tape import Reply


class Result(StrEnum):
    """How a step went."""

    AS_ASSUMED = "as assumed"
    DIFFERS = "DIFFERS"
    DENIED = "DENIED"
    DRY = "DRY"  # no capacity: not a fault, but there is nothing to go on with
    FAILED = "FAILED"  # no answer, or the account is not as the test needs it


@dataclass(frozen=True, slots=True)
class Check:
    """One step's result, for people and for the file."""

    name: str
    result: Result
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """`fields` are dotted paths of an answer, `[]` for each element; `codes` are those of a refusal.

    With both, either will do. `without` says what a denial of `action` costs.
    """

    name: str
    action: str  # as IAM names it
    fields: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    without: str = ""

    def judge(self, reply: Reply) -> Check:
        """Compare a reply with what was assumed."""
        error = reply.error
        if error is None:
            missing = [path for path in self.fields if not _has(reply.answer, path.split("."))]
            if not self.fields:
                return Check(self.name, Result.DIFFERS, f"AWS accepted what we assume it refuses ({self._codes()})")
            if missing:
                return Check(self.name, Result.DIFFERS, f"the answer lacks {', '.join(missing)}")
            return Check(self.name, Result.AS_ASSUMED)
        if is_denied(error):
            return Check(self.name, Result.DENIED, f"{self.action} is not permitted; {self.without} ({error})")
        if error.code in self.codes:
            return Check(self.name, Result.AS_ASSUMED, f"refused with {error.code}")
        if may_have_happened(error):
            return Check(self.name, Result.FAILED, f"no clear answer: {error.code}: {error}")
        wanted = self._codes() if self.codes else "an answer"
        return Check(self.name, Result.DIFFERS, f"assumed {wanted}, AWS says {error.code}: {error}")

    def _codes(self) -> str:
        return " or ".join(self.codes)


def _has(value: object, path: Sequence[str]) -> bool:
    return all(each is not None for each in _find(value, path))


def _find(value: object, path: Sequence[str]) -> Iterator[object]:
    """Yield what stands at the path; None where it is missing."""
    if not path:
        yield value
        return
    name, is_list = path[0].removesuffix("[]"), path[0].endswith("[]")
    part: Any = value.get(name) if isinstance(value, Mapping) else None
    if not is_list:
        yield from _find(part, path[1:])
    elif not isinstance(part, list):
        yield None
    else:
        for each in part:
            yield from _find(each, path[1:])


_PLACE = ("InstanceType", "MarketType", "AvailabilityZone", "AvailabilityZoneId", "SubnetId")
_LAUNCH = "autoscaling:LaunchInstances"
_DESIRED = "the controller would raise desired capacities instead, as cluster-autoscaler does; see deploy/iam"

IDENTITY = Assumption(name="who we are", action="sts:GetCallerIdentity", fields=("Arn", "Account"))
GROUP = Assumption(
    name="the group can be read",
    action="autoscaling:DescribeAutoScalingGroups",
    fields=(
        "AutoScalingGroups[].MinSize",
        "AutoScalingGroups[].MaxSize",
        "AutoScalingGroups[].DesiredCapacity",
        "AutoScalingGroups[].AvailabilityZones[]",
        "AutoScalingGroups[].Instances[].LifecycleState",
    ),
    without="nothing works without it; see deploy/iam",
)
ACTIVITIES = Assumption(
    name="its activities can be read",
    action="autoscaling:DescribeScalingActivities",
    fields=("Activities[].ActivityId", "Activities[].StatusCode"),
    without="what a raised desired capacity does not bring would only show at the deadline",
)
INSTANCES = Assumption(
    name="launch times can be read",
    action="ec2:DescribeInstances",
    fields=("Reservations[].Instances[].LaunchTime",),
    without="an instance's age would count from when it was first seen",
)
TYPES = Assumption(
    name="instance types can be read",
    action="ec2:DescribeInstanceTypes",
    fields=("InstanceTypes[].VCpuInfo.DefaultVCpus", "InstanceTypes[].MemoryInfo.SizeInMiB"),
    without="the packaged list of instance types would have to do",
)
ABOVE_MAXIMUM = Assumption(
    name="a desired capacity above the maximum",
    action="autoscaling:SetDesiredCapacity",
    codes=("ValidationError",),
    without="groups that LaunchInstances cannot serve could not grow",
)
WRONG_ZONE = Assumption(
    name="a launch in a zone that the group does not have",
    action=_LAUNCH,
    codes=("ValidationError",),
    without=_DESIRED,
)
LAUNCH = Assumption(
    name="a launch of one instance",
    action=_LAUNCH,
    fields=(
        "AutoScalingGroupName",
        "ClientToken",
        "Instances[].InstanceIds[]",
        *(f"Instances[].{name}" for name in _PLACE),
        *(f"Errors[].{name}" for name in ("ErrorCode", "ErrorMessage", *_PLACE)),
    ),
    without=_DESIRED,
)
SAME_TOKEN = Assumption(
    name="the same token again", action=_LAUNCH, fields=("Instances[].InstanceIds[]",), without=_DESIRED
)
OTHER_WISH = Assumption(
    name="the same token with another wish",
    action=_LAUNCH,
    codes=("IdempotentParameterMismatch",),
    without=_DESIRED,
)
PROTECTION = Assumption(
    name="protection from scale-in",
    action="autoscaling:SetInstanceProtection",
    fields=("ResponseMetadata",),  # of an instance in service
    codes=("ValidationError",),  # of one that is still pending
    without="zones are balanced inside each group first, as AZRebalance could take nodes away without a drain",
)
END = Assumption(
    name="its termination, with decrement",
    action="autoscaling:TerminateInstanceInAutoScalingGroup",
    fields=("Activity.ActivityId", "Activity.StatusCode"),
    without="no node could be removed; TERMINATE THE INSTANCE BY HAND",
)
GONE = Assumption(
    name="its termination a second time",
    action="autoscaling:TerminateInstanceInAutoScalingGroup",
    codes=("ValidationError",),
    without="see above",
)
