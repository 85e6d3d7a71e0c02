"""Waiting for the emulator, whose groups change on their own time."""

import anyio

from autoscaler.emulator.aws import AwsEmulator, Instance


async def wait_for_instances(emulator: AwsEmulator, group: str, count: int, state: str = "") -> list[Instance]:
    """Return the live instances of a group once there are so many, all in `state` where it is given."""
    with anyio.fail_after(30):
        while True:
            found = [one for one in emulator.instances(group) if one.is_live and state in ("", one.state)]
            if len(found) == count:
                return found
            await anyio.sleep(0.02)
