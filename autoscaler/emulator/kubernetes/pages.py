"""Ready-made pods and nodes for benches of scale: pages of bytes, made as they are asked for, from templates.

150,000 pods cost no memory and no start-up. Lists, watches and bulk changes
are served; other selectors than for unfinished pods, single objects and writes of these two kinds are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import anyio
from aiohttp import web
from anyio.lowlevel import checkpoint

from . import page_templates as templates
from .api import compressed, decode_token, encode_token
from .objects import Json
from .representations import Form, bookmark, line, list_of
from .resources import NAMESPACES, NODES, PODS, REPLICA_SETS, Kind
from .status import ApiError, bad_request, expired
from .store import Store
from .watch import Watches, gone
from .writes import Target

_UNFINISHED = re.compile(r"(status\.phase!=(Succeeded|Failed),?)*")  # holds for every ready-made pod
_BATCH = 200  # objects per write to a stream


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesPlan:
    """How many objects, from how many templates; the last `pending` pods are Unschedulable."""

    pods: int = 0
    nodes: int = 0
    templates: int = 3000
    pending: int = 0
    gzip: int = 0  # 1: compress pages when asked; costs the server 30 ms a page

    @classmethod
    def parse(cls, words: str) -> PagesPlan:
        """Read `pods=150000,nodes=5000`. Raises ValueError."""
        pairs = [word.partition("=") for word in words.split(",") if word]
        unknown = [name for name, _, _ in pairs if name not in cls.__slots__]
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}")
        return cls(**{name: int(value) for name, _, value in pairs})


@dataclass(slots=True)
class Shelf:
    """One kind's objects: their number, their changes, who waits for more."""

    kind: Kind
    count: int
    first_version: int
    versions: dict[int, int] = field(default_factory=dict)  # changed objects
    log: list[tuple[int, int]] = field(default_factory=list)  # version, number
    changed: anyio.Event | None = None

    def version(self, number: int) -> int:
        return self.versions.get(number, self.first_version + number)


class Pages:
    """Answers lists and watches of pods and nodes; everything else is the store's."""

    def __init__(self, plan: PagesPlan, store: Store, watches: Watches) -> None:
        self._plan = plan
        self._store = store
        self._watches = watches
        self._shelves = {
            PODS.storage: Shelf(PODS, plan.pods, store.version + 1),
            NODES.storage: Shelf(NODES, plan.nodes, store.version + 1 + plan.pods),
        }
        store.version += plan.pods + plan.nodes + 1
        for number in range(templates.NAMESPACES):
            name = templates.namespace_of(number)
            store.create(NAMESPACES, {"metadata": {"name": name}, "status": {"phase": "Active"}})
        for number in range(plan.templates if plan.pods else 0):
            replicas = plan.pods // plan.templates
            labels = {"app.kubernetes.io/name": templates.app_of(number)}
            meta = {
                "name": templates.replica_set_of(number), "namespace": templates.namespace_of(number),
                "uid": templates.replica_set_uid(number), "labels": labels,
            }  # fmt: skip
            store.create(REPLICA_SETS, {"metadata": meta, "spec": {"replicas": replicas}})
        self._oldest = store.version

    def pod(self, number: int, version: int) -> bytes:
        plan = self._plan
        pending = number >= plan.pods - plan.pending
        node = b"" if pending or not plan.nodes else b"node-%06d" % (number % plan.nodes)
        state = (b"Pending", b"False", b"False", b"Unschedulable") if pending else (b"Running", b"True", b"True", b"")
        return templates.pod_template(number % plan.templates) % {
            b"name": b"%05x" % number, b"suffix": b"%05x" % (number ^ 0x5A5A5),
            b"uid": b"%08x-0000-4000-8000-%012x" % (number, number), b"version": b"%d" % version,
            b"time": _time(number), b"node": node,
            b"ip": b"10.%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255),
            b"phase": state[0], b"ready": state[1], b"placed": state[2], b"reason": state[3],
        }  # fmt: skip

    def node(self, number: int, version: int) -> bytes:
        return templates.node_template(number % 60) % {
            b"name": b"node-%06d" % number, b"uid": b"%08x-0000-4000-a000-%012x" % (number, number),
            b"version": b"%d" % version, b"time": _time(number), b"instance": b"i-%017x" % number, b"ready": b"True",
        }  # fmt: skip

    def _object(self, shelf: Shelf, number: int, version: int) -> bytes:
        return (self.pod if shelf.kind is PODS else self.node)(number, version)

    def _typed(self, shelf: Shelf, number: int, version: int) -> bytes:
        head = f'{{"kind":"{shelf.kind.kind}","apiVersion":"v1",'.encode()
        return head + self._object(shelf, number, version)[1:]

    def modify(self, body: Json, _query: dict[str, str], _name: str) -> Json:
        """POST /emu/modify {"pods": 20000, "nodes": 0, "offset": 0}: a MODIFIED event for each of so many objects."""
        for shelf in self._shelves.values():
            for index in range(int(body.get(shelf.kind.plural, 0))):
                number = (index + int(body.get("offset", 0))) % shelf.count
                self._store.version += 1
                shelf.versions[number] = self._store.version
                shelf.log.append((self._store.version, number))
            if shelf.changed is not None:
                shelf.changed.set()
                shelf.changed = None
        return {"resourceVersion": str(self._store.version)}

    async def answer(self, request: web.Request, target: Target) -> web.StreamResponse | None:
        """A list or a watch of pods or nodes; None for the rest. Raises ApiError."""
        shelf = self._shelves.get(target.kind.storage)
        if shelf is None or not shelf.count:
            return None
        query = request.query
        if request.method != "GET" or target.name or target.namespace:
            raise ApiError(405, "MethodNotAllowed", f"{target.kind.plural} are ready-made here: only list and watch")
        if not _UNFINISHED.fullmatch(query.get("fieldSelector", "")) or query.get("labelSelector"):
            raise bad_request("ready-made objects are served without selectors")
        if query.get("watch") in ("true", "1"):
            async with self._watches.streaming(request, float(query.get("timeoutSeconds") or 0) or 1e9) as response:
                await self._feed(response, shelf, query)
            return response
        return await self._page(request, shelf)

    async def _page(self, request: web.Request, shelf: Shelf) -> web.Response:
        version, start = self._store.version, 0
        if request.query.get("continue"):
            version, start = decode_token(request.query["continue"])
        if version < self._oldest:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        end = min(shelf.count, start + (int(request.query.get("limit") or 0) or shelf.count))
        meta: Json = {"resourceVersion": str(version)}
        if end < shelf.count:
            meta |= {"continue": encode_token([version, end]), "remainingItemCount": shelf.count - end}
        items = (self._object(shelf, number, shelf.version(number)) for number in range(start, end))
        body = list_of(f"{shelf.kind.kind}List", "v1", meta, items)
        return await compressed(request, body, enabled=bool(self._plan.gzip))

    async def _feed(self, response: web.StreamResponse, shelf: Shelf, query: Mapping[str, str]) -> None:
        wanted = str(query.get("resourceVersion", ""))
        position = len(shelf.log)
        if wanted in ("", "0") or query.get("sendInitialEvents") == "true":
            await self._write(response, self._initial(shelf))
            if query.get("sendInitialEvents") == "true":
                await response.write(bookmark(shelf.kind, self._store.version, Form.WHOLE, initial_end=True))
        elif int(wanted) < self._oldest:
            await response.write(gone(wanted, self._oldest))
            return
        else:
            position = next((at for at, (version, _) in enumerate(shelf.log) if version > int(wanted)), position)
        while True:
            if position < len(shelf.log):
                batch, position = shelf.log[position:], len(shelf.log)
                await self._write(response, self._changes(shelf, batch))
                continue
            if shelf.changed is None:
                shelf.changed = anyio.Event()
            with anyio.move_on_after(10) as rest:
                await shelf.changed.wait()
            if rest.cancelled_caught and query.get("allowWatchBookmarks") in ("true", "1"):
                await response.write(bookmark(shelf.kind, self._store.version, Form.WHOLE))

    def _initial(self, shelf: Shelf) -> Iterator[bytes]:
        for number in range(shelf.count):
            yield line("ADDED", self._typed(shelf, number, shelf.version(number)))

    def _changes(self, shelf: Shelf, batch: list[tuple[int, int]]) -> Iterator[bytes]:
        for version, number in batch:
            yield line("MODIFIED", self._typed(shelf, number, version))

    async def _write(self, response: web.StreamResponse, lines: Iterator[bytes]) -> None:
        pending: list[bytes] = []
        for made in lines:
            pending.append(made)
            if len(pending) == _BATCH:
                await response.write(b"".join(pending))
                pending.clear()
                await checkpoint()
        if pending:
            await response.write(b"".join(pending))


def _time(number: int) -> bytes:
    """A second of the year 2026 for each object."""
    second = number % (28 * 86_400)
    day, rest = divmod(second, 86_400)
    return b"2026-01-%02dT%02d:%02d:%02dZ" % (day + 1, rest // 3600, rest // 60 % 60, rest % 60)
