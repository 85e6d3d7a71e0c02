"""A way round to one server on which a request can be held: a write that is sent, and arrives when all has changed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import anyio.abc
from anyio.from_thread import BlockingPortal, start_blocking_portal


@dataclass
class Detour:
    """Everything passes, but for the first request that `hold` was told of; `answers` are the status lines of such."""

    server: str
    url: str = ""
    held: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    _portal: BlockingPortal | None = None
    _wanted: re.Pattern[bytes] | None = None
    _open: anyio.Event | None = None

    @classmethod
    @contextmanager
    def start(cls, server: str) -> Iterator[Detour]:
        """Serve on loopback for the length of the block."""
        with start_blocking_portal() as portal:
            detour = cls(server, _portal=portal)
            with portal.wrap_async_context_manager(detour._serve()):
                yield detour

    def hold(self, pattern: bytes) -> None:
        """Hold the next request of which a piece is found by the pattern."""
        assert self._portal is not None
        self._portal.call(self._set, re.compile(pattern))

    def release(self) -> None:
        """Let what is held go on."""
        assert self._portal is not None
        assert self._open is not None
        self._portal.call(self._open.set)

    def _set(self, pattern: re.Pattern[bytes]) -> None:
        self._wanted, self._open = pattern, anyio.Event()

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[None]:
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            self.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
            tasks.start_soon(listener.serve, self._carry)
            yield
            tasks.cancel_scope.cancel()

    async def _carry(self, client: anyio.abc.SocketStream) -> None:
        where = urlsplit(self.server)
        server = await anyio.connect_tcp(where.hostname or "", where.port or 0)
        held = anyio.Event()
        async with client, server, anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer, server, client, held, tasks.cancel_scope)
            with anyio.CancelScope():
                await self._ask(client, server, held)
            tasks.cancel_scope.cancel()

    async def _ask(self, client: anyio.abc.SocketStream, server: anyio.abc.SocketStream, held: anyio.Event) -> None:
        try:
            async for piece in client:
                if self._wanted is not None and self._open is not None and self._wanted.search(piece):
                    self._wanted = None
                    self.held.append(piece)
                    held.set()
                    await self._open.wait()
                await server.send(piece)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    async def _answer(
        self,
        server: anyio.abc.SocketStream,
        client: anyio.abc.SocketStream,
        held: anyio.Event,
        both: anyio.CancelScope,
    ) -> None:
        is_noted = False
        try:
            async for piece in server:
                if held.is_set() and not is_noted:
                    is_noted = True
                    self.answers.append(piece.partition(b"\r\n")[0])
                await client.send(piece)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        both.cancel()
