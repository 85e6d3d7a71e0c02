"""Groups that grow by desired capacity: relative raises, failures followed, the missing withdrawn."""

from dataclasses import replace

import anyio
import pytest

from autoscaler.aws.activities import ActivityReport, ActivityWatch, Raised, read_refusal, read_units
from autoscaler.aws.client import Aws
from autoscaler.aws.sizes import AT_MAXIMUM, GroupSizes
from autoscaler.core.decision import Launch, RefusalKind
from autoscaler.core.model import GroupName, LaunchMethod, Market, NodeGroup, Zone
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.faults import Fault, access_denied
from autoscaler.emulator.aws.groups import set_desired
from tests.aws.waiting import wait_for_instances

pytestmark = pytest.mark.anyio
NAME = GroupName("mixed-a")
ZONE = Zone("eu-west-3a")


def group(max_size: int = 10) -> NodeGroup:
    return NodeGroup(name=NAME, min_size=0, max_size=max_size, desired=0, zones=(ZONE,), method=LaunchMethod.DESIRED)


def wish(count: int) -> Launch:
    return Launch(group=NAME, zone=None, count=count, units=count, method=LaunchMethod.DESIRED)


def desired(emulator: AwsEmulator) -> int:
    return emulator.world.groups[NAME].desired


@pytest.fixture
def mixed(emulator: AwsEmulator) -> AwsEmulator:
    emulator.create_group(name=NAME, market="mixed", zones=[ZONE], max=10, percentage=50)
    return emulator


async def poll(watch: ActivityWatch) -> ActivityReport:
    """Poll until something failed."""
    with anyio.fail_after(20):
        while True:
            (report,), errors = await watch.poll()
            assert errors == ()
            if report.failed:
                return report
            await anyio.sleep(0.05)


async def test_raises_add_up_even_side_by_side(mixed: AwsEmulator, aws: Aws) -> None:
    sizes = GroupSizes(aws)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(sizes.raise_by, wish(2), group())
    assert desired(mixed) == 6
    assert all(call.parameters["HonorCooldown"] == "false" for call in mixed.calls("SetDesiredCapacity"))


async def test_a_raise_stops_at_the_maximum_of_the_group_or_of_the_flag(mixed: AwsEmulator, aws: Aws) -> None:
    result, raised = await GroupSizes(aws).raise_by(wish(4), group(max_size=3))
    assert desired(mixed) == 3
    assert raised is not None
    assert raised.units == 3
    assert [refusal.code for refusal in result.refusals] == [AT_MAXIMUM]
    result, raised = await GroupSizes(aws).raise_by(wish(1), group(max_size=3))
    assert (desired(mixed), raised) == (3, None)


async def test_a_lease_that_is_lost_between_the_reads_and_the_write_stops_it(mixed: AwsEmulator, aws: Aws) -> None:
    aws.fence(lambda: not mixed.calls("DescribeAutoScalingGroups"))
    result, raised = await GroupSizes(aws).raise_by(wish(2), group())
    assert (desired(mixed), raised) == (0, None)
    assert [refusal.kind for refusal in result.refusals] == [RefusalKind.CONTENTION]


async def test_a_raise_counts_from_what_is_protected_above_desired(mixed: AwsEmulator, aws: Aws) -> None:
    sizes = GroupSizes(aws)
    await sizes.raise_by(wish(3), group())
    await wait_for_instances(mixed, NAME, 3)
    with mixed.world.lock:
        for one in mixed.world.instances.values():
            one.protected = True
        set_desired(mixed.world, mixed.world.groups[NAME], 1)
    _, raised = await sizes.raise_by(wish(2), group())
    assert desired(mixed) == 5
    assert raised is not None
    assert raised.units == 2


async def test_a_lost_answer_is_looked_up(mixed: AwsEmulator, aws: Aws) -> None:
    mixed.faults.add(Fault(kind="drop-after", action="SetDesiredCapacity", times=1))
    result, raised = await GroupSizes(aws).raise_by(wish(2), group())
    assert (desired(mixed), result.refusals) == (2, ())
    assert raised is not None
    assert len(mixed.calls("SetDesiredCapacity")) == 1


async def test_a_denial_is_a_refusal(mixed: AwsEmulator, aws: Aws) -> None:
    mixed.faults.add(access_denied("autoscaling", "SetDesiredCapacity"))
    result, raised = await GroupSizes(aws).raise_by(wish(2), group())
    assert raised is None
    assert [refusal.kind for refusal in result.refusals] == [RefusalKind.CONFIGURATION]


async def test_failures_after_the_raise_are_reported_once_and_withdrawn(mixed: AwsEmulator, aws: Aws) -> None:
    mixed.set_pool(market="spot", free=0)
    sizes, watch = GroupSizes(aws), ActivityWatch(aws)
    _, old = await sizes.raise_by(wish(2), group())  # one comes on-demand, one fails on spot
    assert old is not None
    watch.follow(old)
    await poll(watch)
    await wait_for_instances(mixed, NAME, 1)
    assert await sizes.withdraw(NAME, 1) == 1

    _, raised = await sizes.raise_by(wish(4), group())
    assert raised is not None
    watch = ActivityWatch(aws)
    watch.follow(raised)
    report = await poll(watch)
    assert {(one.kind, one.market) for one in report.refusals} == {(RefusalKind.NO_CAPACITY, Market.SPOT)}
    await wait_for_instances(mixed, NAME, 3)
    assert report.proven_missing(2) == 2
    (again,), _ = await watch.poll()
    assert (again.failed, again.refusals) == (0, ())
    assert await sizes.withdraw(NAME, report.proven_missing(2)) == 2
    assert desired(mixed) == 3
    watch.forget(NAME)
    assert watch.followed == frozenset()


async def test_a_withdrawal_never_goes_below_the_live_instances(mixed: AwsEmulator, aws: Aws) -> None:
    sizes = GroupSizes(aws)
    await sizes.raise_by(wish(3), group())
    await wait_for_instances(mixed, NAME, 3)
    assert await sizes.withdraw(NAME, 3) == 0
    assert desired(mixed) == 3


async def test_a_read_that_fails_says_nothing_about_instances(mixed: AwsEmulator, aws: Aws) -> None:
    watch = ActivityWatch(aws)
    watch.follow(Raised(NAME, 1))
    mixed.faults.add(access_denied("autoscaling", "DescribeScalingActivities"))
    reports, errors = await watch.poll()
    assert reports == ()
    assert [error.code for error in errors] == ["AccessDenied"]


NO_SPOT = "There is no Spot capacity available that matches your request."
LAUNCHING = {"Description": "Launching a new EC2 instance.  Status Reason: x", "Cause": ""}


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("Failed", "We currently do not have sufficient m5.large capacity in ...", RefusalKind.NO_CAPACITY),
        ("Cancelled", NO_SPOT, RefusalKind.NO_CAPACITY),
        ("WaitingForSpotInstanceId", NO_SPOT, RefusalKind.NO_CAPACITY),
        ("WaitingForSpotInstanceId", "Placed Spot instance request: sir-1. Waiting for instance(s)", None),
        ("Failed", "Something that nobody has ever read", RefusalKind.UNKNOWN),
        ("PreInService", "", None),
        ("Successful", "", None),
    ],
)
async def test_what_an_activity_says(status: str, message: str, kind: RefusalKind | None) -> None:
    refusal = read_refusal({**LAUNCHING, "StatusCode": status, "StatusMessage": message})
    assert (refusal.kind if refusal else None) == kind


async def test_the_cause_tells_how_many_units_were_wanted() -> None:
    cause = (
        "At 2026-01-01T00:00:00Z an instance was started in response to a difference between desired and actual "
        "capacity, increasing the capacity from 2 to 7."
    )
    assert read_units({"Cause": cause}) == 5
    assert read_units({"Cause": "of another kind"}) == 1
    assert replace(ActivityReport(group=NAME, failed=5), running=2).proven_missing(4) == 2
