"""Events: what users read in `kubectl describe`, written beside the work.

One per reason and object in five minutes, as cluster-autoscaler's filter has
it, unless all are wanted; a ConfigMap stands for the whole cluster, so there
the message counts too. `record` never waits and never fails: a queue that
is full, or an API server that refuses, costs the event, which is counted.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import anyio
import anyio.abc
import structlog

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import MERGE_PATCH, Api

log = structlog.get_logger()

_WINDOW_SECONDS = 300.0
_REMEMBERED = 8_192  # events that can be counted up
_REPEATABLE = 65_536  # events that are not written again: fewer than pods wait, and all would be, pass by pass
_QUEUE = 10_000
_LONGEST_MESSAGE = 1_024  # the API server refuses longer ones


class ObjectRef(NamedTuple):
    """The object that an event is about; no namespace: it is cluster-wide."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    api_version: str = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventNote:
    """One event to be written; `at` is wall-clock time."""

    about: ObjectRef
    reason: str
    message: str
    at: datetime
    is_warning: bool = False


_Identity = tuple[ObjectRef, str, str]


def _identity(note: EventNote) -> _Identity:
    """What makes two events the same."""
    return note.about, note.reason, note.message if note.about.kind == "ConfigMap" else ""


@dataclass(slots=True)
class _Written:
    """What we wrote before about an object and reason, to count up instead of writing again."""

    path: str
    message: str
    at: float
    count: int = 1


class EventRecorder:
    """Writes events in the background, in order, one request at a time."""

    def __init__(self, api: Api, *, component: str = "cluster-autoscaler", duplicates: bool = False) -> None:
        self.written = 0
        self.suppressed = 0
        self.failed = 0
        self._api = api
        self._component = component
        self._duplicates = duplicates
        self._recent: OrderedDict[_Identity, float] = OrderedDict()
        self._known: OrderedDict[_Identity, _Written] = OrderedDict()
        self._stamp = 0
        self._lost = 0  # in a row
        self._send, self._receive = anyio.create_memory_object_stream[EventNote](_QUEUE)

    def record(self, note: EventNote) -> bool:
        """Queue an event; False when it repeats a recent one or the queue is full."""
        key, now = _identity(note), anyio.current_time()
        if not self._duplicates and now - self._recent.get(key, float("-inf")) < _WINDOW_SECONDS:
            self.suppressed += 1
            return False
        try:
            self._send.send_nowait(note)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._fail(note, "the queue is full or closed")
            return False
        _remember(self._recent, key, now, _REPEATABLE)
        return True

    def close(self) -> None:
        """Take no more events; `run` ends once the queued ones are written."""
        self._send.close()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write what is queued until `close`."""
        task_status.started()
        async with self._receive:
            async for note in self._receive:
                try:
                    await self._write(note)
                    self.written += 1
                    self._lost = 0
                except KubernetesError as error:
                    self._fail(note, str(error))

    async def _write(self, note: EventNote) -> None:
        key = _identity(note)
        known = self._known.get(key)
        if known is not None and known.message == note.message:
            patch = {"count": known.count + 1, "lastTimestamp": _time(note.at)}
            try:
                await self._api.send("PATCH", known.path, patch, MERGE_PATCH)
            except KubernetesError as error:
                if error.status != 404:  # events live for an hour, then a new one is due
                    raise
            else:
                known.count += 1
                return
        self._stamp = max(self._stamp + 1, int(note.at.timestamp() * 1e6))  # never the same name twice
        body = _event(note, self._component, self._stamp)
        namespace = body["metadata"]["namespace"]
        collection = f"/api/v1/namespaces/{namespace}/events"
        await self._api.send("POST", collection, body)
        path = f"{collection}/{body['metadata']['name']}"
        _remember(self._known, key, _Written(path, note.message, anyio.current_time()), _REMEMBERED)

    def _fail(self, note: EventNote, fault: str) -> None:
        """Count a loss and tell it, of a row of them ever fewer: thousands of pods lose theirs together."""
        self.failed += 1
        self._lost += 1
        if self._lost & (self._lost - 1) == 0:
            log.warning(
                "event.lost",
                kind=note.about.kind,
                object=note.about.name,
                reason=note.reason,
                error=fault,
                in_a_row=self._lost,
            )


def _event(note: EventNote, component: str, stamp: int) -> dict[str, Any]:
    about = note.about
    message = note.message
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 3] + "..."
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about.name}.{stamp:x}",
            "namespace": about.namespace or "default",
        },
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            **({"namespace": about.namespace} if about.namespace else {}),
            **({"uid": about.uid} if about.uid else {}),
        },
        "reason": note.reason,
        "message": message,
        "type": "Warning" if note.is_warning else "Normal",
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": _time(note.at),
        "lastTimestamp": _time(note.at),
        "count": 1,
    }


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _remember(table: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > most:
        table.popitem(last=False)
