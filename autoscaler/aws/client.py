"""The only way to AWS: one call in, a dict or an AwsError out.

Retries of a meaning (same token, relative writes) are the callers'; the SDK
makes none. Every call has a deadline, and a kind of call that fails is held
back by its gate (`gate`). What changes something passes the fence last, once
it is signed. Large answers are parsed in a worker thread.
Endpoints, credentials and region come from where AWS's own tools take them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from inspect import isawaitable
from typing import Any

import anyio
import botocore.exceptions
from aiobotocore.config import AioConfig
from aiobotocore.parsers import PROTOCOL_PARSERS, AioResponseParserFactory
from aiobotocore.session import AioSession, get_session
from aiobotocore.utils import AioIMDSRegionProvider
from anyio import to_thread
from botocore import xform_name
from botocore.parsers import ResponseParserError

from autoscaler.aws.gate import Gate
from autoscaler.errors import AwsError

SERVICES = ("autoscaling", "ec2", "eks")
UNREADABLE = "UnreadableAnswer"  # code of the AwsError for an answer that is none of AWS's
NOT_LEADING = "NotLeading"  # code of the AwsError for a change that was not asked for
READS = ("Describe", "Get")  # how operations begin that change nothing
_PARSED_ON_THE_LOOP = 32 * 1024  # bytes; below, a thread costs more than it saves
_IMDS_PATIENCE = 3.0  # seconds

Observe = Callable[[str, str, float], None]  # operation, "ok" or the error code, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """How to reach AWS. Spans in seconds.

    `endpoints` by service (autoscaling, ec2, eks) override AWS_ENDPOINT_URL
    and its per-service forms. `call_timeout` bounds one call, whatever hangs.
    Only what is in `services` can be called.
    """

    region: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[str] = SERVICES
    connect_timeout: float = 5.0
    call_timeout: float = 30.0


class Aws:
    """Calls to one region. Safe to use from many tasks at once."""

    def __init__(self, region: str, clients: Mapping[str, Any], call_timeout: float, observe: Observe | None) -> None:
        self.region = region
        self._clients = clients
        self._timeout = call_timeout
        self._observe = observe
        self._gates: dict[str, Gate] = {}

    def fence(self, may_write: Callable[[], bool]) -> None:
        """Have every call that changes something ask first, as late as can be: signed, and about to be sent.

        Whoever slept between its decision and this moment must not act on it
        any more. What is signed and sleeps then, AWS refuses after 5 minutes.
        """

        def ask(event_name: str, **_: Any) -> None:
            operation = event_name.rpartition(".")[2]
            if not (operation.startswith(READS) or may_write()):
                raise AwsError(NOT_LEADING, f"{operation}: the lease is not held; the next leader decides anew", 409)

        for client in self._clients.values():
            client.meta.events.register("before-send", ask)

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make one call, `operation` by the name that the API reference gives it.

        Raises AwsError: with AWS's own code; with status 0 when no answer came
        (it may have happened all the same); with the code `Backoff` when the
        call was not made, because this kind of call fails, and `NotLeading`
        when the fence forbade it.
        """
        gate = self._gates.setdefault(operation, Gate(operation))
        await gate.pass_through()
        began = anyio.current_time()
        outcome = "cancelled"
        try:
            answer = await self._send(service, operation, parameters)
            outcome = "ok"
        except AwsError as error:
            outcome = error.code
            gate.judge(error)
            raise
        else:
            gate.succeeded()
            return answer
        finally:
            if self._observe is not None:
                self._observe(operation, outcome, anyio.current_time() - began)

    async def _send(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        method = getattr(self._clients[service], xform_name(operation))
        try:
            with anyio.fail_after(self._timeout):
                answer: dict[str, Any] = await method(**parameters)
                return answer
        except botocore.exceptions.ClientError as error:
            told = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            raise AwsError(
                str(told.get("Code") or "Unknown"), _sentence(operation, told.get("Message")), status
            ) from error
        except TimeoutError as error:
            raise AwsError("RequestTimeout", _sentence(operation, f"no answer in {self._timeout:g} s")) from error
        except UnreadableAnswerError as error:
            raise AwsError(UNREADABLE, _sentence(operation, error), error.status) from error
        except botocore.exceptions.BotoCoreError as error:
            raise AwsError(type(error).__name__, _sentence(operation, error)) from error

    async def pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[dict[str, Any]]:
        """Gather the list `key` over all pages. Raises AwsError."""
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self.call(service, operation, **parameters, **token)
            found += answer.get(key, ())
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}


def _sentence(operation: str, fault: object) -> str:
    return f"{operation}: {fault or 'refused without a message'}"


@asynccontextmanager
async def connect(settings: AwsSettings, observe: Observe | None = None) -> AsyncIterator[Aws]:
    """Open clients for Auto Scaling, EC2 and EKS; nothing is asked of them yet.

    Raises AwsError with code `NoRegion` when no region is configured anywhere.
    """
    session = get_session()
    session.register_component("response_parser_factory", _ParserFactory())
    region = await _region(session, settings)
    config = AioConfig(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.call_timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=64,
        tcp_keepalive=True,
        user_agent_extra="priority-autoscaler",
    )
    async with AsyncExitStack() as stack:
        clients = {}
        for service in settings.services:
            endpoint = settings.endpoints.get(service)
            client = session.create_client(service, region_name=region, config=config, endpoint_url=endpoint)
            clients[service] = await stack.enter_async_context(client)
        yield Aws(region, clients, settings.call_timeout, observe)


async def _region(session: AioSession, settings: AwsSettings) -> str:
    """AWS_REGION counts, although botocore knows only AWS_DEFAULT_REGION; last, the instance metadata."""
    told = settings.region or os.environ.get("AWS_REGION") or session.get_config_variable("region")
    if told:
        return str(told)
    with anyio.move_on_after(_IMDS_PATIENCE):
        found = await AioIMDSRegionProvider(session).provide()
        if found:
            return str(found)
    raise AwsError("NoRegion", "no AWS region: set --aws-region or AWS_REGION, or allow instance metadata")


class _ParserFactory(AioResponseParserFactory):  # type: ignore[misc]  # the SDK is untyped
    """Makes parsers that read large answers in a worker thread, so that watches and pages are served meanwhile."""

    def create_parser(self, protocol_name: str) -> Any:
        return _threaded(PROTOCOL_PARSERS[protocol_name])(**self._defaults)


class UnreadableAnswerError(Exception):
    """An answer that is none of AWS's: of a proxy, or of an endpoint that does not know the operation."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the answer, of status {status}, cannot be read")
        self.status = status


@lru_cache
def _threaded(parser: type[Any]) -> type[Any]:
    async def _do_parse(self: Any, response: Mapping[str, Any], shape: Any) -> Any:
        if not isinstance(response["body"], bytes) or len(response["body"]) <= _PARSED_ON_THE_LOOP:
            parsed = parser._do_parse(self, response, shape)
        else:
            parsed = await to_thread.run_sync(parser._do_parse, self, response, shape)
        return await parsed if isawaitable(parsed) else parsed  # JSON protocols parse in a coroutine

    async def parse(self: Any, response: Mapping[str, Any], shape: Any) -> Any:
        try:
            return await parser.parse(self, response, shape)
        except ResponseParserError:
            raise UnreadableAnswerError(response["status_code"]) from None

    return type(f"Threaded{parser.__name__}", (parser,), {"_do_parse": _do_parse, "parse": parse})
