"""State: what a successor takes over, in one ConfigMap. It only makes it quicker.

Holds the memory of refusals (its form is `core/scaleup/capacity_state`'s), when
each instance was first seen, and what scale-down remembers. What cannot be
read is ignored with a warning, what is too much loses its oldest part, and
what cannot be written is counted and tried again: no pass ever waits for it.
How one version replaces another stands in `own_map`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import msgspec
import structlog

from autoscaler import clock
from autoscaler.core.model import GroupName, InstanceId, NodeName
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.capacity_state import CapacityStateError
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.own_map import OwnMap
from autoscaler.kubernetes.transport import Api

log = structlog.get_logger()
Key = TypeVar("Key")
Entry = TypeVar("Entry")

STATE_CONFIG_MAP = "priority-autoscaler-state"
VERSION = "1"  # of the keys and what they hold
SAVE_INTERVAL = 5.0  # seconds between two writes
LARGEST_VALUE = 240_000  # bytes of each key; the API server takes 1 MiB of data in all

_ALIVE_EVERY = 300.0  # seconds
_AWAY = timedelta(minutes=15)  # after which nobody knows whether a node was needed meanwhile
_READ_PAUSE = 2.0
_ANSWER_SECONDS = 10.0
_LAST_SECONDS = 5.0  # for the write at the end
_REFUSED = frozenset({400, 403, 405, 422})  # asking again does not help


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What survives the process."""

    capacity: CapacityMemory = field(default_factory=CapacityMemory)
    first_seen: Mapping[InstanceId, datetime] = field(default_factory=dict)
    scale_down: ScaleDownMemory = field(default_factory=ScaleDownMemory)


class StateStore:
    """The ConfigMap `priority-autoscaler-state`. `written` and `failed` count the saves."""

    def __init__(self, api: Api, namespace: str, may_write: Callable[[], bool] = lambda: True) -> None:
        self.written = 0
        self.failed = 0
        self._namespace = namespace
        self._map = OwnMap(api, namespace, STATE_CONFIG_MAP, may_write)
        self._told = ""

    async def load(self) -> SavedState:
        """Return what the predecessor saved, as far as it can be read.

        Waits until the API server has answered: an outage is not an empty
        state. A refusal is: the state is then not kept either.
        """
        while True:
            fault = f"no answer within {_ANSWER_SECONDS:g} s"
            with anyio.move_on_after(_ANSWER_SECONDS):
                try:
                    return _read_state(await self._map.read())
                except KubernetesError as error:
                    fault = str(error)
                    if error.status in _REFUSED:
                        self._tell("state.unreadable", fault)
                        return SavedState()
            self._tell("state.read_failed", fault)
            await anyio.sleep(_READ_PAUSE)

    async def save(self, state: SavedState) -> bool:
        """Write the state if it changed, and tell whether it stands there now. Never raises."""
        data = _write_state(state)
        if data == self._map.stored:
            return True
        fault = f"no answer within {_ANSWER_SECONDS:g} s"
        with anyio.move_on_after(_ANSWER_SECONDS):
            try:
                if not await self._map.write(data):
                    return False
            except KubernetesError as error:
                fault = str(error)
            else:
                self.written += 1
                self._told = ""
                return True
        self.failed += 1
        self._tell("state.write_failed", fault)
        return False

    @asynccontextmanager
    async def kept(self, read: Callable[[], SavedState]) -> AsyncIterator[None]:
        """Save what `read` returns every 5 s, if it changed, and once more when the block has ended.

        The last one also after a cancellation, and after what the block did to wind up.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep, read)
                yield
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(_LAST_SECONDS, shield=True):
                await self.save(read())

    async def _keep(self, read: Callable[[], SavedState]) -> None:
        while True:
            await anyio.sleep(SAVE_INTERVAL)
            await self.save(read())

    def _tell(self, event: str, fault: str) -> None:
        """Log a fault, once for as long as it stays the same."""
        if fault != self._told:
            self._told = fault
            log.warning(event, config_map=STATE_CONFIG_MAP, namespace=self._namespace, fault=fault)


def _read_state(data: Mapping[str, str]) -> SavedState:
    """Read each key by itself; one that cannot be read is as if it were missing."""
    if not data:
        return SavedState()
    if data.get("version") != VERSION:
        _ignore("version", f"{data.get('version')!r} is not {VERSION}, the state is not used")
        return SavedState()
    state = SavedState()
    try:
        memory = CapacityMemory.from_state(msgspec.json.decode(data.get("capacity", "")))
        state = replace(state, capacity=memory.without_expired(clock.now()))
    except (msgspec.DecodeError, CapacityStateError) as error:
        _ignore("capacity", str(error))
    try:
        seen = msgspec.json.decode(data.get("firstSeen", ""), type=dict[str, datetime])
        state = replace(state, first_seen={InstanceId(ident): _aware(seen[ident]) for ident in seen})
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        _ignore("firstSeen", str(error))
    try:
        state = replace(state, scale_down=_read_scale_down(data.get("scaleDown", "{}"), clock.now()))
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        _ignore("scaleDown", str(error))
    return state


class _ScaleDown(msgspec.Struct, omit_defaults=True):
    """The memory of scale-down as it stands in the ConfigMap; `at` is when it still held, to some minutes."""

    at: datetime | None = None
    unneeded: dict[str, datetime] = {}
    waiting: dict[str, datetime] = {}
    blocked: dict[str, datetime] = {}
    added: dict[str, datetime] = {}
    removed: dict[str, datetime] = {}
    failed: dict[str, datetime] = {}


def _read_scale_down(text: str, now: datetime) -> ScaleDownMemory:
    """Read the memory; since when nodes are unneeded counts only if nobody was away for long."""
    found = msgspec.json.decode(text, type=_ScaleDown)
    is_fresh = found.at is not None and now - _aware(found.at) <= _AWAY
    return ScaleDownMemory(
        unneeded={NodeName(name): _aware(at) for name, at in found.unneeded.items() if is_fresh},
        waiting={NodeName(name): _aware(at) for name, at in found.waiting.items() if is_fresh},
        blocked={NodeName(name): _aware(at) for name, at in found.blocked.items() if _aware(at) > now},
        added={GroupName(name): _aware(at) for name, at in found.added.items()},
        removed={GroupName(name): _aware(at) for name, at in found.removed.items()},
        failed={GroupName(name): _aware(at) for name, at in found.failed.items()},
    )


def _scale_down(memory: ScaleDownMemory, most: int, now: datetime) -> dict[str, object]:
    parts = {
        name: {key: _rfc3339(at) for key, at in _last(entries, lambda at: at, most).items()}
        for name, entries in _parts_of(memory).items()
        if entries
    }
    if not (memory.unneeded or memory.waiting):
        return dict(parts)
    at = now - timedelta(seconds=now.timestamp() % _ALIVE_EVERY)  # one write in that time says that all this holds
    return {"at": _rfc3339(at), **parts}


def _parts_of(memory: ScaleDownMemory) -> dict[str, Mapping[Any, datetime]]:
    return {
        "unneeded": memory.unneeded,
        "waiting": memory.waiting,
        "blocked": memory.blocked,
        "added": memory.added,
        "removed": memory.removed,
        "failed": memory.failed,
    }


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    return moment.astimezone(UTC)


def _ignore(key: str, fault: str) -> None:
    log.warning("state.ignored", config_map=STATE_CONFIG_MAP, key=key, fault=fault)


def _write_state(state: SavedState) -> dict[str, str]:
    """Render the keys, each with as many of its newest entries as there is room for."""
    seen, memory = state.first_seen, state.capacity
    newest = sorted(seen, key=lambda ident: (seen[ident], ident), reverse=True)  # old instances are Nodes long since
    most = max(len(memory.pools), len(memory.closures), len(memory.answered))
    entries = max(map(len, _parts_of(state.scale_down).values()))
    now = clock.now()
    return {
        "version": VERSION,
        "capacity": _fitting(most, lambda most: _newest(memory, most).to_state()),
        "firstSeen": _fitting(len(seen), lambda most: {ident: _rfc3339(seen[ident]) for ident in newest[:most]}),
        "scaleDown": _fitting(entries, lambda most: _scale_down(state.scale_down, most, now)),
    }


def _fitting(entries: int, render: Callable[[int], object]) -> str:
    while len(text := msgspec.json.encode(render(entries))) > LARGEST_VALUE and entries:
        entries = min(entries - 1, entries * LARGEST_VALUE // len(text))
    return text.decode()


def _newest(memory: CapacityMemory, most: int) -> CapacityMemory:
    return replace(
        memory,
        pools=_last(memory.pools, lambda one: one.seen, most),
        closures=_last(memory.closures, lambda one: one.failed, most),
        answered=_last(memory.answered, lambda one: one.at, most),
    )


def _last(entries: Mapping[Key, Entry], moment: Callable[[Entry], datetime], most: int) -> Mapping[Key, Entry]:
    if len(entries) <= most:
        return entries
    return dict(sorted(entries.items(), key=lambda item: moment(item[1]))[len(entries) - most :])


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
