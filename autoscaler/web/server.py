"""The HTTP server of the process.

GET and HEAD only. Nothing here blocks the loop: metrics are rendered, and
packed when asked, in a worker thread. `/healthz` answers as long as the event
loop runs, `/readyz` tells whether passes can be made, `/health-check` whether
they are, by cluster-autoscaler's rules.
"""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from aiohttp import web
from anyio import to_thread
from anyio.abc import TaskStatus

from autoscaler import clock
from autoscaler.metrics import Metrics
from autoscaler.metrics.registry import CONTENT_TYPE
from autoscaler.web.address import Address, listen, parse_address
from autoscaler.web.health import Health, HealthLimits

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_INDEX = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>priority-autoscaler</title></head>
<body><h1>priority-autoscaler</h1><ul>
<li><a href="/metrics">/metrics</a>: figures, in the Prometheus text format</li>
<li><a href="/healthz">/healthz</a>: the process is alive</li>
<li><a href="/readyz">/readyz</a>: it has read what it needs to decide</li>
<li><a href="/health-check">/health-check</a>: its passes succeed</li>
</ul></body></html>
"""
_CLOSE_SECONDS = 5.0


def _always_ready() -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What the server shows. `readiness` returns the reasons why not, none when ready."""

    metrics: Metrics
    health: Health = field(default_factory=lambda: Health(HealthLimits()))
    readiness: Callable[[], Sequence[str]] = _always_ready


class Server:
    """Serves the pages on one address, until cancelled."""

    def __init__(self, address: str, pages: Pages) -> None:
        """Raises AutoscalerError when `address` is none."""
        self._address = parse_address(address)
        self._pages = pages
        self._packed = anyio.CapacityLimiter(1)  # scrapes wait for each other, not for the planner

    async def serve(self, *, task_status: TaskStatus[Address] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen; tells `task_status` where, once connections are taken.

        Raises AutoscalerError naming the address when it cannot be had.
        """
        listening = await listen(self._address)
        runner = web.AppRunner(self._app(), handle_signals=False, access_log=None, shutdown_timeout=_CLOSE_SECONDS / 2)
        try:
            await runner.setup()
            await web.SockSite(runner, listening).start()
            task_status.started(_name_of(listening))
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await runner.cleanup()
            with suppress(OSError):
                listening.close()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=0)
        routes: dict[str, Handler] = {
            "/": self._index,
            "/metrics": self._metrics,
            "/healthz": self._alive,
            "/readyz": self._ready,
            "/health-check": self._health,
        }
        app.add_routes([web.get(path, handler) for path, handler in routes.items()])
        return app

    async def _index(self, _request: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    async def _metrics(self, request: web.Request) -> web.Response:
        packed = _takes_gzip(request.headers.getall("Accept-Encoding", []))
        body = await to_thread.run_sync(self._render, packed, limiter=self._packed)
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    def _render(self, packed: bool) -> bytes:
        body = self._pages.metrics.render()
        return gzip.compress(body, compresslevel=1) if packed else body

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _ready(self, _request: web.Request) -> web.Response:
        reasons = [*self._pages.readiness()]
        body = json.dumps({"ready": not reasons, "reasons": reasons})
        return web.Response(text=body, status=503 if reasons else 200, content_type="application/json")

    async def _health(self, _request: web.Request) -> web.Response:
        faults = self._pages.health.verdict(clock.monotonic())
        return web.Response(text="; ".join(faults) or "OK", status=500 if faults else 200)


def _takes_gzip(headers: Sequence[str]) -> bool:
    """Whether Accept-Encoding names gzip, not with quality 0."""
    for offer in ",".join(headers).split(","):
        coding, _, quality = offer.replace(" ", "").lower().partition(";q=")
        if coding == "gzip":
            return quality.strip("0.") != "" or not quality
    return False


def _name_of(listening: socket.socket) -> Address:
    host, port = listening.getsockname()[:2]
    return Address(str(host), int(port))
