"""One object, three ways to show it: whole, metadata only, or a table row.

The Accept header chooses. Stored JSON lacks kind and apiVersion; they are put
in front of the encoded bytes, so that an object is encoded once for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from .objects import Json, section
from .resources import Kind
from .store import Event, Stored
from .tables import cells, columns

_ENCODE = msgspec.json.Encoder().encode
_META = "meta.k8s.io/v1"
_EVENTS_GROUP = "events.k8s.io"
_RENAMED = {
    "message": "note", "involvedObject": "regarding", "source": "deprecatedSource", "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}  # fmt: skip
_NAMED_BACK = {new: old for old, new in _RENAMED.items()}


class Form(StrEnum):
    """What the client accepts."""

    WHOLE = "whole"
    METADATA = "metadata"
    TABLE = "table"


def chosen_form(accept: str) -> Form:
    """The first form of the Accept header that is served here."""
    for part in accept.split(","):
        words = [word.strip() for word in part.split(";")]
        if "as=Table" in words and "application/json" in words:
            return Form.TABLE
        if any(word.startswith("as=PartialObjectMetadata") for word in words) and "application/json" in words:
            return Form.METADATA
        if words[0] in ("application/json", "*/*"):
            return Form.WHOLE
    return Form.WHOLE


def from_wire(kind: Kind, value: Json) -> Json:
    """An object as it is stored: events of the newer group have core/v1's names inside."""
    if kind.group != _EVENTS_GROUP:
        return value
    return {_NAMED_BACK.get(name, name): part for name, part in value.items()}


def one(kind: Kind, stored: Stored, form: Form = Form.WHOLE, include: str = "") -> bytes:
    """A single object, as GET and writes answer."""
    if form is Form.TABLE:
        return table(kind, [stored], {"resourceVersion": str(stored.version)}, include)
    return _typed(kind, stored, form)


def _typed(kind: Kind, stored: Stored, form: Form) -> bytes:
    if form is Form.METADATA:
        body = _ENCODE({"metadata": section(stored.value, "metadata")})
        return b'{"kind":"PartialObjectMetadata","apiVersion":"' + _META.encode() + b'",' + body[1:]
    head = f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}"'.encode()
    body = _body(kind, stored)
    return head + (b"," if body != b"{}" else b"") + body[1:]


def _body(kind: Kind, stored: Stored) -> bytes:
    if kind.group != _EVENTS_GROUP:
        return stored.encoded
    return _ENCODE({_RENAMED.get(name, name): part for name, part in stored.value.items()})


def many(kind: Kind, items: Iterable[Stored], metadata: Json, form: Form, include: str = "") -> bytes:
    """A list, as LIST answers."""
    if form is Form.TABLE:
        return table(kind, items, metadata, include)
    if form is Form.METADATA:
        parts: Iterable[bytes] = (_ENCODE({"metadata": section(item.value, "metadata")}) for item in items)
        name, version = "PartialObjectMetadataList", _META
    else:
        parts = (_body(kind, item) for item in items)
        name, version = f"{kind.kind}List", kind.api_version
    return list_of(name, version, metadata, parts)


def list_of(name: str, api_version: str, metadata: Json, parts: Iterable[bytes]) -> bytes:
    """A list of encoded items."""
    head = f'{{"kind":"{name}","apiVersion":"{api_version}","metadata":'.encode() + _ENCODE(metadata)
    return head + b',"items":[' + b",".join(parts) + b"]}\n"


def table(kind: Kind, items: Iterable[Stored], metadata: Json, include: str) -> bytes:
    """A Table; each row carries metadata unless the client wants the whole object, or nothing."""
    made = []
    for item in items:
        row: Json = {"cells": cells(kind, item.value)}
        if include == "Object":
            row["object"] = {"kind": kind.kind, "apiVersion": kind.api_version, **item.value}
        elif include != "None":
            meta = section(item.value, "metadata")
            row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": meta}
        made.append(row)
    return _ENCODE(
        {"kind": "Table", "apiVersion": _META, "metadata": metadata, "columnDefinitions": columns(kind), "rows": made}
    )


def line(verb: str, body: bytes) -> bytes:
    """One line of a watch."""
    return b'{"type":"' + verb.encode() + b'","object":' + body + b"}\n"


def event_line(kind: Kind, event: Event, verb: str, form: Form, include: str = "") -> bytes:
    """The line of a stored event; whole objects are encoded once for all watchers."""
    if form is not Form.WHOLE:
        return line(verb, one(kind, event.new, form, include))
    known = event.lines.get((verb, kind.group))
    if known is None:
        known = event.lines[verb, kind.group] = line(verb, _typed(kind, event.new, form))
    return known


def bookmark(kind: Kind, version: int, form: Form, *, initial_end: bool = False) -> bytes:
    """A BOOKMARK line: only a version, and whether the initial events are over."""
    meta: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    if form is Form.METADATA:
        return line("BOOKMARK", _ENCODE({"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": meta}))
    if form is Form.TABLE:
        inner = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        return line("BOOKMARK", _ENCODE({"kind": "Table", "apiVersion": _META, "metadata": meta, "rows": [
            {"cells": [], "object": inner}], "columnDefinitions": []}))  # fmt: skip
    return line("BOOKMARK", _ENCODE({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}))


Matches = Callable[[Json], bool]


def seen_as(event: Event, matches: Matches) -> str:
    """What an event is to a watcher with a selector: its verb, or empty when it sees nothing."""
    before = event.old is not None and matches(event.old.value)
    after = event.verb != "DELETED" and matches(event.new.value)
    if before and after:
        return "MODIFIED"
    if after:
        return "ADDED"
    return "DELETED" if before else ""
