"""Debts: what the selftest has launched, or may have, until it is terminated.

A launch whose answer was lost is asked once more with its token, which
answers with what it launched then; so nothing that exists stays unknown. At
worst it launches only now, and that is terminated like all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import anyio

from autoscaler.aws.answers import is_denied, may_have_happened
from autoscaler.core.model import InstanceId
from autoscaler.selftest.assumptions import END, Check
from autoscaler.selftest.tape import Reply, Tape

PAUSE = 3.0  # seconds between two tries to terminate
PATIENCE = 300.0  # for all of them
_FINAL = ("ValidationError", "IdempotentParameterMismatch")  # asking again does not help


def new_token() -> str:
    return f"selftest-{uuid4().hex}"


class Debts:
    """Launches and terminates; knows at any moment what is owed."""

    def __init__(self, tape: Tape, tell: Callable[[str], None]) -> None:
        self.owed: dict[InstanceId, None] = {}  # in order of launch
        self.launched: list[InstanceId] = []
        self._tape = tape
        self._tell = tell
        self._open: dict[str, Mapping[str, Any]] = {}  # parameters of launches without an answer, by token

    async def launch(self, group: str, zone: str, token: str, capacity: int = 1) -> Reply:
        """Ask for instances, and owe what comes."""
        parameters = {
            "AutoScalingGroupName": group,
            "RequestedCapacity": capacity,
            "ClientToken": token,
            "AvailabilityZones": [zone],
            "RetryStrategy": "none",
        }
        was_open = token in self._open
        self._open[token] = parameters
        reply = await self._tape.ask("autoscaling", "LaunchInstances", **parameters)
        if not (was_open or reply.error is None or may_have_happened(reply.error)):
            del self._open[token]
        if reply.answer is not None:
            self._open.pop(token, None)
            for instance in instances_of(reply.answer):
                if instance not in self.launched:
                    self.launched.append(instance)
                    self.owed[instance] = None
                    self._tell(f"launched {instance}; it is terminated at the end in any case")
        return reply

    async def terminate(self, instance: InstanceId) -> Reply:
        """End one instance, as often as AWS says that it is busy."""
        with anyio.move_on_after(PATIENCE):
            while True:
                reply = await self._tape.ask(
                    "autoscaling",
                    "TerminateInstanceInAutoScalingGroup",
                    InstanceId=instance,
                    ShouldDecrementDesiredCapacity=True,
                )
                error = reply.error
                if error is None:
                    self.owed.pop(instance, None)
                    return reply
                if is_denied(error) or error.code in _FINAL:
                    return reply
                await anyio.sleep(PAUSE)
        return reply

    async def settle(self) -> list[Check]:
        """Terminate all that is owed; return a check for each instance that still stands."""
        for token, wish in list(self._open.items()):
            self._tell("a launch was not answered; asking once more with its token, to learn what it launched")
            for _ in range(int(PATIENCE / PAUSE)):
                zone = wish["AvailabilityZones"][0]
                reply = await self.launch(wish["AutoScalingGroupName"], zone, token, wish["RequestedCapacity"])
                if reply.error is None or is_denied(reply.error) or reply.error.code in _FINAL:
                    self._open.pop(token, None)
                    break
                await anyio.sleep(PAUSE)
        checks = []
        for instance in list(self.owed):
            reply = await self.terminate(instance)
            if reply.error is not None:
                checks.append(END.judge(reply))
        return checks

    @property
    def is_settled(self) -> bool:
        return not (self.owed or self._open)


def instances_of(answer: Mapping[str, Any]) -> list[InstanceId]:
    """The ids in an answer of LaunchInstances."""
    return [InstanceId(ident) for row in answer.get("Instances", ()) for ident in row.get("InstanceIds", ())]
