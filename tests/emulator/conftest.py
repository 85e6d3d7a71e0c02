"""The emulated AWS account that the tests of its endpoint share."""

from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.emulator.aws import AwsEmulator
from tests.emulator.aws_worlds import client, start


@pytest.fixture(scope="module")
def running() -> Iterator[AwsEmulator]:
    with start() as aws:
        yield aws


@pytest.fixture
def aws(running: AwsEmulator) -> AwsEmulator:
    """The same process, an empty account."""
    running.reset()
    return running


@pytest.fixture
def asg(aws: AwsEmulator) -> Any:
    return client(aws)
