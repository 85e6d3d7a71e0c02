"""Watches: streams of events from a version on, with bookmarks, until timeout, loss of history or a cut.

All watchers of a kind read one log at their own position, a batch per wake-up.
A watch that starts before the kept history gets an ERROR event with 410.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import msgspec
from aiohttp import web

from .objects import Json
from .representations import Form, Matches, bookmark, event_line, line, one, seen_as
from .resources import Kind
from .status import bad_request, expired
from .store import Collection, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a client wants to watch."""

    kind: Kind
    namespace: str | None
    matches: Matches
    form: Form
    include: str  # includeObject of tables
    version: str
    bookmarks: bool
    initial: bool  # sendInitialEvents
    timeout: float

    def sees(self, namespace: str, value: Json) -> bool:
        return self.namespace in (None, namespace) and self.matches(value)


@dataclass(eq=False, slots=True)
class Stream:
    """One open watch, so that it can be cut."""

    path: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cut: bool = False


class Watches:
    """Serves watches from the store."""

    def __init__(self, store: Store, bookmark_every: float) -> None:
        self._store = store
        self._bookmark_every = bookmark_every
        self.streams: set[Stream] = set()

    def cut(self, stream: Stream) -> None:
        """End a stream in the middle of a line, without the closing chunk."""
        stream.cut = True
        stream.scope.cancel()

    def close(self) -> None:
        """End all streams, as a server that stops."""
        for stream in list(self.streams):
            stream.scope.cancel()

    async def serve(self, request: web.Request, ask: Ask) -> web.StreamResponse:
        """Answer a watch. Raises ApiError 400 for a version that is no number."""
        if ask.version and not ask.version.isdigit():
            raise bad_request(f"invalid resource version {ask.version!r}")
        async with self.streaming(request, ask.timeout) as response:
            await self._feed(response, ask)
        return response

    @asynccontextmanager
    async def streaming(self, request: web.Request, seconds: float) -> AsyncIterator[web.StreamResponse]:
        """An open stream that ends after `seconds`, when it is cut, or when the client has gone."""
        response = await start(request)
        stream = Stream(request.path_qs)
        self.streams.add(stream)
        try:
            with anyio.move_on_after(seconds), stream.scope, suppress(ConnectionError):
                yield response
        finally:
            self.streams.discard(stream)
        if stream.cut and request.transport is not None:
            with suppress(ConnectionError):
                await response.write(b'{"type":"MODIFIED","object":{"metadata":{"na')
            request.transport.abort()

    async def _feed(self, response: web.StreamResponse, ask: Ask) -> None:
        held = self._store.collection(ask.kind)
        if ask.version in ("", "0") or ask.initial:
            position = held.end
            await response.write(self._initial(held, ask))
        elif int(ask.version) < held.oldest:
            await response.write(gone(ask.version, held.oldest))
            return
        else:
            position = held.position_after(int(ask.version))
        due = anyio.current_time() + self._bookmark_every
        while True:
            with anyio.move_on_at(due):
                await held.wait_beyond(position)
            if position < held.dropped:
                await response.write(gone(str(position), held.oldest))
                return
            lines = self._lines(held, position, ask)
            position = held.end
            if anyio.current_time() >= due:
                due = anyio.current_time() + self._bookmark_every
                if ask.bookmarks:
                    lines.append(bookmark(ask.kind, self._store.version, ask.form))
            if lines:
                await response.write(b"".join(lines))

    def _initial(self, held: Collection, ask: Ask) -> bytes:
        found = [stored for stored in held.objects.values() if ask.sees(stored.key[0], stored.value)]
        found.sort(key=lambda stored: stored.key)
        lines = [line("ADDED", one(ask.kind, stored, ask.form, ask.include)) for stored in found]
        if ask.initial and ask.bookmarks:
            lines.append(bookmark(ask.kind, self._store.version, ask.form, initial_end=True))
        return b"".join(lines)

    def _lines(self, held: Collection, position: int, ask: Ask) -> list[bytes]:
        lines = []
        for event in held.log[position - held.dropped :]:
            if ask.namespace in (None, event.new.key[0]):
                verb = seen_as(event, ask.matches)
                if verb:
                    lines.append(event_line(ask.kind, event, verb, ask.form, ask.include))
        return lines


def gone(version: str, oldest: int) -> bytes:
    """The ERROR line of a version that is no longer kept."""
    fault = expired(f"too old resource version: {version} ({oldest})")
    return line("ERROR", msgspec.json.encode(fault.body()))


async def start(request: web.Request) -> web.StreamResponse:
    """Headers of a watch; sent at once, so that the client knows that it is on."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response
