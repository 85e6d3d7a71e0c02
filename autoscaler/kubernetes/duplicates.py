"""Duplicates: which one counts of an object that the files hold more than once?

The one with the newest resourceVersion, whatever the order of the files, and
it is told. Equal ones are one, and nothing to tell. Where they differ and no
version says which is newer, nobody may choose: that is a fault of the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from autoscaler.kubernetes.convert import MalformedObjectError, key_of
from autoscaler.kubernetes.interner import kept_annotations
from autoscaler.kubernetes.storage import kept_storage_annotations
from autoscaler.kubernetes.wire import WireMeta

_NAMED = 3  # objects by name in one warning


class Found(NamedTuple):
    """A wire object, and the file that holds it."""

    source: str
    wire: Any


class Pile:
    """All objects of one kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._first: dict[tuple[str, str], Found] = {}
        self._others: dict[tuple[str, str], list[Found]] = {}

    def add(self, source: str, wire: Any) -> None:
        key = wire.metadata.namespace or "default", wire.metadata.name
        if self._first.setdefault(key, found := Found(source, wire)) is not found:
            self._others.setdefault(key, []).append(found)

    def settle(self) -> Iterator[str | MalformedObjectError]:
        """Leave one of each object; yield warnings, and a fault for each where nothing tells which one."""
        told: list[str] = []
        sources: set[str] = set()
        for key, others in sorted(self._others.items()):
            every = [self._first[key], *others]
            newest = self._first[key] = max(every, key=lambda one: _version(one.wire))
            differing = [one for one in others if _content(one.wire) != _content(every[0].wire)]
            if not differing:
                continue
            name = key_of(newest.wire.metadata)
            files = sorted({one.source for one in every})
            if not _is_newest(newest, every):
                fault = "they differ, and no resourceVersion tells which is newer; leave one out"
                yield MalformedObjectError(
                    f"{', '.join(files)}: {self._kind}", name, f"given {len(every)} times: {fault}"
                )
                continue
            told.append(name)
            sources.update(files)
        self._others.clear()
        if told:
            more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
            where = ", ".join(sorted(sources))
            yield f"{self._kind} {', '.join(told[:_NAMED])}{more}: more than once in {where}; the newest version counts"

    def objects(self) -> Iterator[Found]:
        yield from self._first.values()


def _is_newest(newest: Found, every: list[Found]) -> bool:
    """Whether all that say something else are older."""
    version, content = _version(newest.wire), _content(newest.wire)
    return all(0 <= _version(one.wire) < version for one in every if _content(one.wire) != content)


def _version(wire: Any) -> int:
    """The resourceVersion, which etcd counts up; -1 where there is none to compare."""
    text = wire.metadata.resource_version
    return int(text) if text.isascii() and text.isdigit() else -1


def _content(wire: Any) -> Any:
    """The object without what nobody reads: a snapshot keeps fewer annotations than kubectl prints."""
    meta: WireMeta = wire.metadata
    annotations = kept_annotations(meta.annotations) | kept_storage_annotations(meta.annotations)
    meta = msgspec.structs.replace(meta, annotations=annotations, resource_version="")
    return msgspec.structs.replace(wire, metadata=meta)
