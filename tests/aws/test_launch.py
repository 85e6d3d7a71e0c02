"""LaunchInstances over HTTP: what came, what was refused, and what is asked again."""

from typing import Any

import anyio
import pytest

from autoscaler.aws.client import Aws, AwsSettings, connect
from autoscaler.aws.discovery import Selection
from autoscaler.aws.groups import GroupSource
from autoscaler.aws.known import Bounds
from autoscaler.aws.launch import launch
from autoscaler.aws.sizes import AT_MAXIMUM
from autoscaler.core.decision import Launch, LaunchResult, RefusalKind
from autoscaler.core.model import GroupName, Lifecycle, Market, NodeGroup, Zone
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.build import GroupSettings
from autoscaler.emulator.aws.faults import Fault, access_denied, throttling

pytestmark = pytest.mark.anyio
ZONE = Zone("eu-west-3a")


async def read(aws: Aws, name: str) -> NodeGroup:
    source = GroupSource(aws, Selection(bounds={GroupName(name): Bounds(0, 200)}))
    (group,) = await source.refresh()
    return group


async def launch_in(emulator: AwsEmulator, aws: Aws, count: int = 1, **settings: Any) -> LaunchResult:
    wanted: GroupSettings = {"name": "spot-a", "market": "spot", "max": 200, **settings}  # type: ignore[typeddict-item]
    emulator.create_group(**wanted)
    group = await read(aws, "spot-a")
    wish = Launch(group=group.name, zone=ZONE, count=count, units=count * group.weight, token="t" * 64)
    return await launch(aws, wish, group)


def kinds(result: LaunchResult) -> list[RefusalKind]:
    return [refusal.kind for refusal in result.refusals]


async def test_what_came_is_named(emulator: AwsEmulator, aws: Aws) -> None:
    result = await launch_in(emulator, aws, 3)
    assert {one.id for one in result.launched} == {one.id for one in emulator.instances("spot-a")}
    assert len(result.launched) == 3
    assert {(one.instance_type, one.zone, one.lifecycle) for one in result.launched} == {
        ("m5.large", ZONE, Lifecycle.PENDING)
    }
    assert result.refusals == ()
    (call,) = emulator.calls("LaunchInstances")
    assert call.parameters["AvailabilityZones.member.1"] == ZONE
    assert call.parameters["RetryStrategy"] == "none"


async def test_partial_success_brings_instances_and_refusals(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.set_pool("m5.large", ZONE, "spot", free=1)
    emulator.set_pool("c5.large", ZONE, "spot", free=1)
    result = await launch_in(emulator, aws, 3, instance_types=["m5.large", "c5.large"])
    assert sorted(one.instance_type for one in result.launched) == ["c5.large", "m5.large"]
    assert set(kinds(result)) == {RefusalKind.NO_CAPACITY}
    assert {(one.instance_type, one.zone, one.market) for one in result.refusals} == {
        ("m5.large", ZONE, Market.SPOT),
        ("c5.large", ZONE, Market.SPOT),
    }


async def test_weights_are_those_of_the_types(emulator: AwsEmulator, aws: Aws) -> None:
    result = await launch_in(emulator, aws, 2, instance_types=["m5.large"], weights={"m5.large": 2})
    assert [one.weight for one in result.launched] == [2, 2]


async def test_more_than_a_hundred_go_in_several_calls(emulator: AwsEmulator, aws: Aws) -> None:
    result = await launch_in(emulator, aws, 120)
    assert len(result.launched) == 120
    calls = emulator.calls("LaunchInstances")
    assert sorted(int(call.parameters["RequestedCapacity"]) for call in calls) == [20, 100]
    assert len({call.parameters["ClientToken"] for call in calls}) == 2


async def test_a_lost_answer_is_asked_for_again_and_launches_once(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.faults.add(Fault(kind="drop-after", action="LaunchInstances", times=1))
    result = await launch_in(emulator, aws, 2)
    calls = emulator.calls("LaunchInstances")
    assert len(calls) == 2
    assert calls[0].parameters["ClientToken"] == calls[1].parameters["ClientToken"]
    assert len(result.launched) == len(emulator.instances("spot-a")) == 2


async def test_a_call_still_in_progress_is_asked_for_again(emulator: AwsEmulator) -> None:
    emulator.create_group(name="spot-a", market="spot")
    async with connect(AwsSettings(call_timeout=1.0)) as aws:
        group = await read(aws, "spot-a")
        emulator.faults.hold("LaunchInstances")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(release_after_a_second_call, emulator)
            result = await launch(aws, Launch(group=group.name, zone=ZONE, count=1, units=1, token="one"), group)
    assert len(result.launched) == len(emulator.instances("spot-a")) == 1


async def release_after_a_second_call(emulator: AwsEmulator) -> None:
    for _ in range(1000):
        if len(emulator.calls("LaunchInstances")) > 1:
            break
        await anyio.sleep(0.02)
    emulator.faults.release("LaunchInstances")


async def test_an_answer_that_stays_lost_is_no_answer(emulator: AwsEmulator) -> None:
    emulator.create_group(name="spot-a", market="spot")
    async with connect(AwsSettings(call_timeout=1.0)) as aws:
        group = await read(aws, "spot-a")
        emulator.faults.hold("LaunchInstances")
        result = await launch(aws, Launch(group=group.name, zone=ZONE, count=1, units=1, token="one"), group)
        emulator.faults.release("LaunchInstances")
    assert kinds(result) == [RefusalKind.NO_ANSWER]
    assert len({call.parameters["ClientToken"] for call in emulator.calls("LaunchInstances")}) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (access_denied("autoscaling", "LaunchInstances"), RefusalKind.NO_LAUNCH_API),
        (Fault(action="LaunchInstances", code="AccessDenied", message="no", status=403), RefusalKind.NO_LAUNCH_API),
        (Fault(action="LaunchInstances", code="InvalidAction", message="no", status=400), RefusalKind.NO_LAUNCH_API),
        (Fault(action="LaunchInstances", code="Whatever", message="no", status=404), RefusalKind.NO_LAUNCH_API),
        (throttling("autoscaling", "LaunchInstances"), RefusalKind.THROTTLED),
        (Fault(action="LaunchInstances", code="ValidationError", message="no", status=400), RefusalKind.CONFIGURATION),
        (Fault(action="LaunchInstances", code="ExpiredToken", message="no", status=403), RefusalKind.CONFIGURATION),
        (Fault(action="LaunchInstances", code="Surprise", message="no", status=400), RefusalKind.UNKNOWN),
    ],
)
async def test_an_error_of_the_call_is_one_refusal(
    emulator: AwsEmulator, aws: Aws, fault: Fault, kind: RefusalKind
) -> None:
    emulator.faults.add(fault)
    result = await launch_in(emulator, aws)
    assert kinds(result) == [kind]
    assert result.refusals[0].zone == ZONE
    assert len(emulator.calls("LaunchInstances")) == 1
    emulator.faults.clear()


async def test_an_internal_error_inside_a_reply_leaves_nothing_open(emulator: AwsEmulator, aws: Aws) -> None:
    """Else the next question would have the same token, and AWS would only replay the error."""
    emulator.set_pool(free=0, refusal="InternalError")
    result = await launch_in(emulator, aws)
    assert kinds(result) == [RefusalKind.CONTENTION]
    assert result.refusals[0].code == "InternalError"


async def test_an_endpoint_without_the_operation(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.faults.launch_api = False
    assert kinds(await launch_in(emulator, aws)) == [RefusalKind.NO_LAUNCH_API]


async def test_a_group_in_several_zones_needs_one_named(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="spot-a", market="spot")
    group = await read(aws, "spot-a")
    with pytest.raises(ValueError, match="needs one zone"):
        await launch(aws, Launch(group=group.name, zone=None, count=1, units=1), group)


async def test_a_group_filled_by_somebody_else_is_at_its_maximum_not_misconfigured(
    emulator: AwsEmulator, aws: Aws
) -> None:
    emulator.create_group(name="spot-a", market="spot", max=5)
    group = await read(aws, "spot-a")
    with emulator.world.lock:
        emulator.world.groups["spot-a"].desired = 4
    result = await launch(aws, Launch(group=group.name, zone=ZONE, count=2, units=2, token="one"), group)
    assert [(one.kind, one.code) for one in result.refusals] == [(RefusalKind.CONTENTION, AT_MAXIMUM)]
