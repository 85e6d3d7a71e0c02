"""One AWS emulator for all tests of this folder, reset before each; and a client of it."""

import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest

from autoscaler.aws.client import Aws, AwsSettings, connect
from autoscaler.emulator.aws import AwsEmulator, Delays, EmulatorConfig


@pytest.fixture(scope="session")
def started() -> Iterator[AwsEmulator]:
    delays = Delays(launch=0.05, boot=0.05)
    with AwsEmulator.start(EmulatorConfig(delays=delays)) as emulator:
        yield emulator


@pytest.fixture
def emulator(started: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> AwsEmulator:
    urllib.request.urlopen(urllib.request.Request(f"{started.url}/emu/reset", b"{}", method="POST")).read()
    started.faults.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", started.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    return started


@pytest.fixture
async def aws(emulator: AwsEmulator) -> AsyncIterator[Aws]:
    async with connect(AwsSettings()) as client:
        yield client
