"""A network link to one server on loopback that can be frozen or cut.

A frozen link carries nothing and breaks nothing: requests hang, as behind a
partition. A cut one ends every connection and takes no new one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import anyio.abc


class Link:
    """One client's way to the server, at `url`."""

    def __init__(self, server: str) -> None:
        self.url = ""
        self._server = urlsplit(server)
        self._open = anyio.Event()
        self._open.set()
        self._is_cut = False
        self._carrying: set[anyio.CancelScope] = set()

    def freeze(self) -> None:
        self._open = anyio.Event()

    def thaw(self) -> None:
        self._open.set()

    def cut(self) -> None:
        self._is_cut = True
        for scope in self._carrying:
            scope.cancel()

    def mend(self) -> None:
        self._is_cut = False

    async def carry(self, client: anyio.abc.SocketStream) -> None:
        async with client:
            if self._is_cut:
                return
            server = await anyio.connect_tcp(self._server.hostname or "", self._server.port or 0)
            async with server, anyio.create_task_group() as tasks:
                self._carrying.add(tasks.cancel_scope)
                tasks.start_soon(self._pump, client, server, tasks.cancel_scope)
                tasks.start_soon(self._pump, server, client, tasks.cancel_scope)
            self._carrying.discard(tasks.cancel_scope)

    async def _pump(
        self, source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, both: anyio.CancelScope
    ) -> None:
        try:
            async for chunk in source:
                await self._open.wait()
                await sink.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        both.cancel()


@asynccontextmanager
async def linked(server: str) -> AsyncIterator[Link]:
    """Yield an open link to the server at this URL."""
    link = Link(server)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        link.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        tasks.start_soon(listener.serve, link.carry)
        yield link
        tasks.cancel_scope.cancel()
