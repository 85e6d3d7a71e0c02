"""The emulated AWS endpoint: one loopback port for all services and the control API.

A call is written into the journal, meets its fault, waits its latency with no
lock held, and is then answered by our world or by moto. `/emu/...` goes to
`control`. Serves threads of werkzeug; binds to the loopback interface only.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self, Unpack
from urllib.parse import parse_qsl

from autoscaler.emulator.aws import actions, ec2, wire
from autoscaler.emulator.aws.build import GroupSettings, create_group
from autoscaler.emulator.aws.control import Control
from autoscaler.emulator.aws.faults import Faults
from autoscaler.emulator.aws.journal import Call, Journal
from autoscaler.emulator.aws.launch import Tokens, launch_instances
from autoscaler.emulator.aws.model import AwsFault, Instance
from autoscaler.emulator.aws.world import Delays, World

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
LAUNCH = "LaunchInstances"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """Port 0: any free one. `latency`: seconds that every call takes. `host` is the address it listens on.

    Without `launch_api`, LaunchInstances gets what plain moto answers.
    """

    region: str = "eu-west-3"
    host: str = "127.0.0.1"
    port: int = 0
    latency: float = 0.0
    launch_api: bool = True
    delays: Delays = field(default_factory=Delays)


class AwsEmulator:
    """A running emulator; a context manager that stops it.

    `world`, `faults`, `journal` and `control` (the same calls as over HTTP) are
    for those in the same process.
    """

    def __init__(self, config: EmulatorConfig) -> None:
        self.config = config
        self.world = World(config.region, config.delays)
        self.faults = Faults()
        self.faults.launch_api = config.launch_api
        self.journal = Journal()
        self.tokens = Tokens()
        if config.latency:
            self.faults.set_latency("*", config.latency)
        self.control = Control(self.world, self.faults, self.journal, self.tokens)
        self._server = _listen(config.host, config.port, self._serve)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="aws-emulator", daemon=True
        )

    @classmethod
    def start(cls, config: EmulatorConfig | None = None) -> Self:
        """Serve in threads of this process; returns once the port accepts calls."""
        emulator = cls(config or EmulatorConfig())
        emulator.world.start()
        emulator._thread.start()
        return emulator

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.faults.clear()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.world.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def create_group(self, **settings: Unpack[GroupSettings]) -> None:
        """Create a launch template and a group; see GroupSettings."""
        with self.world.lock:
            create_group(self.world, settings)

    def set_pool(
        self, instance_type: str = "*", zone: str = "*", market: str = "*", *, free: int | None, refusal: str = ""
    ) -> None:
        """How many instances pools have left (0: dry, None: unlimited); "*" patterns allowed."""
        self.control.pools(
            {"instanceType": instance_type, "zone": zone, "market": market, "free": free, "refusal": refusal}
        )

    def reset(self) -> None:
        """An empty account without faults, and an empty journal; delays and observers stay."""
        self.control.reset({})

    def instances(self, group: str | None = None) -> list[Instance]:
        """The instances that exist now, of one group or all; for reading only."""
        with self.world.lock:
            return [one for one in self.world.instances.values() if group is None or one.group == group]

    def calls(self, action: str | None = None) -> list[Call]:
        return self.journal.calls(action)

    def _serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.get("PATH_INFO", "").startswith("/emu/"):
            status, content = self.control.answer(environ, body)
            return _respond(start_response, status, content, "application/json")
        environ["wsgi.input"] = io.BytesIO(body)
        flat = _form(environ, body)
        service, action = _service(environ), flat.get("Action") or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        call = self.journal.open(service, action, flat)
        reply = _Reply(start_response)
        try:
            return self._meet(call, environ, reply)
        finally:
            self.journal.close(call, reply.status, reply.code)

    def _meet(self, call: Call, environ: Environ, reply: _Reply) -> Iterable[bytes]:
        """Carry out the call, unless a fault is in its way."""
        fault = self.faults.take(call.action, call.group)
        try:
            if fault is not None and fault.kind == "error":
                raise fault.error()
            if fault is not None and fault.kind == "drop":
                self.faults.wait(call.action)
                reply.status = 0
                return _drop(environ)
            answer = self._answer(call, environ, reply)
        except AwsFault as error:
            content, kind = wire.write_fault(call.service, error)
            reply.code = error.code
            return _respond(reply, error.status, content, kind)
        if fault is not None:
            reply.status = 0
            return _drop(environ)
        return answer if not isinstance(answer, bytes) else _respond(reply, 200, answer, "text/xml")

    def _answer(self, call: Call, environ: Environ, reply: _Reply) -> bytes | Iterable[bytes]:
        if call.service == "autoscaling" and call.action == LAUNCH and self.faults.launch_api:
            launched = self._launch(call)
            call.launched = sum(len(row["InstanceIds"]) for row in launched["Instances"])
            call.refusals = tuple(row["ErrorCode"] for row in launched["Errors"])
            return wire.write(call.service, LAUNCH, launched)
        self.faults.wait(call.action)
        if call.service == "autoscaling" and call.action in actions.ANSWERS:
            parameters = wire.read(call.action, call.parameters)
            with self.world.lock:
                return wire.write(call.service, call.action, actions.ANSWERS[call.action](self.world, parameters))
        answer = ec2.answer_for(call.action, call.parameters) if call.service == "ec2" else None
        if answer is not None:
            with self.world.lock:
                return wire.write(call.service, call.action, answer(self.world, call.parameters))
        return self.world.backing.serve(environ, reply)

    def _launch(self, call: Call) -> dict[str, Any]:
        """Take the token, let the time pass, then launch: a repeat meanwhile is told that it is in progress."""
        parameters = wire.read(LAUNCH, call.parameters)
        with self.world.lock:
            earlier = self.tokens.begin(parameters)
        self.faults.wait(LAUNCH)
        if earlier is not None:
            return earlier
        with self.world.lock:
            try:
                answer = launch_instances(self.world, parameters)
            except AwsFault:
                self.tokens.abandon(parameters)
                raise
            self.tokens.finish(parameters, answer)
            return answer


class _Reply:
    """A `start_response` that remembers what the answer was."""

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self.status = 500  # what werkzeug makes of an exception
        self.code = ""

    def __call__(self, status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        self.status = int(status.split(maxsplit=1)[0])
        return self._start_response(status, headers, *rest)


def _respond(start_response: StartResponse, status: int, content: bytes, kind: str) -> list[bytes]:
    line = f"{status} {HTTPStatus(status).phrase}"
    start_response(line, [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return [content]


def _drop(environ: Environ) -> list[bytes]:
    """Close the connection without a word."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


def _form(environ: Environ, body: bytes) -> dict[str, str]:
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return {}
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def _service(environ: Environ) -> str:
    """The service that the request was signed for: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`."""
    parts = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    return parts[3] if len(parts) == 5 else ""


def _listen(host: str, port: int, application: Callable[[Environ, StartResponse], Iterable[bytes]]) -> Any:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        """Keeps connections open, and does not log: the journal does."""

        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
            """Say nothing."""

    return make_server(host, port, application, threaded=True, request_handler=Handler)
