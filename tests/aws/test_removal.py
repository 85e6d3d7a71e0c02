"""Exact victims, and protection from scale-in, over HTTP."""

import pytest

from autoscaler.aws.client import Aws
from autoscaler.aws.protect import protect, unprotect
from autoscaler.aws.sizes import GroupSizes
from autoscaler.aws.terminate import terminate
from autoscaler.core.decision import RefusalKind, Removal
from autoscaler.core.model import GroupName, InstanceId
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.faults import access_denied
from tests.aws.waiting import wait_for_instances

pytestmark = pytest.mark.anyio
NAME = GroupName("spot-a")


async def grown(emulator: AwsEmulator, count: int, **settings: int) -> list[InstanceId]:
    """Create a group and wait until its instances are in service."""
    emulator.create_group(name=NAME, desired=count, max=100, min=settings.get("min", 0))
    return [InstanceId(one.id) for one in await wait_for_instances(emulator, NAME, count, "InService")]


def removal(ident: str, *, reason: str = "NoNode", decrement: bool = True) -> Removal:
    return Removal(group=NAME, instance=InstanceId(ident), decrement=decrement, reason=reason)


def desired(emulator: AwsEmulator) -> int:
    return emulator.world.groups[NAME].desired


async def test_an_instance_goes_and_desired_with_it(emulator: AwsEmulator, aws: Aws) -> None:
    ids = await grown(emulator, 3)
    done = [await terminate(aws, GroupSizes(aws), removal(ident)) for ident in ids[:2]]
    assert [(one.refusal, one.decremented) for one in done] == [(None, True), (None, True)]
    assert desired(emulator) == 1


async def test_what_is_gone_already_is_success(emulator: AwsEmulator, aws: Aws) -> None:
    (ident,) = await grown(emulator, 1)
    assert (await terminate(aws, GroupSizes(aws), removal("i-00000000000000000"))).was_gone
    await terminate(aws, GroupSizes(aws), removal(ident))
    again = await terminate(aws, GroupSizes(aws), removal(ident))
    assert again.refusal is None
    assert desired(emulator) == 0


async def test_at_the_minimum_a_silent_instance_goes_without_decrement(emulator: AwsEmulator, aws: Aws) -> None:
    (ident,) = await grown(emulator, 1, min=1)
    done = await terminate(aws, GroupSizes(aws), removal(ident))
    assert (done.refusal, done.decremented) == (None, False)
    assert desired(emulator) == 1
    assert ident not in [one.id for one in emulator.instances(NAME) if one.is_live]


async def test_at_the_minimum_nothing_is_surplus(emulator: AwsEmulator, aws: Aws) -> None:
    (ident,) = await grown(emulator, 1, min=1)
    done = await terminate(aws, GroupSizes(aws), removal(ident, reason="Surplus"))
    assert done.refusal is not None
    assert ident in [one.id for one in emulator.instances(NAME) if one.is_live]


async def test_a_denied_removal_is_a_refusal(emulator: AwsEmulator, aws: Aws) -> None:
    (ident,) = await grown(emulator, 1)
    emulator.faults.add(access_denied("autoscaling", "TerminateInstanceInAutoScalingGroup"))
    done = await terminate(aws, GroupSizes(aws), removal(ident))
    assert done.refusal is not None
    assert done.refusal.kind is RefusalKind.CONFIGURATION


async def test_protection_goes_in_calls_of_fifty_and_leaves_out_what_cannot_have_it(
    emulator: AwsEmulator, aws: Aws
) -> None:
    ids = await grown(emulator, 60)
    done = await protect(aws, NAME, [*ids, InstanceId("i-00000000000000000")])
    assert sorted(done.changed) == sorted(ids)
    assert done.fault is not None
    assert not done.denied
    assert all(one.protected for one in emulator.instances(NAME))
    calls = emulator.calls("SetInstanceProtection")
    assert max(sum(key.startswith("InstanceIds") for key in call.parameters) for call in calls) == 50


async def test_without_the_permission_there_is_one_fault(emulator: AwsEmulator, aws: Aws) -> None:
    ids = await grown(emulator, 60)
    emulator.faults.add(access_denied("autoscaling", "SetInstanceProtection"))
    done = await protect(aws, NAME, ids)
    assert done.denied
    assert done.fault is not None
    assert len(emulator.calls("SetInstanceProtection")) == 1


async def test_desired_covers_the_live_instances_before_protection_goes(emulator: AwsEmulator, aws: Aws) -> None:
    ids = await grown(emulator, 3)
    await protect(aws, NAME, ids)
    with emulator.world.lock:
        emulator.world.groups[NAME].desired = 1
    assert (await unprotect(aws, GroupSizes(aws), NAME, ids)).fault is None
    assert desired(emulator) == 3
    assert [one.protected for one in emulator.instances(NAME)] == [False] * 3
