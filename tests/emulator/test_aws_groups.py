"""The state machine of groups: desired capacity, failures, termination, protection."""

import queue
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from autoscaler.emulator.aws import AwsEmulator, InstanceEvent
from tests.emulator.aws_worlds import A, B, C, client, failures, group, states, wait_in_service, wait_until


@pytest.fixture
def aws(aws: AwsEmulator) -> AwsEmulator:
    """The shared account, with the quick delays again: tests here change them."""
    aws.control.delays({"launch": 0.02, "boot": 0.05, "terminate": 0.05, "retry": 0.1})
    return aws


def desire(asg: Any, name: str, count: int) -> None:
    asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=count, HonorCooldown=False)


def give_up(asg: Any, instance: str, decrement: bool = True) -> dict[str, Any]:
    answer: dict[str, Any] = asg.terminate_instance_in_auto_scaling_group(
        InstanceId=instance, ShouldDecrementDesiredCapacity=decrement
    )
    return answer


def test_desired_capacity_takes_its_time(aws: AwsEmulator, asg: Any) -> None:
    aws.control.delays({"boot": 3600})
    aws.create_group(name="od", zones=[A, B, C])
    desire(asg, "od", 6)
    assert group(asg, "od")["DesiredCapacity"] == 6
    wait_until(lambda: states(asg, "od") == ["Pending"] * 6)
    assert Counter(one["AvailabilityZone"] for one in group(asg, "od")["Instances"]) == {A: 2, B: 2, C: 2}


@pytest.mark.parametrize("count", [-1, 11])
def test_desired_capacity_stays_within_bounds(aws: AwsEmulator, asg: Any, count: int) -> None:
    aws.create_group(name="od", min=0, max=10)
    with pytest.raises(ClientError, match=r"min value 0|max value 10"):
        desire(asg, "od", count)


def test_what_the_pools_lack_fails_and_comes_with_the_refill(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A], instance_types=["m5.large"])
    aws.set_pool("m5.large", free=1)
    desire(asg, "od", 3)
    failed = wait_until(lambda: failures(asg, "od"))[0]
    assert failed["StatusMessage"] == (
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (eu-west-3a). "
        "Our system will be working on provisioning additional capacity. You can currently get m5.large capacity by "
        "not specifying an Availability Zone in your request or choosing eu-west-3b, eu-west-3c. "
        "Launching EC2 instance failed."
    )
    assert '"Availability Zone":"eu-west-3a"' in failed["Details"]
    assert failed["Progress"] == 100
    wait_until(lambda: len(failures(asg, "od")) >= 2)
    wait_in_service(asg, "od", 1)
    aws.set_pool("m5.large", free=None)
    wait_in_service(asg, "od", 3)


@pytest.mark.parametrize(
    ("market", "refusal", "text"),
    [
        ("spot", "", "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity"),
        ("spot", "UnfulfillableCapacity", "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill"),
        ("spot", "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded. Launching EC2 instance failed."),
        ("on-demand", "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit of 64"),
    ],
)
def test_failed_activities_speak_as_aws_does(aws: AwsEmulator, asg: Any, market: str, refusal: str, text: str) -> None:
    aws.create_group(name="g", market=market, policy=True)
    aws.set_pool(free=0, refusal=refusal)
    desire(asg, "g", 1)
    assert text in wait_until(lambda: failures(asg, "g"))[0]["StatusMessage"]


def test_a_template_that_is_gone_fails_every_launch(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="g")
    client(aws, "ec2").delete_launch_template(LaunchTemplateName="g-template")
    desire(asg, "g", 1)
    failed = wait_until(lambda: failures(asg, "g"))[0]
    assert failed["StatusMessage"].startswith("You must use a valid fully-formed launch template.")


def test_a_dry_zone_is_made_up_for_in_the_others(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A, B])
    aws.set_pool(zone=A, free=0)
    desire(asg, "od", 4)
    assert {one["AvailabilityZone"] for one in wait_in_service(asg, "od", 4)} == {B}
    assert len(failures(asg, "od")) == 1


def test_withdrawing_desired_ends_the_retries_and_terminates_nothing(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A])
    desire(asg, "od", 2)
    wait_in_service(asg, "od", 2)
    aws.set_pool(free=0)
    desire(asg, "od", 5)
    wait_until(lambda: failures(asg, "od"))
    desire(asg, "od", 2)
    aws.set_pool(free=None)
    aws.create_group(name="later", zones=[A], desired=1)
    wait_in_service(asg, "later", 1)
    wait_in_service(asg, "od", 2)


def test_lowering_desired_spares_the_protected(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A], desired=3)
    ids = [one["InstanceId"] for one in wait_in_service(asg, "od", 3)]
    asg.set_instance_protection(AutoScalingGroupName="od", InstanceIds=ids[:2], ProtectedFromScaleIn=True)
    desire(asg, "od", 0)
    left = wait_in_service(asg, "od", 2)
    assert {one["InstanceId"] for one in left} == set(ids[:2])
    assert all(one["ProtectedFromScaleIn"] for one in left)
    with pytest.raises(asg.exceptions.LimitExceededFault):
        asg.set_instance_protection(AutoScalingGroupName="od", InstanceIds=["i-1"] * 51, ProtectedFromScaleIn=True)


def test_terminates_exactly_the_one_that_was_named(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A], desired=2)
    first, second = (one["InstanceId"] for one in wait_in_service(asg, "od", 2))
    assert give_up(asg, first)["Activity"]["StatusCode"] == "InProgress"
    assert group(asg, "od")["DesiredCapacity"] == 1
    assert [one["InstanceId"] for one in wait_in_service(asg, "od", 1)] == [second]
    with pytest.raises(ClientError, match="No managed instance found for instance ID"):
        give_up(asg, first)


def test_terminating_at_the_minimum_needs_a_replacement(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A], min=1)
    only = wait_in_service(asg, "od", 1)[0]["InstanceId"]
    with pytest.raises(ClientError, match=r"desiredSize equals minSize \(1\)"):
        give_up(asg, only)
    give_up(asg, only, decrement=False)
    wait_until(lambda: states(asg, "od") == ["InService"] and group(asg, "od")["Instances"][0]["InstanceId"] != only)
    assert group(asg, "od")["DesiredCapacity"] == 1


def test_terminates_a_list_in_one_call(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A], desired=3)
    ids = [one["InstanceId"] for one in wait_in_service(asg, "od", 3)]
    answer = asg.terminate_instance_in_auto_scaling_group(
        AutoScalingGroupName="od", InstanceIds=ids[:2], ShouldDecrementDesiredCapacity=True
    )
    assert len(answer["Activities"]) == 2
    assert [one["InstanceId"] for one in wait_in_service(asg, "od", 1)] == ids[2:]


def test_nothing_launches_while_launch_is_suspended(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="held", zones=[A])
    aws.create_group(name="free", zones=[A])
    asg.suspend_processes(AutoScalingGroupName="held", ScalingProcesses=["Launch"])
    desire(asg, "held", 1)
    desire(asg, "free", 1)
    wait_in_service(asg, "free", 1)
    assert states(asg, "held") == []
    assert [one["ProcessName"] for one in group(asg, "held")["SuspendedProcesses"]] == ["Launch"]
    with pytest.raises(ClientError, match="suspended"):
        asg.launch_instances(AutoScalingGroupName="held", RequestedCapacity=1, ClientToken="t")
    asg.resume_processes(AutoScalingGroupName="held", ScalingProcesses=["Launch"])
    wait_in_service(asg, "held", 1)


def test_a_mixed_group_keeps_its_share_and_its_policy(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="mixed", zones=[A], market="mixed", base=1, percentage=50)
    policy = group(asg, "mixed")["MixedInstancesPolicy"]
    desire(asg, "mixed", 5)
    wait_in_service(asg, "mixed", 5)
    assert Counter(str(one.market) for one in aws.instances("mixed")) == {"on-demand": 3, "spot": 2}
    asg.update_auto_scaling_group(AutoScalingGroupName="mixed", MaxSize=20)
    assert group(asg, "mixed")["MixedInstancesPolicy"] == policy
    assert group(asg, "mixed")["MaxSize"] == 20


def test_a_lost_instance_is_replaced(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", zones=[A], market="spot", desired=1)
    only = wait_in_service(asg, "spot", 1)[0]["InstanceId"]
    client(aws, "ec2").terminate_instances(InstanceIds=[only])
    wait_until(lambda: states(asg, "spot") == ["InService"] and aws.instances("spot")[0].id != only)


def test_rebalancing_kills_in_the_fullest_zone_unless_protected(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A, B], max=20)
    asg.launch_instances(AutoScalingGroupName="od", RequestedCapacity=4, ClientToken="t", AvailabilityZones=[A])
    ids = [one["InstanceId"] for one in wait_in_service(asg, "od", 4)]
    asg.set_instance_protection(AutoScalingGroupName="od", InstanceIds=ids[1:], ProtectedFromScaleIn=True)
    aws.control.rebalance({"group": "od"})
    wait_until(lambda: Counter(one.zone for one in aws.instances("od") if one.is_live) == {A: 3, B: 1})
    assert {one.id for one in aws.instances("od") if one.zone == A and one.is_live} == set(ids[1:])


def test_pages_and_filters(aws: AwsEmulator, asg: Any) -> None:
    for number in range(7):
        aws.create_group(name=f"g{number}", zones=[A], desired=1, tags={"parity": str(number % 2)})
    pages = asg.get_paginator("describe_auto_scaling_groups").paginate(PaginationConfig={"PageSize": 3})
    assert [len(page["AutoScalingGroups"]) for page in pages] == [3, 3, 1]
    odd = asg.describe_auto_scaling_groups(Filters=[{"Name": "tag:parity", "Values": ["1"]}])["AutoScalingGroups"]
    assert [one["AutoScalingGroupName"] for one in odd] == ["g1", "g3", "g5"]
    wait_in_service(asg, "g6", 1)
    first = asg.describe_scaling_activities(MaxRecords=2)
    rest = asg.describe_scaling_activities(NextToken=first["NextToken"])
    assert len(first["Activities"]) == 2
    assert not {one["ActivityId"] for one in first["Activities"]} & {one["ActivityId"] for one in rest["Activities"]}


def test_observers_learn_of_every_instance(aws: AwsEmulator, asg: Any) -> None:
    events: queue.SimpleQueue[InstanceEvent] = queue.SimpleQueue()
    aws.world.subscribe(events.put)
    aws.create_group(name="spot", zones=[A], market="spot", desired=1, tags={"team": "web"})
    launched, arrived = events.get(timeout=10), events.get(timeout=10)
    assert (launched.kind, arrived.kind, arrived.group, arrived.market) == ("launched", "in-service", "spot", "spot")
    assert arrived.provider_id == f"aws:///{A}/{arrived.id}"
    assert arrived.group_tags == {"team": "web"}
    give_up(asg, arrived.id)
    assert [events.get(timeout=10).kind for _ in range(2)] == ["terminating", "terminated"]
    aws.world.unsubscribe(events.put)


def test_weights_overshoot_by_less_than_one_instance(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="heavy", weights={"m5.large": 4}, market="spot", max=20)
    desire(asg, "heavy", 7)
    wait_in_service(asg, "heavy", 2)


def test_states_set_by_hand_stay(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", zones=[A], desired=2)
    ids = [one["InstanceId"] for one in wait_in_service(asg, "od", 2)]
    aws.control.state({"id": ids[0], "state": "Pending:Wait"})
    assert states(asg, "od") == ["InService", "Pending:Wait"]


def test_an_instance_refresh_is_told_of_until_cancelled(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od")
    asg.start_instance_refresh(AutoScalingGroupName="od")
    refreshes = asg.describe_instance_refreshes(AutoScalingGroupName="od")["InstanceRefreshes"]
    assert [one["Status"] for one in refreshes] == ["InProgress"]
    asg.cancel_instance_refresh(AutoScalingGroupName="od")
    refreshes = asg.describe_instance_refreshes(AutoScalingGroupName="od")["InstanceRefreshes"]
    assert [one["Status"] for one in refreshes] == ["Cancelled"]


def test_instance_requirements_choose_the_smallest_types_that_fit(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="template-of")
    requirements = {"VCpuCount": {"Min": 4, "Max": 4}, "MemoryMiB": {"Min": 16384, "Max": 16384}}
    asg.create_auto_scaling_group(
        AutoScalingGroupName="any",
        MinSize=0,
        MaxSize=5,
        AvailabilityZones=[A],
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "template-of-template", "Version": "1"},
                "Overrides": [{"InstanceRequirements": requirements}],
            },
            "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
        },
    )
    answer = asg.launch_instances(AutoScalingGroupName="any", RequestedCapacity=1, ClientToken="t")
    assert answer["Instances"][0]["InstanceType"].endswith(".xlarge")
