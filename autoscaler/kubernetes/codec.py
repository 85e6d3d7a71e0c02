"""Codec: bytes of pages and watch events to wire objects, each alone where one is bad.

A malformed object costs itself only, never the page or the stream it came
in. What is no page or no event at all raises msgspec.DecodeError.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from autoscaler.kubernetes.unknown_fields import decode_object
from autoscaler.kubernetes.wire import WireEvent, WireListMeta, WireMeta, WirePage, WirePageHead, WireStatus

W = TypeVar("W")


class Codec(Generic[W]):
    """Decodes pages and events of one kind; each object alone where the whole fails."""

    def __init__(self, wire: type[W]) -> None:
        page: Any = WirePage
        event: Any = WireEvent
        self._page: msgspec.json.Decoder[WirePage[W]] = msgspec.json.Decoder(page[wire])
        self._event: msgspec.json.Decoder[WireEvent[W]] = msgspec.json.Decoder(event[wire])
        self._object: msgspec.json.Decoder[W] = msgspec.json.Decoder(wire)

    def read_page(self, body: bytes) -> tuple[WireListMeta, list[W | Malformed]]:
        """Decode a page. Raises msgspec.DecodeError when it is no list at all."""
        try:
            page = self._page.decode(body)
            return page.metadata, list(page.items or ())
        except msgspec.ValidationError:
            raw = _RAW_PAGE.decode(body)
            return raw.metadata, [self._read_alone(item) for item in raw.items or ()]

    def read_event(self, line: bytes) -> WireEvent[W] | WireEvent[WireStatus] | WireEvent[W | Malformed]:
        """Decode one line of a watch. Raises msgspec.DecodeError when it is no event at all."""
        try:
            event = self._event.decode(line)
        except msgspec.ValidationError:
            raw = _RAW_EVENT.decode(line)
            if raw.type == "ERROR":
                return WireEvent(raw.type, _STATUS.decode(raw.object))
            return WireEvent(raw.type, self._read_alone(raw.object))
        if event.type == "ERROR":  # a Status passes for an object of a kind that requires no field
            return WireEvent(event.type, _STATUS.decode(_RAW_EVENT.decode(line).object))
        return event

    def _read_alone(self, body: msgspec.Raw) -> W | Malformed:
        try:
            return decode_object(body, self._object)
        except msgspec.ValidationError as error:
            return Malformed(read_identity(body), str(error))


def read_continue(body: bytes) -> str | None:
    """Return the continue token of a page, cheaply where it stands before the items, as API servers write it.

    Raises msgspec.DecodeError when the body is no page.
    """
    head, items, _ = body[:_HEAD_BYTES].partition(b'"items"')
    if items and b'"metadata"' in head:
        found = _CONTINUE.search(head)
        return found[1].decode() if found else None
    return _HEAD.decode(body).metadata.continue_


class Malformed(msgspec.Struct, frozen=True):
    """An object that could not be decoded, with as much of its identity as could."""

    metadata: WireMeta
    fault: str


class _Identity(msgspec.Struct, rename="camel"):
    name: Any = None
    namespace: Any = None
    uid: Any = None
    resource_version: Any = None


class _Identified(msgspec.Struct, rename="camel"):
    metadata: _Identity | None = None


def read_identity(body: bytes | msgspec.Raw) -> WireMeta:
    """Read who an object is, whatever else is wrong with it; empty where even that is."""
    try:
        identity = _IDENTIFIED.decode(body).metadata or _Identity()
    except msgspec.DecodeError:
        return WireMeta()
    return WireMeta(
        name=_text(identity.name),
        namespace=_text(identity.namespace),
        uid=_text(identity.uid),
        resource_version=_text(identity.resource_version),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_HEAD_BYTES = 8192
_CONTINUE = re.compile(rb'"continue"\s*:\s*"([^"\\]+)"')
_HEAD = msgspec.json.Decoder(WirePageHead)
_RAW_PAGE = msgspec.json.Decoder(WirePage[msgspec.Raw])
_RAW_EVENT = msgspec.json.Decoder(WireEvent[msgspec.Raw])
_STATUS = msgspec.json.Decoder(WireStatus)
_IDENTIFIED = msgspec.json.Decoder(_Identified)
