"""The tape: every call and its reply, line by line in a file, as it happens.

A process that dies leaves what it had. User data of launch templates never
gets there; account numbers, ARNs and names of the account do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import anyio

from autoscaler import clock
from autoscaler.aws.client import Aws
from autoscaler.errors import AwsError
from autoscaler.publish.document import format_time

_LEFT_OUT = frozenset({"UserData", "HTTPHeaders"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: an answer or an error."""

    answer: Mapping[str, Any] | None = None
    error: AwsError | None = None


class Tape:
    """Makes calls and writes them down."""

    def __init__(self, aws: Aws, file: IO[str]) -> None:
        self.region = aws.region
        self._aws = aws
        self._file = file

    async def ask(self, service: str, operation: str, **parameters: Any) -> Reply:
        """Make one call; never raises for what AWS says."""
        began = anyio.current_time()
        reply, outcome = Reply(), "interrupted"
        try:
            reply = Reply(answer=await self._aws.call(service, operation, **parameters))
            outcome = "answer"
        except AwsError as error:
            reply, outcome = Reply(error=error), "error"
        finally:
            told: object = reply.answer
            if reply.error is not None:
                told = {"code": reply.error.code, "status": reply.error.status, "message": str(reply.error)}
            self.note(
                call=f"{service}:{operation}",
                parameters=parameters,
                seconds=round(anyio.current_time() - began, 3),
                **{outcome: told},
            )
        return reply

    def note(self, **entry: object) -> None:
        """Write a line."""
        line = {"at": format_time(clock.now()), **entry}
        self._file.write(json.dumps(_cleaned(line), default=str, ensure_ascii=False) + "\n")
        self._file.flush()


def _cleaned(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _cleaned(part) for key, part in value.items() if key not in _LEFT_OUT}
    return [_cleaned(part) for part in value] if isinstance(value, list | tuple) else value
