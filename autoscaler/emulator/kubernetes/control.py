"""The emulator's own controls under /emu: faults, the request log, instances, raw objects.

| route | does |
|---|---|
| POST, GET, DELETE /emu/faults | adds a rule (see Faults.add), lists, clears all |
| GET, DELETE /emu/requests?path=REGEX&method= | requests seen: method, path, time, at (epoch seconds) |
| POST /emu/cut {"path": REGEX} | cuts open watches in the middle of a line |
| POST /emu/compact | forgets history: older watches and continue tokens are answered 410 |
| POST /emu/raw {"resource", "namespace", "name", "object"} | stores any JSON as it is |
| POST /emu/load [objects] | takes many objects as they stand |
| GET, POST /emu/instances, DELETE /emu/instances/ID | launches or terminates a hollow kubelet |
| POST /emu/nodes/NAME {"ready": bool} | makes a node Ready or NotReady |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from .api import Api
from .faults import Faults
from .kubelet import Instance, Kubelet
from .objects import Json, text
from .resources import named
from .status import ApiError, bad_request, not_found
from .store import Store
from .watch import Watches

Act = Callable[[Any, dict[str, str], str], Any]


class Control:
    """Answers /emu requests."""

    def __init__(self, store: Store, api: Api, faults: Faults, watches: Watches, kubelet: Kubelet) -> None:
        self._store = store
        self._api = api
        self._faults = faults
        self._watches = watches
        self._kubelet = kubelet
        self.acts: dict[tuple[str, str], Act] = {
            ("GET", "faults"): lambda *_: [rule.number for rule in faults.rules],
            ("POST", "faults"): lambda body, *_: {"number": faults.add(body)},
            ("DELETE", "faults"): lambda *_: faults.clear(),
            ("GET", "requests"): lambda _, query, __: faults.seen(query.get("path", ""), query.get("method", "")),
            ("DELETE", "requests"): lambda *_: faults.requests.clear(),
            ("POST", "cut"): self._cut,
            ("POST", "compact"): lambda *_: api.forget_history(),
            ("POST", "raw"): self._raw,
            ("POST", "load"): lambda body, *_: {"loaded": store.load(body)},
            ("GET", "instances"): lambda *_: kubelet.status(),
            ("POST", "instances"): lambda body, *_: kubelet.launch(Instance.from_json(body)),
            ("DELETE", "instances"): lambda _, __, name: kubelet.terminate(name),
            ("POST", "nodes"): lambda body, _, name: kubelet.set_ready(name, body.get("ready") is True),
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One act; 200 with its answer as JSON."""
        verb, _, name = request.match_info["rest"].partition("/")
        try:
            act = self.acts.get((request.method, verb))
            if act is None:
                raise not_found("emu", verb)
            raw = await request.read()
            try:
                body = msgspec.json.decode(raw) if raw else {}
                answer = act(body, dict(request.query), name)
            except (msgspec.MsgspecError, KeyError, TypeError, re.error) as fault:
                raise bad_request(f"{type(fault).__name__}: {fault}") from fault
        except ApiError as refusal:
            return web.Response(status=refusal.code, body=msgspec.json.encode(refusal.body()))
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def _cut(self, body: Json, _query: dict[str, str], _name: str) -> Json:
        wanted = re.compile(text(body, "path"))
        streams = [stream for stream in self._watches.streams if wanted.search(stream.path)]
        for stream in streams:
            self._watches.cut(stream)
        return {"cut": len(streams)}

    def _raw(self, body: Json, _query: dict[str, str], _name: str) -> Json:
        kind = named(body["resource"])
        key = (text(body, "namespace") if kind.namespaced else "", text(body, "name"))
        return {"version": self._store.put_raw(kind, body["object"], key).version}
