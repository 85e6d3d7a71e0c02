"""One emulated account for all tests of this folder, empty before each."""

from collections.abc import Iterator

import pytest

from autoscaler.emulator.aws import AwsEmulator, Delays, EmulatorConfig


@pytest.fixture(scope="session")
def started() -> Iterator[AwsEmulator]:
    with AwsEmulator.start(EmulatorConfig(delays=Delays(launch=0.05, boot=0.2, terminate=0.2))) as emulator:
        yield emulator


@pytest.fixture
def aws(started: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> AwsEmulator:
    started.reset()
    started.faults.clear()
    for name, value in environment(started).items():
        monkeypatch.setenv(name, value)
    return started


def environment(aws: AwsEmulator) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": aws.config.region,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
