"""The group source over HTTP: pages, discovery, what groups refer to, and failures of every kind."""

from datetime import UTC, datetime

import anyio
import pytest

from autoscaler.aws.client import Aws
from autoscaler.aws.discovery import Selection
from autoscaler.aws.facts import Facts
from autoscaler.aws.groups import GroupSource
from autoscaler.aws.known import Bounds
from autoscaler.core.model import GroupName, InstanceId, LaunchMethod, Market
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.faults import Fault, access_denied, throttling
from autoscaler.errors import AwsError
from tests.aws.waiting import wait_for_instances

pytestmark = pytest.mark.anyio
ENABLED = "k8s.io/cluster-autoscaler/enabled"
OURS = Selection(tags={ENABLED: None, "team": "web"})
TAGS = {ENABLED: "", "team": "web"}


def named(*names: str) -> Selection:
    return Selection(bounds={GroupName(name): Bounds(0, 9) for name in names})


async def test_groups_are_discovered_by_all_their_tags_in_pages_of_ten(emulator: AwsEmulator, aws: Aws) -> None:
    for number in range(23):
        emulator.create_group(name=f"web-{number:02}", tags=TAGS)
    emulator.create_group(name="other", tags={ENABLED: "", "team": "data"})
    groups = await GroupSource(aws, OURS).refresh()
    assert [group.name for group in groups] == [f"web-{number:02}" for number in range(23)]
    calls = emulator.calls("DescribeAutoScalingGroups")
    assert [call.parameters["MaxRecords"] for call in calls] == ["10"] * 3


async def test_what_a_group_refers_to_is_read_too(emulator: AwsEmulator, aws: Aws) -> None:
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}
    emulator.create_group(name="a", market="spot", template={"BlockDeviceMappings": [disk]})
    emulator.create_group(name="b", market="on-demand", instance_types=["c5.large", "m5.large"])
    emulator.create_group(name="c", market="mixed")
    a, b, c = await GroupSource(aws, named("a", "b", "c")).refresh()
    assert (a.market, a.method) == (Market.SPOT, LaunchMethod.SYNC)
    assert a.shapes[0].capacity["ephemeral-storage"] == 30 * 2**30
    assert (b.market, [shape.instance_type for shape in b.shapes]) == (Market.ON_DEMAND, ["c5.large", "m5.large"])
    assert (c.market, c.method) == (Market.MIXED, LaunchMethod.DESIRED)
    assert (a.max_size, a.is_explicit) == (9, True)
    assert set(a.subnets) == set(a.zones)
    assert len(a.zones) == 3


async def test_only_what_may_have_changed_is_read_again(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a")
    source = GroupSource(aws, named("a"))
    await source.refresh()
    await source.refresh()
    assert len(emulator.calls("DescribeLaunchTemplateVersions")) == 2  # $Latest
    assert len(emulator.calls("DescribeInstanceTypes")) == 1
    assert len(emulator.calls("DescribeSubnets")) == 1


async def test_the_static_list_asks_ec2_for_no_types(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a")
    (group,) = await GroupSource(aws, named("a"), static_types=True).refresh()
    assert group.shapes[0].capacity["pods"] == 29
    assert emulator.calls("DescribeInstanceTypes") == []


async def test_a_slow_refresh_of_all_never_covers_a_newer_one_of_some(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a")
    source = GroupSource(aws, named("a"))
    await source.refresh()
    emulator.faults.hold("DescribeLaunchTemplateVersions")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.refresh)
        with anyio.fail_after(10):
            while len(emulator.calls("DescribeLaunchTemplateVersions")) < 2:  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.01)
        with emulator.world.lock:
            emulator.world.groups["a"].desired = 4
        await source.refresh([GroupName("a")])
        emulator.faults.release("DescribeLaunchTemplateVersions")
    assert [group.desired for group in source.groups] == [4]


async def test_a_named_refresh_reads_only_these_groups(emulator: AwsEmulator, aws: Aws) -> None:
    for name in "ab":
        emulator.create_group(name=name, tags=TAGS)
    source = GroupSource(aws, OURS)
    await source.refresh()
    before = len(emulator.calls())
    with emulator.world.lock:
        emulator.world.groups["a"].desired = emulator.world.groups["b"].desired = 4
    groups = await source.refresh([GroupName("a")])
    assert [group.desired for group in groups] == [4, 0]
    assert len(emulator.calls()) == before + 1


async def test_a_group_that_is_gone_is_dropped(emulator: AwsEmulator, aws: Aws) -> None:
    for name in "ab":
        emulator.create_group(name=name, tags=TAGS)
    source = GroupSource(aws, OURS)
    await source.refresh()
    await aws.call("autoscaling", "DeleteAutoScalingGroup", AutoScalingGroupName="a", ForceDelete=True)
    assert [group.name for group in await source.refresh()] == ["b"]


async def test_a_failed_read_keeps_the_last_good_groups(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a", tags=TAGS)
    source = GroupSource(aws, OURS)
    await source.refresh()
    read_at = source.refreshed_at
    emulator.faults.add(throttling("autoscaling", "DescribeAutoScalingGroups", times=1))
    with pytest.raises(AwsError) as raised:
        await source.refresh()
    assert raised.value.code == "Throttling"
    assert [group.name for group in source.groups] == ["a"]
    assert source.refreshed_at == read_at
    await source.refresh()
    assert source.refreshed_at != read_at


async def test_missing_permissions_leave_facts_unknown_and_are_not_asked_for_again(
    emulator: AwsEmulator, aws: Aws
) -> None:
    emulator.create_group(name="a", desired=1, tags={"eks:cluster-name": "c", "eks:nodegroup-name": "n"})
    optional = (
        ("ec2", "DescribeInstanceTypes"),
        ("ec2", "DescribeSubnets"),
        ("autoscaling", "DescribeInstanceRefreshes"),
    )
    for service, action in optional:
        emulator.faults.add(access_denied(service, action))
    source = GroupSource(aws, named("a"))
    for _ in range(3):
        (group,) = await source.refresh()
        assert group.shapes[0].instance_type == "m5.large"  # from the packaged catalogue
        assert group.subnets == {}
    for _, action in optional:
        assert len(emulator.calls(action)) <= 1, action


async def test_an_unknown_launch_template_is_a_fault_of_the_group(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a")
    emulator.faults.add(access_denied("ec2", "DescribeLaunchTemplateVersions"))
    (group,) = await GroupSource(aws, named("a")).refresh()
    assert [fault.code for fault in group.faults] == ["UnknownShape"]
    assert group.market is Market.UNKNOWN


async def test_first_sight_is_kept_and_launch_time_is_better(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a", desired=1)
    await wait_for_instances(emulator, "a", 1)
    (instance,) = emulator.instances("a")
    ident = InstanceId(instance.id)
    source = GroupSource(aws, named("a"))
    persisted = datetime(2026, 1, 1, tzinfo=UTC)
    source.remember({ident: persisted, InstanceId("i-gone"): persisted})
    (group,) = await source.refresh()
    assert group.instances[0].since == persisted
    assert source.first_seen == {ident: persisted}
    await source.learn_launch_times([ident])
    (group,) = await source.refresh([GroupName("a")])
    assert group.instances[0].since is not None
    assert abs(group.instances[0].since - instance.launched).total_seconds() < 1.0


async def test_an_instance_refresh_in_progress_is_seen(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a", desired=1)
    await wait_for_instances(emulator, "a", 1)
    await aws.call("autoscaling", "StartInstanceRefresh", AutoScalingGroupName="a")
    (group,) = await GroupSource(aws, named("a")).refresh()
    assert group.is_refreshing


async def test_an_empty_selection_asks_nothing(emulator: AwsEmulator, aws: Aws) -> None:
    assert await GroupSource(aws, Selection()).refresh() == ()
    assert emulator.calls() == []


async def test_a_group_that_is_named_but_missing_is_left_out(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a")
    assert [group.name for group in await GroupSource(aws, named("a", "b")).refresh()] == ["a"]


async def test_a_dropped_answer_is_an_error_without_status(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="a", tags=TAGS)
    emulator.faults.add(Fault(kind="drop", action="DescribeAutoScalingGroups", times=1))
    with pytest.raises(AwsError) as raised:
        await GroupSource(aws, OURS).refresh()
    assert raised.value.status == 0


async def test_types_that_ec2_may_not_tell_are_guessed_once(aws: Aws) -> None:
    """The catalogue takes milliseconds for an answer, and each refresh asks for every such group."""
    facts = Facts(aws)
    wishes = {"VCpuCount": {"Min": 4, "Max": 8}}
    assert facts.resolve(wishes, "amd64") is facts.resolve(dict(wishes), "amd64")
    facts.catalogue = facts.catalogue.with_types(())
    assert facts.resolve(wishes, "amd64")
