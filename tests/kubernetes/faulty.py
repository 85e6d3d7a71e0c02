"""A small API server for pods and whatever else, that fails when told to.

Holds raw objects by path of their collection, with a history of events that
may be forgotten. Faults are queued: each one is used up by one request. Real
HTTP on loopback; knows nothing of the code under test.
"""

from __future__ import annotations

import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
from aiohttp import web


@dataclass(frozen=True)
class Refuse:
    """Answer with this status, once."""

    status: int
    reason: str = "InternalError"
    only: str = ""  # "watch", "list", "write" or a method in lower case; empty: whatever comes


@dataclass(frozen=True)
class Cut:
    """End a watch after so many bytes, in the middle of a line and of the chunk."""

    after: int


@dataclass(frozen=True)
class ErrorEvent:
    """Send an ERROR event in a watch, then end it."""

    code: int = 410


@dataclass(frozen=True)
class Junk:
    """Send a line that is no JSON in a watch, and go on."""


@dataclass(frozen=True)
class Drip:
    """Send the body of a LIST a few bytes at a time."""

    pieces: int = 20


Fault = Refuse | Cut | ErrorEvent | Junk | Drip


@dataclass
class Collection:
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    forgotten: int = 0  # the newest version of which events were forgotten


class FaultyServer:
    """The server's state; the tests change it directly."""

    def __init__(self) -> None:
        self.url = ""
        self.version = 100
        self.collections: dict[str, Collection] = {}
        self.faults: deque[Fault] = deque()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        self.tokens: list[str] = []
        self.valid_token = ""
        self.absent: dict[str, int] = {}
        self._changed = anyio.Event()
        self._watching: set[Any] = set()  # transports

    def put(self, path: str, value: dict[str, Any]) -> None:
        """Create or replace an object, by its name."""
        collection = self._collection(path)
        key = value["metadata"]["name"]
        self.version += 1
        value = json.loads(json.dumps(value))
        value["metadata"]["resourceVersion"] = str(self.version)
        verb = "MODIFIED" if key in collection.objects else "ADDED"
        collection.objects[key] = value
        self._record(collection, verb, value)

    def delete(self, path: str, name: str) -> None:
        """Delete an object, if it is there."""
        collection = self._collection(path)
        if name in collection.objects:
            self.version += 1
            value = json.loads(json.dumps(collection.objects.pop(name)))
            value["metadata"]["resourceVersion"] = str(self.version)
            self._record(collection, "DELETED", value)

    def forget(self) -> None:
        """Compact: no watch can be resumed from a version before this one."""
        for collection in self.collections.values():
            collection.history.clear()
            collection.forgotten = self.version

    def cut(self) -> None:
        """Break every open watch."""
        for transport in self._watching:
            transport.abort()
        self._watching.clear()

    def count(self, kind: str) -> int:
        """Count the requests so far: "list", "watch" or "write"."""
        return sum(1 for method, _, query in self.requests if _kind_of(method, query) == kind)

    def _collection(self, path: str) -> Collection:
        return self.collections.setdefault(path, Collection())

    def _record(self, collection: Collection, verb: str, value: dict[str, Any]) -> None:
        collection.history.append((self.version, verb, value))
        self._changed.set()
        self._changed = anyio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.requests.append((request.method, request.path, query))
        token = request.headers.get("Authorization", "")
        self.tokens.append(token)
        if self.valid_token and token != f"Bearer {self.valid_token}":
            return _status(401, "Unauthorized")
        if request.path in self.absent:
            return _status(self.absent[request.path], "Forbidden")
        kind = _kind_of(request.method, query)
        fault = self._take(kind, request.method)
        if isinstance(fault, Refuse):
            return _status(fault.status, fault.reason)
        if kind == "write":
            self.bodies.append(await request.json() if request.can_read_body else None)
            return web.json_response({}, status=201)
        if kind == "watch":
            return await self._watch(request, query, fault)
        return await self._list(request, query, fault)

    def _take(self, kind: str, method: str) -> Fault | None:
        fitting = {"watch": (Cut, ErrorEvent, Junk), "list": (Drip,), "write": ()}[kind]
        for fault in self.faults:
            if isinstance(fault, fitting) or (isinstance(fault, Refuse) and fault.only in ("", kind, method.lower())):
                self.faults.remove(fault)
                return fault
        return None

    async def _list(self, request: web.Request, query: dict[str, str], fault: Fault | None) -> web.StreamResponse:
        items = [value for _, value in sorted(self._collection(request.path).objects.items())]
        limit, first = int(query.get("limit", "0") or 0), 0
        version = self.version
        if "continue" in query:
            first, version = (int(part) for part in query["continue"].split("."))
            if version < self._collection(request.path).forgotten:
                return _status(410, "Expired")
        metadata = {"resourceVersion": str(version)}
        if limit and first + limit < len(items):
            metadata["continue"] = f"{first + limit}.{version}"
        body = json.dumps({"metadata": metadata, "items": items[first : first + limit] if limit else items}).encode()
        if not isinstance(fault, Drip):
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse()
        await response.prepare(request)
        step = max(1, len(body) // fault.pieces)
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            await anyio.lowlevel.checkpoint()
        return response

    async def _watch(self, request: web.Request, query: dict[str, str], fault: Fault | None) -> web.StreamResponse:
        collection, sent = self._collection(request.path), int(query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if isinstance(fault, Junk):
            await response.write(b"{this is no JSON\n")
        if isinstance(fault, ErrorEvent) or sent < collection.forgotten:
            code = fault.code if isinstance(fault, ErrorEvent) else 410
            status = {"kind": "Status", "status": "Failure", "code": code, "reason": "Expired"}
            await response.write(_line("ERROR", status))
            return response
        self._watching.add(request.transport)
        budget = fault.after if isinstance(fault, Cut) else None
        while True:
            changed = self._changed
            for version, verb, value in collection.history:
                if version > sent:
                    sent, line = version, _line(verb, value)
                    if budget is not None and len(line) > budget:
                        await response.write(line[:budget])
                        await _cut(request)
                        return response
                    budget = None if budget is None else budget - len(line)
                    await response.write(line)
            await changed.wait()


async def until(holds: Callable[[], bool]) -> None:
    """Return once it holds; fails the test when it never does."""
    with anyio.fail_after(20):
        while True:
            if holds():
                return
            await anyio.sleep(0.002)


def _kind_of(method: str, query: dict[str, str]) -> str:
    return "write" if method != "GET" else "watch" if "watch" in query else "list"


async def _cut(request: web.Request) -> None:
    """Break the connection without a proper end."""
    await anyio.sleep(0.01)
    if request.transport is not None:
        request.transport.abort()


def _line(verb: str, value: dict[str, Any]) -> bytes:
    return json.dumps({"type": verb, "object": value}).encode() + b"\n"


def _status(code: int, reason: str) -> web.Response:
    return web.json_response(
        {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": f"told to say {code}"},
        status=code,
    )


@asynccontextmanager
async def faulty_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyServer]:
    """Yield a server on a free port of loopback."""
    state = FaultyServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", state.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    scheme = "https" if tls else "http"
    state.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield state
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
