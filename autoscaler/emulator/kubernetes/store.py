"""All objects, each with its version, and what happened to them in order.

One store is one etcd: a counter that only grows, every write one event. All
of it runs on one thread. Stored values are never mutated: `copy` one, change
it, give it back to `update`. Admission, defaults and permissions live elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from uuid import uuid4

import anyio
import msgspec

from autoscaler import clock

from .objects import MALFORMED, Json, section, text
from .resources import BY_NAME, NAMESPACES, Kind, named
from .status import already_exists, conflict, not_found, stale

Key = tuple[str, str]  # namespace, name
HISTORY = 50_000  # events kept per kind; 12 KB each for pods
_KEPT = ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder().decode


def suffix() -> str:
    """Five letters for generateName, from the alphabet of the API server."""
    number, letters = uuid4().int, ""
    for _ in range(5):
        number, digit = divmod(number, 27)
        letters += "bcdfghjklmnpqrstvwxz2456789"[digit]
    return letters


def timestamp() -> str:
    return clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


class Stored:
    """One version of one object; its JSON (without kind and apiVersion) is made once."""

    __slots__ = ("_encoded", "key", "value", "version")

    def __init__(self, key: Key, value: Json, version: int) -> None:
        self.key = key
        self.value = value
        self.version = version
        self._encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._encoded is None:
            self._encoded = _ENCODE(self.value)
        return self._encoded

    def copy(self) -> Json:
        copied: Json = _DECODE(self.encoded)
        return copied


class Event:
    """One write: `old` is None for a creation, `new` is the last state for a deletion."""

    __slots__ = ("kind", "lines", "new", "old", "verb", "version")

    def __init__(self, kind: Kind, verb: str, old: Stored | None, new: Stored) -> None:
        self.kind = kind
        self.verb = verb  # ADDED, MODIFIED, DELETED
        self.old = old
        self.new = new
        self.version = new.version
        self.lines: dict[tuple[str, str], bytes] = {}  # watch lines by (verb, group), shared by all watchers


class Collection:
    """The objects of one kind and the log of their events."""

    def __init__(self, history: int) -> None:
        self.objects: dict[Key, Stored] = {}
        self.spaces: dict[str, dict[Key, Stored]] = {}
        self.log: list[Event] = []
        self.dropped = 0  # events forgotten before log[0]
        self.oldest = 0  # the lowest version from which a watch may resume
        self._history = history
        self._changed: anyio.Event | None = None

    @property
    def end(self) -> int:
        return self.dropped + len(self.log)

    def put(self, stored: Stored) -> None:
        self.objects[stored.key] = stored
        self.spaces.setdefault(stored.key[0], {})[stored.key] = stored

    def pop(self, key: Key) -> None:
        del self.objects[key]
        del self.spaces[key[0]][key]

    def append(self, event: Event) -> None:
        self.log.append(event)
        if len(self.log) > self._history:
            self.forget(self._history // 2)
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def forget(self, keep: int) -> None:
        """Compaction: keep only the last `keep` events."""
        cut = len(self.log) - keep
        if cut > 0:
            self.oldest = self.log[cut - 1].version
            self.dropped += cut
            del self.log[:cut]

    def position_after(self, version: int) -> int:
        """The position of the first event younger than `version`."""
        low, high = 0, len(self.log)
        while low < high:
            middle = (low + high) // 2
            if self.log[middle].version <= version:
                low = middle + 1
            else:
                high = middle
        return self.dropped + low

    async def wait_beyond(self, position: int) -> None:
        while self.end <= position:
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()


class Store:
    """Versioned objects of every kind. Raises ApiError as the API server would."""

    def __init__(self, history: int = HISTORY) -> None:
        self.version = 1000
        self._history = history
        self._collections: dict[str, Collection] = {}
        self._listeners: list[Callable[[Event], None]] = []

    def collection(self, kind: Kind) -> Collection:
        found = self._collections.get(kind.storage)
        if found is None:
            found = self._collections[kind.storage] = Collection(self._history)
        return found

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Have `listener` called for each write, at once; it must only take note."""
        self._listeners.append(listener)

    def find(self, kind: Kind, namespace: str, name: str) -> Stored | None:
        return self.collection(kind).objects.get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(kind.resource, name)
        return found

    def items(self, kind: Kind, namespace: str | None = None) -> Iterator[Stored]:
        """Objects of a kind, in one namespace or in all, as they are now, in no order."""
        held = self.collection(kind)
        found = held.objects if namespace is None else held.spaces.get(namespace, {})
        return iter(list(found.values()))

    def values(self, plural: str, namespace: str | None = None) -> list[Json]:
        """For tests and stories: the objects of a kind, by name."""
        return [stored.value for stored in sorted(self.items(named(plural), namespace), key=lambda one: one.key)]

    def create(self, kind: Kind, value: Json) -> Stored:
        """Store a new object, which the store owns from now on; its metadata is completed."""
        value = {name: part for name, part in value.items() if name not in ("kind", "apiVersion")}
        meta = value["metadata"] = section(value, "metadata")
        present = self.collection(kind).objects
        namespace = text(meta, "namespace") if kind.namespaced else ""
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + suffix()
            while (namespace, meta["name"]) in present:
                meta["name"] = meta["generateName"] + suffix()
        key = (namespace, text(meta, "name"))
        if key in present:
            raise already_exists(kind.resource, key[1])
        meta.setdefault("uid", str(uuid4()))
        meta.setdefault("creationTimestamp", timestamp())
        if kind.counts_generation:
            meta.setdefault("generation", 1)
        return self._commit(kind, "ADDED", key, value)

    def update(self, kind: Kind, key: Key, value: Json, *, version: str = "") -> Stored:
        """Replace an object; an equal one is left as it is. `version`: refuse (409) unless it is the present one.

        An object that is being deleted goes when its last finalizer has gone.
        """
        before = self.get(kind, *key)
        if version not in ("", "0", str(before.version)):
            raise stale(kind.resource, key[1])
        value = {name: part for name, part in value.items() if name not in ("kind", "apiVersion")}
        meta, past = section(value, "metadata"), section(before.value, "metadata")
        for name in _KEPT:
            if name in past:
                meta[name] = past[name]
        if value == before.value:
            return before
        if kind.counts_generation and value.get("spec") != before.value.get("spec"):
            meta["generation"] = int(past.get("generation", 0)) + 1
        waits = meta.get("deletionTimestamp") and past.get("finalizers") and not meta.get("deletionGracePeriodSeconds")
        if waits and not meta.get("finalizers"):
            return self._commit(kind, "DELETED", key, value)
        return self._commit(kind, "MODIFIED", key, value)

    def change(self, kind: Kind, key: Key, mutate: Callable[[Json], None]) -> Stored | None:
        """Let `mutate` change a copy and store it; nothing when the object is gone."""
        before = self.find(kind, *key)
        if before is None:
            return None
        value = before.copy()
        mutate(value)
        return self.update(kind, key, value)

    def delete(self, kind: Kind, key: Key, *, grace: int = 0, preconditions: Json | None = None) -> Stored:
        """Remove an object, or mark it as terminating while finalizers or a grace period hold it."""
        before = self.get(kind, *key)
        self._check(kind, before, preconditions or {})
        held = bool(finalizers(before.value))
        if not held and grace == 0:
            return self._commit(kind, "DELETED", key, before.copy())
        meta = section(before.value, "metadata")
        if meta.get("deletionTimestamp") and meta.get("deletionGracePeriodSeconds", 0) <= grace:
            return before
        value = before.copy()
        value["metadata"] |= {"deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": grace}
        return self._commit(kind, "MODIFIED", key, value)

    def _check(self, kind: Kind, before: Stored, preconditions: Json) -> None:
        for name, actual in (("uid", text(before.value, "metadata", "uid")), ("resourceVersion", str(before.version))):
            wanted = preconditions.get(name)
            if wanted and wanted != actual:
                why = f"Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {actual}"
                raise conflict(kind.resource, before.key[1], why)

    def put_raw(self, kind: Kind, value: Json, key: Key) -> Stored:
        """Store any JSON as an object of a kind, however malformed."""
        verb = "MODIFIED" if key in self.collection(kind).objects else "ADDED"
        return self._commit(kind, verb, key, value)

    def load(self, objects: Iterable[Json]) -> int:
        """Take many objects as they stand, with kind and apiVersion; how many they were."""
        count = 0
        for value in objects:
            kind = BY_NAME[(value["apiVersion"], value["kind"])]
            namespace = text(value, "metadata", "namespace")
            if namespace and self.find(NAMESPACES, "", namespace) is None:
                self.create(NAMESPACES, {"metadata": {"name": namespace}, "status": {"phase": "Active"}})
            self.create(kind, value)
            count += 1
        return count

    def forget_history(self) -> None:
        """Compaction of everything: each watch from an earlier version is answered 410."""
        for held in self._collections.values():
            held.forget(0)
            held.oldest = self.version

    def _commit(self, kind: Kind, verb: str, key: Key, value: Json) -> Stored:
        self.version += 1
        if isinstance(value.get("metadata"), dict):
            value["metadata"]["resourceVersion"] = str(self.version)
        held = self.collection(kind)
        old, new = held.objects.get(key), Stored(key, value, self.version)
        if verb == "DELETED":
            held.pop(key)
        else:
            held.put(new)
        event = Event(kind, verb, old, new)
        held.append(event)
        for listener in self._listeners:
            with suppress(*MALFORMED):  # an odd object is lost on one listener, not on all
                listener(event)
        return new


def finalizers(value: Json) -> list[object]:
    """The finalizers of an object."""
    found = section(value, "metadata").get("finalizers")
    return found if isinstance(found, list) else []
