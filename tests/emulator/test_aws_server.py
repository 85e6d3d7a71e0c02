"""The endpoint itself: faults, the journal, the control API, other services, other processes."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from autoscaler.emulator.aws import AwsEmulator
from tests.emulator.aws_worlds import A, client, wait_in_service


def control(url: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/emu/{what}", data=data)) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def refusal(call: Any, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_throttles_as_often_as_it_is_told(aws: AwsEmulator, asg: Any) -> None:
    control(aws.url, "faults", {"kind": "throttle", "action": "Describe*", "times": 2})
    for _ in range(2):
        assert refusal(asg.describe_auto_scaling_groups) == ("Throttling", 400)
    assert asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert [call.code for call in aws.calls("DescribeAutoScalingGroups")] == ["Throttling", "Throttling", ""]


def test_denies_fails_and_drops(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="g", zones=[A])
    launch = {"AutoScalingGroupName": "g", "RequestedCapacity": 1, "ClientToken": "t"}
    control(aws.url, "faults", {"kind": "deny", "action": "LaunchInstances"})
    assert refusal(asg.launch_instances, **launch) == ("AccessDenied", 403)
    control(aws.url, "clear", {})
    control(aws.url, "faults", {"code": "InternalFailure", "status": 500, "times": 1})
    assert refusal(asg.describe_auto_scaling_groups) == ("InternalFailure", 500)
    control(aws.url, "faults", {"code": "ResourceContention", "status": 500, "action": "LaunchInstances", "times": 1})
    assert refusal(asg.launch_instances, **launch) == ("ResourceContention", 500)
    control(aws.url, "faults", {"kind": "drop", "times": 1})
    with pytest.raises(BotoCoreError):
        asg.describe_auto_scaling_groups()
    assert asg.launch_instances(**launch)["Instances"]


def test_faults_can_be_meant_for_one_group(aws: AwsEmulator, asg: Any) -> None:
    for name in ("a", "b"):
        aws.create_group(name=name, zones=[A])
    control(aws.url, "faults", {"kind": "throttle", "action": "SetDesiredCapacity", "group": "a"})
    assert refusal(asg.set_desired_capacity, AutoScalingGroupName="a", DesiredCapacity=1)[0] == "Throttling"
    asg.set_desired_capacity(AutoScalingGroupName="b", DesiredCapacity=1)


def test_without_the_launch_api_it_answers_as_plain_moto(aws: AwsEmulator, asg: Any) -> None:
    aws.create_group(name="g", zones=[A])
    control(aws.url, "launch-api", {"available": False})
    with pytest.raises(ResponseParserError, match="500 Internal Server Error"):
        asg.launch_instances(AutoScalingGroupName="g", RequestedCapacity=1, ClientToken="t")
    assert [call.status for call in aws.calls("LaunchInstances")] == [500]
    asg.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=1)
    wait_in_service(asg, "g", 1)


def test_the_control_api_steers_and_tells(aws: AwsEmulator, asg: Any) -> None:
    control(aws.url, "groups", {"name": "g", "zones": [A], "market": "spot", "max": 5})
    control(aws.url, "pools", {"instanceType": "m5.large", "market": "spot", "free": 1})
    control(aws.url, "latency", {"action": "LaunchInstances", "seconds": 0.01})
    answer = asg.launch_instances(AutoScalingGroupName="g", RequestedCapacity=2, ClientToken="t")
    assert len(answer["Instances"][0]["InstanceIds"]) == len(answer["Errors"]) == 1
    call = control(aws.url, "calls?action=LaunchInstances")["calls"][0]
    assert (call["group"], call["status"], call["parameters"]["RequestedCapacity"]) == ("g", 200, "2")
    world = control(aws.url, "world")
    assert world["pools"] == [{"instanceType": "m5.large", "zone": A, "market": "spot", "free": 0}]
    assert world["groups"][0]["desired"] == 1
    control(aws.url, "reset", {})
    assert control(aws.url, "world") == {"pools": [], "groups": [], "instances": []}
    with pytest.raises(urllib.error.HTTPError, match="400"):
        control(aws.url, "latency", {})


def test_other_calls_are_answered_by_moto(aws: AwsEmulator) -> None:
    aws.create_group(name="g", instance_types=["g4dn.xlarge"], market="spot")
    ec2 = client(aws, "ec2")
    version = ec2.describe_launch_template_versions(LaunchTemplateName="g-template", Versions=["$Latest"])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert (data["InstanceType"], data["InstanceMarketOptions"]["MarketType"]) == ("g4dn.xlarge", "spot")
    assert len(ec2.describe_subnets()["Subnets"]) == 3
    assert client(aws, "sts").get_caller_identity()["Account"] == aws.world.backing.account


def test_instance_types_are_those_of_aws(aws: AwsEmulator) -> None:
    ec2 = client(aws, "ec2")
    gpu = ec2.describe_instance_types(InstanceTypes=["g4dn.xlarge"])["InstanceTypes"][0]
    assert (gpu["VCpuInfo"]["DefaultVCpus"], gpu["GpuInfo"]["Gpus"][0]["Count"]) == (4, 1)
    assert len(list(ec2.get_paginator("describe_instance_types").paginate().search("InstanceTypes"))) > 1000
    assert refusal(ec2.describe_instance_types, InstanceTypes=["m5.enormous"])[0] == "InvalidInstanceType"


def test_the_same_group_comes_out_of_the_real_api(aws: AwsEmulator, asg: Any) -> None:
    client(aws, "ec2").create_launch_template(
        LaunchTemplateName="own",
        LaunchTemplateData={
            "ImageId": "ami-12345678",
            "InstanceType": "m5.large",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}],
        },
    )
    asg.create_auto_scaling_group(
        AutoScalingGroupName="g",
        LaunchTemplate={"LaunchTemplateName": "own", "Version": "$Latest"},
        MinSize=1,
        MaxSize=3,
        AvailabilityZones=[A],
        Tags=[{"Key": "team", "Value": "web", "PropagateAtLaunch": True}],
    )
    wait_in_service(asg, "g", 1)
    tags = aws.instances("g")[0].tags
    assert (tags["from"], tags["team"]) == ("template", "web")
    assert [tag["Key"] for tag in asg.describe_tags()["Tags"]] == ["team"]
    asg.delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)


@pytest.mark.anyio
async def test_aiobotocore_gets_the_same_answers(aws: AwsEmulator) -> None:
    aws.create_group(name="g", zones=[A], market="spot")
    session = get_session()
    async with session.create_client(
        "autoscaling",
        region_name="eu-west-3",
        endpoint_url=aws.url,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ) as asg:
        answer = await asg.launch_instances(AutoScalingGroupName="g", RequestedCapacity=2, ClientToken="t")
        assert len(answer["Instances"][0]["InstanceIds"]) == 2
        found = await asg.describe_auto_scaling_groups(AutoScalingGroupNames=["g"])
        assert found["AutoScalingGroups"][0]["DesiredCapacity"] == 2


def test_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "autoscaler.emulator.aws", "--port", "0", "--boot-delay", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.removeprefix("listening on ").strip()
        assert control(url, "health") == {"ok": True}
        process.terminate()
        assert process.wait(30) == 0
