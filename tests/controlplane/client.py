"""A plain client of an API server, which shares nothing with the code under test.

Blocking, one connection per thread, JSON in and out. Knows client
certificates and bearer tokens, as our own control plane and kind use them.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import yaml

from autoscaler import clock

Json = dict[str, Any]
T = TypeVar("T")
R = TypeVar("R")
MERGE = "application/merge-patch+json"
_WATCH_SECONDS = 24 * 3600
PATIENCE = 60.0  # seconds after which something will never come


class Refused(Exception):
    """The API server said no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Client:
    """One user's way to one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        named = {row["name"]: row["context"] for row in config["contexts"]}[config["current-context"]]
        cluster = {row["name"]: row["cluster"] for row in config["clusters"]}[named["cluster"]]
        user = {row["name"]: row["user"] for row in config["users"]}[named["user"]]
        self._server = urlsplit(cluster["server"])
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._tls = _tls(cluster, user, kubeconfig.parent)
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._threads = ThreadPoolExecutor(8, "client")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    @property
    def address(self) -> str:
        return str(self._server.geturl())

    def call(self, method: str, path: str, body: Json | None = None, content_type: str = "application/json") -> Json:
        """Return the answer's object. Raises Refused."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {**self._headers, "Content-Type": content_type, "Accept": "application/json"}
        for is_last in (False, True):
            connection = self._connection(fresh=is_last)
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (http.client.HTTPException, OSError):
                if is_last:
                    raise
            else:
                break
        found: Json = json.loads(text) if text.lstrip()[:1] == b"{" else {"text": text.decode()}
        if answer.status >= 400:
            raise Refused(answer.status, found.get("reason", ""), found.get("message", text.decode()[:300]))
        return found

    def get(self, path: str, **query: str) -> Json:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def items(self, path: str, **query: str) -> list[Json]:
        found: list[Json] = self.get(path, **query)["items"]
        return found

    def create(self, path: str, body: Json) -> Json:
        return self.call("POST", path, body)

    def patch(self, path: str, body: Json) -> Json:
        return self.call("PATCH", path, body, MERGE)

    def delete(self, path: str, **query: str) -> None:
        """Delete an object at once, or a collection; what is gone already is as wanted."""
        asked = urlencode({"gracePeriodSeconds": "0", "propagationPolicy": "Background", **query})
        try:
            self.call("DELETE", f"{path}?{asked}")
        except Refused as error:
            if error.status != 404:
                raise

    def at_once(self, do: Callable[[T], R], things: Iterable[T]) -> list[R]:
        """Do it for several things side by side; answers in order. All is done before a failure is raised."""
        under_way = [self._threads.submit(do, thing) for thing in things]
        wait(under_way)
        return [each.result() for each in under_way]

    @contextmanager
    def watch(self, path: str, **query: str) -> Iterator[Iterator[Json]]:
        """Give the events of a collection as they come, those of what is there first; they end with the block."""
        connection = self._connect(timeout=_WATCH_SECONDS)
        try:
            asked = urlencode({"watch": "true", "timeoutSeconds": _WATCH_SECONDS, **query})
            connection.request("GET", f"{path}?{asked}", headers={**self._headers, "Accept": "application/json"})
            answer = connection.getresponse()
            if answer.status >= 400:
                raise Refused(answer.status, "watch", answer.read().decode()[:300])
            yield _events(answer)
        finally:
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)  # wakes up whoever reads
            connection.close()

    def _connection(self, *, fresh: bool) -> http.client.HTTPConnection:
        known = getattr(self._local, "connection", None)
        if known is None or fresh:
            if known is not None:
                known.close()
            known = self._connect(timeout=30)
            self._local.connection = known
            self._connections.append(known)
        return known

    def _connect(self, *, timeout: float) -> http.client.HTTPConnection:
        host, port = self._server.hostname or "", self._server.port
        if self._server.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)


def _events(answer: http.client.HTTPResponse) -> Iterator[Json]:
    # Closed by the other thread, the answer may be without its file by now.
    with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
        while line := answer.readline():
            yield json.loads(line)


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path) -> ssl.SSLContext:
    with TemporaryDirectory() as folder:

        def file(source: Mapping[str, Any], key: str) -> str | None:
            if f"{key}-data" in source:
                path = Path(folder, key)
                path.write_bytes(base64.b64decode(source[f"{key}-data"]))
                return str(path)
            return str(base / source[key]) if key in source else None

        context = ssl.create_default_context(cafile=file(cluster, "certificate-authority"))
        certificate, key = file(user, "client-certificate"), file(user, "client-key")
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context


def wait_for(condition: Callable[[], R | None], what: str, seconds: float = PATIENCE) -> R:
    """The first true value of the condition; fails with `what` when it never comes."""
    deadline = clock.monotonic() + seconds
    while not (found := condition()):
        assert clock.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        threading.Event().wait(0.02)
    return found
