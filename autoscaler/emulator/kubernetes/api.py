"""The HTTP face: paths to kinds, reads, and the dispatch of writes; refusals become Status bodies.

Lists are pages of one snapshot: a continue token names it, and is answered 410
once history was forgotten or too many newer snapshots were taken.
"""

from __future__ import annotations

import base64
import binascii
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

import msgspec
from aiohttp import web
from anyio import to_thread

from . import discovery
from .faults import Faults
from .objects import MALFORMED, Json
from .representations import chosen_form, many, one
from .resources import BY_PATH, Kind
from .selectors import parse
from .status import ApiError, expired, not_found
from .store import Store, Stored
from .subresources import Subresources
from .watch import Ask, Watches
from .writes import Target, Writes

_SNAPSHOTS = 200
_GZIP_FROM = 128 * 1024
_OPENAPI = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ENDLESS = 10 * 365 * 86_400.0

Special = Callable[[web.Request, Target], Awaitable[web.StreamResponse | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Who may come in, and how answers leave."""

    token: str = ""
    gzip: bool = True


class Api:
    """Answers every request that is not for the emulator's own controls."""

    def __init__(self, store: Store, faults: Faults, watches: Watches, doors: Doors) -> None:
        self.store = store
        self.writes = Writes(store)
        self.special: Special | None = None  # answers first; None passes on
        self._subresources = Subresources(store, self.writes)
        self._faults = faults
        self._watches = watches
        self._doors = doors
        self._snapshots: OrderedDict[int, tuple[int, list[Stored]]] = OrderedDict()
        self._numbers = count(1)

    def forget_history(self) -> None:
        self.store.forget_history()
        self._snapshots.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request; whatever goes wrong is a Status."""
        self._faults.record(request.method, request.path_qs)
        try:
            loses = await self._faults.strike(request)
            self._authenticate(request)
            answer = await self._answer(request)
            if loses and request.transport is not None:
                request.transport.abort()
            return answer
        except ApiError as refusal:
            return _refused(refusal)
        except MALFORMED as fault:
            return _refused(ApiError(500, "InternalError", f"{type(fault).__name__}: {fault}"))

    def _authenticate(self, request: web.Request) -> None:
        wanted = self._doors.token
        if wanted and request.headers.get("Authorization") != f"Bearer {wanted}":
            raise ApiError(401, "Unauthorized", "Unauthorized")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        if path == "/openapi/v2" and "protobuf" in request.headers.get("Accept", ""):
            return web.Response(body=b"", content_type=_OPENAPI)  # no schemas: clients skip validation
        target = resolve(path)
        if target is None:
            return await self._json(request, msgspec.json.encode(discovery.answer(path)))
        if self.special is not None:
            answered = await self.special(request, target)
            if answered is not None:
                return answered
        if target.subresource:
            code, answer = self._subresources.answer(request.method, target, await self.writes.read(request))
            return await self._json(request, answer, code)
        if request.method == "GET":
            if not target.name or request.query.get("watch") in ("true", "1"):
                return await self._list_or_watch(request, target)
            stored = self.store.get(target.kind, *target.key)
            accept = chosen_form(request.headers.get("Accept", ""))
            return await self._json(request, one(target.kind, stored, accept, request.query.get("includeObject", "")))
        code, answer = self.writes.answer(request.method, target, await self.writes.read(request))
        return await self._json(request, answer, code)

    async def _list_or_watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        selector = query.get("fieldSelector", "")
        if target.name:
            selector = f"metadata.name={target.name}"
        matches = parse(target.kind, query.get("labelSelector", ""), selector)
        form, include = chosen_form(request.headers.get("Accept", "")), query.get("includeObject", "")
        if query.get("watch") not in ("true", "1"):
            if query.get("continue"):
                version, found, start = self._continued(query["continue"])
            else:
                version, start = self.store.version, 0
                found = sorted(
                    (one for one in self.store.items(target.kind, target.within) if matches(one.value)),
                    key=lambda stored: stored.key,
                )
            items, meta = self._page(found, version, start, int(query.get("limit") or 0))
            return await self._json(request, many(target.kind, items, meta, form, include))
        ask = Ask(
            kind=target.kind, namespace=target.within, matches=matches, form=form, include=include,
            version=query.get("resourceVersion", ""), bookmarks=query.get("allowWatchBookmarks") in ("true", "1"),
            initial=query.get("sendInitialEvents") in ("true", "1"),
            timeout=float(query.get("timeoutSeconds") or 0) or _ENDLESS,
        )  # fmt: skip
        return await self._watches.serve(request, ask)

    def _page(self, found: list[Stored], version: int, start: int, limit: int) -> tuple[list[Stored], Json]:
        meta: Json = {"resourceVersion": str(version)}
        end = start + limit
        if not limit or end >= len(found):
            return found[start:], meta
        number = next(self._numbers)
        self._snapshots[number] = (version, found)
        if len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        meta |= {"continue": encode_token([number, end]), "remainingItemCount": len(found) - end}
        return found[start:end], meta

    def _continued(self, token: str) -> tuple[int, list[Stored], int]:
        number, start = decode_token(token)
        if number not in self._snapshots:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        version, found = self._snapshots[number]
        return version, found, start

    async def _json(self, request: web.Request, body: bytes, code: int = 200) -> web.Response:
        return await compressed(request, body, code, enabled=self._doors.gzip)


async def compressed(request: web.Request, body: bytes, code: int = 200, *, enabled: bool = True) -> web.Response:
    """A JSON answer; a large one is compressed when the client can read that, as the API server does."""
    headers = {"Content-Type": "application/json"}
    if enabled and len(body) >= _GZIP_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = await to_thread.run_sync(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
    return web.Response(status=code, body=body, headers=headers)


def _refused(refusal: ApiError) -> web.Response:
    body = msgspec.json.encode(refusal.body())
    return web.Response(status=refusal.code, body=body, content_type="application/json", headers=refusal.headers())


def encode_token(parts: list[int]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode()


def decode_token(token: str) -> tuple[int, int]:
    """What a continue token says. Raises ApiError 400."""
    try:
        number, start = msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[int, int])
    except (binascii.Error, msgspec.MsgspecError) as fault:
        raise ApiError(400, "BadRequest", f"continue key is not valid: {fault}") from fault
    return number, start


def resolve(path: str) -> Target | None:
    """The object or collection a path names; None for discovery and unknown roots. Raises ApiError 404."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["api", "v1"]:
        group, version, rest = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if not rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = _kind(group, version, rest[0])
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise not_found(rest[0], "/".join(rest[1:]))
    rest += [""] * (3 - len(rest))
    return Target(kind, namespace, rest[1], rest[2])


def _kind(group: str, version: str, plural: str) -> Kind | None:
    return BY_PATH.get((group, version, plural))
