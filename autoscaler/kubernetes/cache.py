"""Reflector: one kind of objects, kept equal to what the API server has.

LIST in pages, then WATCH from there; a watch that ends is resumed where it
stopped, a version that is gone (410) means a new LIST. `objects` never shows
half a list. An object that cannot be read is dropped, counted and told once:
nothing may be decided on it, nor on its older self. Every failure waits
before the next attempt. Whether the content is fresh enough to act on is the
caller's question: see `staleness`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio
import anyio.abc
import msgspec
import structlog
from anyio.streams.memory import MemoryObjectSendStream

from autoscaler.core.model import Uid
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.codec import Codec, Malformed, read_continue
from autoscaler.kubernetes.convert import MalformedObjectError, key_of
from autoscaler.kubernetes.transport import JSON, METADATA, METADATA_LIST, Api
from autoscaler.kubernetes.wire import WireMeta

log = structlog.get_logger()

W = TypeVar("W")
T = TypeVar("T")
OnChange = Callable[[T | None, T | None], None]

_STABLE_SECONDS = 60.0  # a watch that lived so long ends a row of failures
_MIN_WATCH_SECONDS = 1.0  # watches that end by themselves are opened no more often
_ABSENT = frozenset({403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[W, T]):
    """What a Reflector reads, and what it makes of it.

    `convert` raises MalformedObjectError. `optional`: a cluster may lack or
    forbid this kind, which then counts as synced and empty, and is tried again
    now and then.
    """

    name: str  # as in an object's `kind`
    path: str
    wire: type[W]
    convert: Callable[[W], T]
    selector: Mapping[str, str] = field(default_factory=dict)  # fieldSelector, labelSelector
    metadata_only: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a Reflector asks; seconds. `jitter` gives numbers in [0, 1)."""

    page: int = 500
    watch_seconds: float = 300.0
    first_delay: float = 0.5
    max_delay: float = 30.0
    absent_delay: float = 300.0
    jitter: Callable[[], float]

    def delay(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row: doubling, half of it by chance."""
        longest = min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, 20))
        return longest * (0.5 + 0.5 * self.jitter())


class Reflector(Generic[W, T]):
    """Keeps `objects` equal to the API server's. Read it between awaits, never change it."""

    def __init__(self, api: Api, kind: Kind[W, T], pace: Pace, on_change: OnChange[T] | None = None) -> None:
        self.kind = kind
        self.objects: dict[Uid, T] = {}
        self.generation = 0  # changes whenever the content may have
        self.malformed = 0  # how often an object could not be read
        self.unreadable: dict[Uid, MalformedObjectError] = {}  # those that cannot be now
        self.unknown_events = 0
        self.lists = 0
        self.failures = 0  # in a row
        self.synced = False
        self.absent = False  # optional, and not served or not permitted
        self._api = api
        self._pace = pace
        self._on_change = on_change
        self._codec = Codec(kind.wire)
        self._version: str | None = None
        self._alive_at: float | None = None
        self._told: set[str] = set()

    def staleness(self, now: float) -> float:
        """Return the seconds since the last proof of life, infinite before the first; `now` is anyio's clock."""
        if self.absent:
            return 0.0
        return float("inf") if self._alive_at is None else max(0.0, now - self._alive_at)

    async def watch(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow the API server for ever; `tasks.start` returns once the first LIST is complete."""
        started = False
        while True:
            begun = anyio.current_time()
            try:
                if self._version is None:
                    await self._list()
                if not started:
                    started = True
                    task_status.started()
                begun = anyio.current_time()
                await self._follow()
                self.failures = 0
                await anyio.sleep(max(0.0, begun + _MIN_WATCH_SECONDS - anyio.current_time()))
            except KubernetesError as error:
                await self._recover(error, begun)
                if self.absent and not started:
                    started = True
                    task_status.started()
                await anyio.sleep(self._pace.absent_delay if self.absent else self._pace.delay(self.failures))

    async def _recover(self, error: KubernetesError, begun: float) -> None:
        """Decide what a failure means for the next attempt, and tell it."""
        if anyio.current_time() - begun >= _STABLE_SECONDS:
            self.failures = 0
        self.failures += 1
        if error.status == 410 or error.reason == _UNDECODABLE:
            self._version = None
        if self.kind.optional and error.status in _ABSENT:
            self._version = None
            if not self.absent:
                log.warning("cache.kind_absent", kind=self.kind.name, status=error.status, error=str(error))
                self._replace({}, {})
            self.absent = self.synced = True
            return
        # the first of a row, then ever fewer: a dozen kinds fail together, each every half minute
        say = log.warning if self.failures & (self.failures - 1) == 0 and self.failures != 2 else log.debug
        say("cache.interrupted", kind=self.kind.name, status=error.status, failures=self.failures, error=str(error))

    async def _list(self) -> None:
        """Read all pages, then show them at once. Raises KubernetesError; the old content stays until then."""
        found: dict[Uid, T] = {}
        unreadable: dict[Uid, MalformedObjectError] = {}
        version = ""
        send, receive = anyio.create_memory_object_stream[bytes](1)
        failed: list[KubernetesError] = []
        with _COLLECTOR.rest():
            async with anyio.create_task_group() as tasks, receive:
                tasks.start_soon(self._fetch_pages, send, failed)
                try:
                    async for body in receive:
                        version = self._read_page(body, found, unreadable)
                        del body  # pages are the largest objects here: hold one, not two
                except KubernetesError as error:
                    failed.insert(0, error)
                    tasks.cancel_scope.cancel()
        if failed:
            raise failed[0]
        self._replace(found, unreadable)
        self._version = version
        self.lists += 1
        self.absent = False
        self.synced = True

    async def _fetch_pages(self, pages: MemoryObjectSendStream[bytes], failed: list[KubernetesError]) -> None:
        """Fetch pages one ahead, so that the server prepares the next while we read this one."""
        query = {"limit": str(self._pace.page), **self.kind.selector}
        accept = METADATA_LIST if self.kind.metadata_only else JSON
        with pages:
            try:
                while True:
                    body = await self._api.get_bytes(self.kind.path, query, accept)
                    self._alive_at = anyio.current_time()
                    token = read_continue(body)
                    await pages.send(body)
                    del body
                    if not token:
                        return
                    query["continue"] = token
            except KubernetesError as error:
                failed.append(error)
            except msgspec.DecodeError as error:
                failed.append(KubernetesError(0, _UNDECODABLE, f"LIST {self.kind.path}: {error}"))

    def _read_page(self, body: bytes, found: dict[Uid, T], unreadable: dict[Uid, MalformedObjectError]) -> str:
        """Add the objects of a page to those found; return its resourceVersion. Raises KubernetesError."""
        try:
            head, items = self._codec.read_page(body)
        except msgspec.DecodeError as error:
            raise KubernetesError(0, _UNDECODABLE, f"LIST {self.kind.path}: {error}") from error
        if not head.resource_version:
            raise KubernetesError(0, _UNDECODABLE, f"LIST {self.kind.path}: metadata.resourceVersion is missing")
        for item in items:
            uid, value = self._read(item, unreadable)
            if value is not None:
                found[uid] = value
        return head.resource_version

    def _replace(self, found: dict[Uid, T], unreadable: dict[Uid, MalformedObjectError]) -> None:
        before, self.objects, self.unreadable = self.objects, found, unreadable
        self.generation += 1
        if self._on_change is None:
            return
        for uid, value in found.items():
            self._on_change(before.get(uid), value)
        for uid, value in before.items():
            if uid not in found:
                self._on_change(value, None)

    async def _follow(self) -> None:
        """Apply one WATCH until it ends. Raises KubernetesError when it is refused or breaks."""
        query = {
            "watch": "true",
            "resourceVersion": self._version or "",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, round(self._pace.watch_seconds * (1 + self._pace.jitter())))),
            **self.kind.selector,
        }
        accept = METADATA if self.kind.metadata_only else JSON
        async with self._api.stream(self.kind.path, query, accept) as chunks:
            self._alive_at = anyio.current_time()
            rest = b""  # an unfinished line; lost with the connection, and sent again after it
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                self._alive_at = anyio.current_time()
                for line in lines:
                    if line:
                        self._apply(line)

    def _apply(self, line: bytes) -> None:
        try:
            event = self._codec.read_event(line)
        except msgspec.DecodeError as error:
            raise KubernetesError(0, _UNDECODABLE, f"WATCH {self.kind.path}: {error}") from error
        wire: Any = event.object
        if event.type == "ERROR":
            code, reason = getattr(wire, "code", 0), getattr(wire, "reason", "")
            raise KubernetesError(code, reason, f"WATCH {self.kind.path}: {code} {reason}")
        meta: WireMeta = wire.metadata
        if event.type in ("ADDED", "MODIFIED"):
            uid, value = self._read(wire, self.unreadable)
            self._put(uid, value)
        elif event.type == "DELETED":
            self.unreadable.pop(_uid_of(meta), None)
            self._put(_uid_of(meta), None)
        elif event.type != "BOOKMARK":
            self.unknown_events += 1
            self._tell_once(event.type, "cache.event_unknown", type=event.type)
        if meta.resource_version:
            self._version = meta.resource_version

    def _put(self, uid: Uid, value: T | None) -> None:
        before = self.objects.get(uid)
        if value is not None:
            self.objects[uid] = value
        elif before is not None:
            del self.objects[uid]
        else:
            return
        self.generation += 1
        if self._on_change is not None:
            self._on_change(before, value)

    def _read(self, wire: Any, unreadable: dict[Uid, MalformedObjectError]) -> tuple[Uid, T | None]:
        """Convert one object; None when that is impossible, which is then noted in `unreadable`."""
        uid = _uid_of(wire.metadata)
        try:
            value = self._convert(wire)
        except MalformedObjectError as error:
            self.malformed += 1
            unreadable[uid] = error
            self._tell_once(error.key, "cache.object_malformed", object=error.key, fault=error.fault)
            return uid, None
        unreadable.pop(uid, None)
        return uid, value

    def _convert(self, wire: Any) -> T:
        if isinstance(wire, Malformed):
            raise MalformedObjectError(self.kind.name, key_of(wire.metadata), wire.fault)
        return self.kind.convert(wire)

    def _tell_once(self, key: str, event: str, **facts: str) -> None:
        if key not in self._told:
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told.add(key)
            log.warning(event, kind=self.kind.name, **facts)


_UNDECODABLE = "Undecodable"  # our own reason, for a reply that is no JSON of the expected shape
_REMEMBERED = 10_000


def _uid_of(meta: WireMeta) -> Uid:
    return Uid(meta.uid or key_of(meta))


class _Collector:
    """The cyclic garbage collector of the process, which several reflectors may want to rest."""

    def __init__(self) -> None:
        self._resting = 0

    @contextmanager
    def rest(self) -> Iterator[None]:
        """Keep the collector out while many objects are made, none of which is garbage."""
        self._resting += 1
        gc.disable()
        try:
            yield
        finally:
            self._resting -= 1
            if self._resting == 0:
                gc.enable()


_COLLECTOR = _Collector()
