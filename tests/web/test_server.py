"""The server, asked over real HTTP on loopback."""

import gzip
import socket
from collections.abc import AsyncIterator

import aiohttp
import anyio
import pytest

from autoscaler import clock
from autoscaler.errors import AutoscalerError
from autoscaler.metrics import Metrics
from autoscaler.web import Health, HealthLimits, Pages, Server
from autoscaler.web.address import Address, listen, parse_address

pytestmark = pytest.mark.anyio


class Scene:
    """A running server and what it shows."""

    def __init__(self) -> None:
        self.missing = ["groups were never read"]
        self.health = Health(HealthLimits())
        self.metrics = Metrics(version="1.2.3")
        self.url = ""

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        async with (
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session,
            session.request(method, self.url + path, headers=headers) as reply,
        ):
            return reply.status, reply.headers.get("Content-Type", ""), await reply.read()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    pages = Pages(metrics=scene.metrics, health=scene.health, readiness=lambda: scene.missing)
    async with anyio.create_task_group() as tasks:
        place = await tasks.start(Server("127.0.0.1:0", pages).serve)
        scene.url = f"http://{place}"
        yield scene
        tasks.cancel_scope.cancel()


async def test_metrics_come_in_the_text_format(scene: Scene) -> None:
    status, kind, body = await scene.ask("/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'priority_autoscaler_build_info{python="' in body


async def test_metrics_are_packed_when_asked(scene: Scene) -> None:
    _, _, plain = await scene.ask("/metrics")
    _, _, packed = await scene.ask("/metrics", **{"Accept-Encoding": "deflate, gzip;q=0.5"})
    _, _, refused = await scene.ask("/metrics", **{"Accept-Encoding": "gzip;q=0, br"})
    assert gzip.decompress(packed) == plain == refused


async def test_ready_once_nothing_is_missing(scene: Scene) -> None:
    status, kind, body = await scene.ask("/readyz")
    assert (status, body) == (503, b'{"ready": false, "reasons": ["groups were never read"]}')
    assert kind.startswith("application/json")
    scene.missing = []
    assert (await scene.ask("/readyz"))[0] == 200


async def test_health_check_speaks_with_the_loop(scene: Scene) -> None:
    assert (await scene.ask("/health-check"))[0::2] == (200, b"OK")
    scene.health.begin(clock.monotonic() - 3600)
    status, _, body = await scene.ask("/health-check")
    assert status == 500
    assert body.startswith(b"last sign of life 3600 s ago")


async def test_alive_and_index(scene: Scene) -> None:
    assert (await scene.ask("/healthz"))[0::2] == (200, b"ok")
    status, kind, body = await scene.ask("/")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert b'href="/metrics"' in body


async def test_head_has_no_body_and_nothing_else_is_allowed(scene: Scene) -> None:
    assert (await scene.ask("/healthz", "HEAD"))[0::2] == (200, b"")
    assert (await scene.ask("/metrics", "POST"))[0] == 405
    assert (await scene.ask("/secrets"))[0] == 404


async def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(f"127.0.0.1:{port}", Pages(metrics=Metrics()))
        with pytest.raises(
            AutoscalerError, match=rf"^address 127.0.0.1:{port}: cannot listen \(Address already in use\)"
        ):
            await server.serve()


async def test_the_port_is_free_again_after_the_server() -> None:
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            place = await tasks.start(Server("127.0.0.1:0", Pages(metrics=Metrics())).serve)
            tasks.cancel_scope.cancel()
        with socket.create_server((place.host, place.port)):
            pass


async def test_no_host_is_every_interface() -> None:
    with await listen(parse_address(":0")) as listening:
        port = listening.getsockname()[1]
        async with await anyio.connect_tcp("127.0.0.1", port):
            pass


async def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(
        AutoscalerError, match=r"^address 192.0.2.1:0: cannot listen \(Cannot assign requested address\)"
    ):
        await listen(parse_address("192.0.2.1:0"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8085", Address("", 8085)),
        ("localhost:80", Address("localhost", 80)),
        ("[::1]:8085", Address("::1", 8085)),
        ("[::]:0", Address("::", 0)),
    ],
)
def test_addresses_are_read_and_written_as_go_does(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "8085", "localhost", "::1:8085", "localhost:http", ":65536", ":-1", ":８"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AutoscalerError, match="address"):
        parse_address(text)
