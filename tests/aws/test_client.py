"""The client and its gates: endpoints, regions, errors, and how often a failing call is sent."""

import socket
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from autoscaler.aws.client import NOT_LEADING, UNREADABLE, Aws, AwsSettings, connect
from autoscaler.aws.cloud_config import read_endpoints
from autoscaler.aws.gate import BACKOFF
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.faults import Fault, access_denied, throttling
from autoscaler.errors import AwsError
from tests.aws.waiting import wait_for_instances

pytestmark = pytest.mark.anyio
DESCRIBE = "DescribeAutoScalingGroups"


async def describe(aws: Aws) -> str:
    """Return "ok" or the code of the error."""
    try:
        await aws.call("autoscaling", DESCRIBE)
    except AwsError as error:
        return error.code
    return "ok"


async def test_calls_are_observed_by_outcome(emulator: AwsEmulator) -> None:
    seen: list[tuple[str, str, float]] = []
    async with connect(AwsSettings(), lambda *call: seen.append(call)) as aws:
        await describe(aws)
        emulator.faults.add(throttling("autoscaling", DESCRIBE, times=1))
        await describe(aws)
    assert [call[:2] for call in seen] == [(DESCRIBE, "ok"), (DESCRIBE, "Throttling")]


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_AUTO_SCALING", "AWS_ENDPOINT_URL"])
async def test_endpoint_variables_are_honoured(
    emulator: AwsEmulator, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, emulator.url)
    async with connect(AwsSettings()) as aws:
        assert await describe(aws) == "ok"


async def test_a_cloud_config_names_endpoints(emulator: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    text = f'[Global]\n[ServiceOverride "1"]\n  Service = autoscaling\n  Region = eu-west-3\n  URL = "{emulator.url}"\n'
    assert read_endpoints(text, "us-east-1") == {}
    async with connect(AwsSettings(endpoints=read_endpoints(text, "eu-west-3"))) as aws:
        assert await describe(aws) == "ok"
    with pytest.raises(ValueError, match=r"Service and URL are needed"):
        read_endpoints('[ServiceOverride "1"]\nService = ec2\n')


async def test_a_region_is_needed(emulator: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    async with connect(AwsSettings()) as aws:
        assert aws.region == "us-east-2"
    async with connect(AwsSettings(region="eu-north-1")) as aws:
        assert aws.region == "eu-north-1"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError) as raised:
        async with connect(AwsSettings()):
            pass
    assert raised.value.code == "NoRegion"


async def test_a_dead_endpoint_is_no_hang(emulator: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with connect(AwsSettings(call_timeout=0.3)) as aws:
            with anyio.fail_after(20):
                assert await describe(aws) in ("RequestTimeout", "ReadTimeoutError")
    async with connect(AwsSettings()) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    async with connect(AwsSettings()) as aws:
        assert await describe(aws) == "EndpointConnectionError"


async def test_an_answer_that_is_not_awss_has_its_status(
    emulator: AwsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.faults.launch_api = False
    async with connect(AwsSettings()) as aws:
        with pytest.raises(AwsError) as raised:
            await aws.call(
                "autoscaling", "LaunchInstances", AutoScalingGroupName="a", RequestedCapacity=1, ClientToken="t"
            )
    assert (raised.value.code, raised.value.status) == (UNREADABLE, 500)


@pytest.mark.parametrize(
    "fault",
    [
        throttling("autoscaling", DESCRIBE),
        access_denied("autoscaling", DESCRIBE),
        Fault(action=DESCRIBE, code="InternalFailure", message="no", status=500),
        Fault(action=DESCRIBE, kind="drop"),
    ],
    ids=["throttled", "denied", "broken", "dropped"],
)
async def test_a_failing_kind_of_call_is_sent_once_a_second_at_most(emulator: AwsEmulator, fault: Fault) -> None:
    emulator.faults.add(fault)
    async with connect(AwsSettings()) as aws:
        with anyio.move_on_after(2.2):
            while True:
                await describe(aws)
                await anyio.sleep(0.01)
        sent = [call.started for call in emulator.calls(DESCRIBE)]
        assert 1 <= len(sent) <= 4
        assert all(later - earlier > 0.9 for earlier, later in pairwise(sent))
        emulator.faults.clear()
        codes = []
        while "ok" not in codes:
            codes.append(await describe(aws))
            await anyio.sleep(0.05)
        began = len(emulator.calls(DESCRIBE))
        for _ in range(5):
            assert await describe(aws) == "ok"
        assert len(emulator.calls(DESCRIBE)) == began + 5


async def test_a_crowd_before_a_failing_call_is_sent_away(emulator: AwsEmulator) -> None:
    async with connect(AwsSettings()) as aws:
        emulator.faults.add(throttling("autoscaling", DESCRIBE))
        await describe(aws)
        codes: list[str] = []

        async def one() -> None:
            codes.append(await describe(aws))

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(one)
    assert codes.count(BACKOFF) >= 20
    assert len(emulator.calls(DESCRIBE)) <= 10


async def test_a_refusal_of_one_request_holds_nobody_back(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.faults.add(Fault(action=DESCRIBE, code="ValidationError", message="no", status=400))
    assert [await describe(aws) for _ in range(20)] == ["ValidationError"] * 20


async def test_what_changes_something_asks_the_fence_as_it_is_sent(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="spot-a", max=5)
    leads = [True]
    aws.fence(lambda: leads[0])
    await aws.call("autoscaling", "SetDesiredCapacity", AutoScalingGroupName="spot-a", DesiredCapacity=1)
    leads[0] = False
    with pytest.raises(AwsError) as caught:
        await aws.call("autoscaling", "SetDesiredCapacity", AutoScalingGroupName="spot-a", DesiredCapacity=2)
    assert caught.value.code == NOT_LEADING
    assert await describe(aws) == "ok"
    assert len(emulator.calls("SetDesiredCapacity")) == 1


async def test_a_large_answer_does_not_hold_the_loop(emulator: AwsEmulator, aws: Aws) -> None:
    emulator.create_group(name="big", desired=300, max=500)
    await wait_for_instances(emulator, "big", 300)
    done = anyio.Event()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while not done.is_set():
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        answer = await aws.call("autoscaling", DESCRIBE, MaxRecords=10)
        done.set()
    assert len(answer["AutoScalingGroups"][0]["Instances"]) == 300
    assert turns > 0
