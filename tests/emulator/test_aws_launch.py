"""LaunchInstances, as AWS tells it: partial success, tokens, zones, limits, markets."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from autoscaler.emulator.aws import AwsEmulator
from tests.emulator.aws_worlds import A, B, C, client, group, wait_in_service


def launch(asg: Any, name: str, count: int, token: str = "t", **place: Any) -> dict[str, Any]:
    place = place or {"AvailabilityZones": [A]}
    answer: dict[str, Any] = asg.launch_instances(
        AutoScalingGroupName=name, RequestedCapacity=count, ClientToken=token, **place
    )
    return answer


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_tells_what_it_launched_and_what_it_could_not(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", instance_types=["m5.large", "m5a.large"], market="spot")
    aws.set_pool("m5.large", A, free=1)
    aws.set_pool("m5a.large", A, free=1)
    answer = launch(asg, "spot", 3)
    assert [(one["InstanceType"], len(one["InstanceIds"])) for one in answer["Instances"]] == [
        ("m5.large", 1),
        ("m5a.large", 1),
    ]
    place = answer["Instances"][0]
    assert (place["MarketType"], place["AvailabilityZone"], place["AvailabilityZoneId"]) == ("Spot", A, "euw3-az1")
    assert place["SubnetId"] in group(asg, "spot")["VPCZoneIdentifier"]
    assert {(error["InstanceType"], error["ErrorCode"]) for error in answer["Errors"]} == {
        ("m5.large", "InsufficientInstanceCapacity"),
        ("m5a.large", "InsufficientInstanceCapacity"),
    }
    assert "no Spot capacity available" in answer["Errors"][0]["ErrorMessage"]
    assert group(asg, "spot")["DesiredCapacity"] == 2
    wait_in_service(asg, "spot", 2)


def test_a_dry_pool_refuses_in_one_zone_only(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="od", instance_types=["m5.large"])
    aws.set_pool(zone=A, free=0)
    refused = launch(asg, "od", 2)
    assert not refused["Instances"]
    assert (
        "sufficient m5.large capacity in the Availability Zone you requested (eu-west-3a)"
        in (refused["Errors"][0]["ErrorMessage"])
    )
    assert len(launch(asg, "od", 2, "u", AvailabilityZones=[B])["Instances"][0]["InstanceIds"]) == 2
    aws.set_pool(zone=A, free=1)
    assert launch(asg, "od", 1, "v")["Instances"]


@pytest.mark.parametrize(
    "code",
    [
        "MaxSpotInstanceCountExceeded",
        "VcpuLimitExceeded",
        "InsufficientFreeAddressesInSubnet",
        "Unsupported",
        "UnfulfillableCapacity",
    ],
)
def test_pools_refuse_with_the_code_they_are_given(aws: AwsEmulator, asg: Any, code: str) -> None:
    aws.create_group(name="spot", market="spot")
    aws.set_pool(free=0, refusal=code)
    assert [error["ErrorCode"] for error in launch(asg, "spot", 1)["Errors"]] == [code]


def test_a_token_answers_the_same_for_ever(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", market="spot")
    first = launch(asg, "spot", 2)
    aws.set_pool(free=0)
    again = launch(asg, "spot", 2)
    assert again["Instances"] == first["Instances"]
    assert group(asg, "spot")["DesiredCapacity"] == 2
    with pytest.raises(asg.exceptions.IdempotentParameterMismatchError):
        launch(asg, "spot", 3)


def test_a_token_replays_its_refusal_although_capacity_is_back(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", market="spot")
    aws.set_pool(free=0)
    refused = launch(asg, "spot", 1)
    aws.set_pool(free=None)
    assert launch(asg, "spot", 1)["Errors"] == refused["Errors"]
    assert launch(asg, "spot", 1, "new")["Instances"]


def test_a_repeat_during_the_first_call_is_told_so(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", market="spot")
    aws.faults.hold("LaunchInstances")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(launch, asg, "spot", 1)
        assert aws.journal.wait_in_flight("LaunchInstances", 1, 10)
        with pytest.raises(asg.exceptions.IdempotentCallInProgressFault):
            launch(asg, "spot", 1)
        aws.faults.release("LaunchInstances")
        assert first.result()["Instances"]


def test_an_answer_that_was_lost_can_be_asked_for_again(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", market="spot")
    aws.control.add_fault({"kind": "drop-after", "action": "LaunchInstances", "times": 1})
    with pytest.raises(Exception, match=r"Connection|closed"):
        launch(asg, "spot", 1)
    assert group(asg, "spot")["DesiredCapacity"] == 1
    assert len(launch(asg, "spot", 1)["Instances"][0]["InstanceIds"]) == 1
    assert group(asg, "spot")["DesiredCapacity"] == 1


@pytest.mark.parametrize(
    "place",
    [
        {"RetryStrategy": "none"},
        {"AvailabilityZones": [A], "SubnetIds": ["subnet-1"]},
        {"AvailabilityZones": [C]},
        {"SubnetIds": ["subnet-1"]},
    ],
)
def test_needs_exactly_one_zone_of_the_group(aws: AwsEmulator, asg: Any, place: dict[str, Any]) -> None:
    aws.create_group(name="two", zones=[A, B])
    with pytest.raises(ClientError) as refused:
        launch(asg, "two", 1, **place)
    assert code_of(refused) == "ValidationError"


def test_takes_a_subnet_or_a_zone_id_as_well(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="two", zones=[A, B])
    subnet = group(asg, "two")["VPCZoneIdentifier"].split(",")[1]
    assert launch(asg, "two", 1, "s", SubnetIds=[subnet])["Instances"][0]["AvailabilityZone"] == B
    assert launch(asg, "two", 1, "i", AvailabilityZoneIds=["euw3-az1"])["Instances"][0]["AvailabilityZone"] == A


def test_a_group_with_one_zone_need_not_be_told(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="one", zones=[B])
    assert launch(asg, "one", 1, RetryStrategy="none")["Instances"][0]["AvailabilityZone"] == B


def test_refuses_mixed_markets_more_than_max_and_unknown_groups(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="mixed", market="mixed")
    aws.create_group(name="small", max=2)
    aws.create_group(name="huge", max=500)
    for name, count in (("mixed", 1), ("small", 3), ("huge", 101), ("ghost", 1)):
        with pytest.raises(ClientError) as refused:
            launch(asg, name, count)
        assert code_of(refused) == "ValidationError", name
    with pytest.raises(ClientError, match="max size 2"):
        launch(asg, "small", 3)


def test_refuses_launch_configurations(aws: AwsEmulator, asg: Any) -> None:
    asg.create_launch_configuration(LaunchConfigurationName="old", ImageId="ami-12345678", InstanceType="m5.large")
    asg.create_auto_scaling_group(
        AutoScalingGroupName="old", LaunchConfigurationName="old", MinSize=0, MaxSize=5, AvailabilityZones=[A]
    )
    with pytest.raises(ClientError, match="launch template"):
        launch(asg, "old", 1)
    asg.set_desired_capacity(AutoScalingGroupName="old", DesiredCapacity=1)
    assert wait_in_service(asg, "old", 1)[0]["InstanceType"] == "m5.large"


def test_counts_weights(aws: AwsEmulator, asg: Any) -> None:
    weights = {"m5.xlarge": 4, "m5.large": 2}
    aws.create_group(name="heavy", instance_types=list(weights), market="spot", weights=weights, max=20)
    aws.set_pool("m5.xlarge", free=1)
    answer = launch(asg, "heavy", 7)
    assert [(one["InstanceType"], len(one["InstanceIds"])) for one in answer["Instances"]] == [
        ("m5.xlarge", 1),
        ("m5.large", 2),
    ]
    assert group(asg, "heavy")["DesiredCapacity"] == 8
    assert {one["WeightedCapacity"] for one in group(asg, "heavy")["Instances"]} == {"4", "2"}


def test_ec2_knows_the_instances_with_market_and_tags(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", market="spot", tags={"team": "web"})
    aws.create_group(name="od", market="on-demand")
    spot = launch(asg, "spot", 1)["Instances"][0]["InstanceIds"][0]
    on_demand = launch(asg, "od", 1)["Instances"][0]["InstanceIds"][0]
    answer = client(aws, "ec2").describe_instances(InstanceIds=[spot, on_demand])
    first, second = (reservation["Instances"][0] for reservation in answer["Reservations"])
    assert first["InstanceLifecycle"] == "spot"
    assert "InstanceLifecycle" not in second
    tags = {tag["Key"]: tag["Value"] for tag in first["Tags"]}
    assert (tags["team"], tags["aws:autoscaling:groupName"]) == ("web", "spot")
    assert first["PrivateDnsName"].endswith(".eu-west-3.compute.internal")
    assert first["State"]["Name"] in ("pending", "running")


def test_slow_calls_proceed_side_by_side(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="spot", market="spot", max=100)
    aws.faults.hold("LaunchInstances")
    with ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(launch, asg, "spot", 1, f"t{number}") for number in range(40)]
        assert aws.journal.wait_in_flight("LaunchInstances", 40, 30)
        assert group(asg, "spot")["DesiredCapacity"] == 0
        aws.faults.release("LaunchInstances")
        assert all(call.result()["Instances"] for call in calls)
    assert aws.journal.peak("LaunchInstances") == 40
    assert group(asg, "spot")["DesiredCapacity"] == 40
