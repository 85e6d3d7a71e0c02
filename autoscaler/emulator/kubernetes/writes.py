"""Creation, replacement, patches and deletion, with the rules each kind has.

A dry run goes the same way and stores nothing. Deleting a bound pod only marks
it: its kubelet finishes it. Orphaning and cascading follow DeleteOptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import yaml
from aiohttp import web

from . import protobuf, representations
from .admission import admit
from .objects import Json, is_finished, section, text, uid, whole
from .patch import apply_patch
from .resources import KINDS, NAMESPACES, PODS, Kind
from .selectors import parse
from .status import ApiError, bad_request, success
from .store import Key, Store, Stored

_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a collection (no name), an object, or a part of one."""

    kind: Kind
    namespace: str
    name: str
    subresource: str = ""

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    @property
    def within(self) -> str | None:
        """The namespace to look in; None is all."""
        return self.namespace or None


@dataclass(frozen=True, slots=True)
class Body:
    """What came with a request."""

    value: Any
    content_type: str
    query: dict[str, str]
    accept: str

    @property
    def dry_run(self) -> bool:
        asked = self.value.get("dryRun") if isinstance(self.value, dict) else None
        return "dryRun" in self.query or bool(asked)


class Writes:
    """Changes to whole objects. Raises ApiError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, request: web.Request) -> Body:
        """Decode the body of a request. Raises ApiError 400 or 415."""
        raw = await request.read()
        content_type = request.headers.get("Content-Type", "application/json")
        if "cbor" in content_type:
            raise ApiError(415, "UnsupportedMediaType", f"the body is {content_type}, which is not read here")
        try:
            value = _decode(raw, content_type)
        except (msgspec.MsgspecError, yaml.YAMLError, UnicodeDecodeError) as fault:
            raise bad_request(f"the body cannot be decoded: {fault}") from fault
        query = dict(parse_qsl(request.query_string, keep_blank_values=True))
        return Body(value, content_type, query, request.headers.get("Accept", ""))

    def answer(self, method: str, target: Target, body: Body) -> tuple[int, bytes]:
        """Do what a method asks of an object or a collection; the HTTP status and the answer."""
        if method == "POST" and not target.name:
            return 201, self.show(target.kind, self.create(target, body), body)
        if method == "DELETE" and not target.name:
            return 200, self._delete_collection(target, body)
        if not target.name:
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if method == "PUT":
            return 200, self.show(target.kind, self.replace(target, body), body)
        if method == "PATCH":
            code, stored = self.patch(target, body)
            return code, self.show(target.kind, stored, body)
        if method == "DELETE":
            return 200, self._delete(target, body)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def show(self, kind: Kind, stored: Stored, body: Body) -> bytes:
        form = representations.chosen_form(body.accept)
        return representations.one(kind, stored, form, body.query.get("includeObject", ""))

    def create(self, target: Target, body: Body) -> Stored:
        """A new object, after admission."""
        kind = target.kind
        value = representations.from_wire(kind, self._typed(kind, body.value))
        meta = value["metadata"] = section(value, "metadata")
        if kind.namespaced:
            if meta.get("namespace") not in (None, "", target.namespace):
                raise bad_request("the namespace of the object does not match the namespace of the request")
            meta["namespace"] = target.namespace
        else:
            meta.pop("namespace", None)
        admit(self._store, kind, value)
        if body.dry_run:
            return Stored(target.key, value, 0)
        return self._store.create(kind, value)

    def _typed(self, kind: Kind, value: Any) -> Json:
        if not isinstance(value, dict):
            raise bad_request("the body is no object")
        if value.get("kind", kind.kind) != kind.kind or value.get("apiVersion", kind.api_version) != kind.api_version:
            message = f"{value.get('apiVersion')} {value.get('kind')} does not match {kind.api_version} {kind.kind}"
            raise bad_request(message)
        return value

    def replace(self, target: Target, body: Body, part: str = "") -> Stored:
        """PUT: refused with 409 when the object has a newer version than the body says."""
        kind, key = target.kind, target.key
        value = representations.from_wire(kind, self._typed(kind, body.value))
        value["metadata"] = section(value, "metadata")
        if text(value, "metadata", "name") != target.name:
            raise bad_request("the name of the object does not match the name on the URL")
        if kind.namespaced:
            value["metadata"]["namespace"] = target.namespace
        wanted_uid = uid(value)
        before = self._store.get(kind, *key)
        if wanted_uid and wanted_uid != uid(before.value):
            raise ApiError(409, "Conflict", f"Precondition failed: UID in precondition: {wanted_uid}")
        version = text(value, "metadata", "resourceVersion")
        return self.put(target, before, value, version=version, part=part, dry_run=body.dry_run)

    def put(
        self, target: Target, before: Stored, value: Json, *, version: str = "", part: str = "", dry_run: bool = False
    ) -> Stored:
        """Store a new value, of which only the status or all but the status counts."""
        kind = target.kind
        if kind.has_status:
            kept = before.copy()
            if part == "status":
                meta = section(value, "metadata")
                value = kept | ({"status": value["status"]} if "status" in value else {})
                conditions = {name: meta[name] for name in ("annotations", "labels") if name in meta}
                value["metadata"] = section(value, "metadata") | conditions
            elif "status" in kept:
                value["status"] = kept["status"]
            else:
                value.pop("status", None)
        if dry_run:
            return Stored(target.key, value, before.version)
        return self._store.update(kind, target.key, value, version=version)

    def patch(self, target: Target, body: Body, part: str = "") -> tuple[int, Stored]:
        """PATCH of the present version; one that names a version is refused when it is not that one."""
        kind = target.kind
        applies = body.content_type.startswith("application/apply-patch")
        before = self._store.find(kind, *target.key)
        if before is None and applies and not part:
            return 201, self.create(target, body)
        before = self._store.get(kind, *target.key)
        value = apply_patch(body.content_type, before.copy(), body.value)
        named = section(body.value, "metadata") if isinstance(body.value, dict) else {}
        version = str(named.get("resourceVersion") or "")
        value["metadata"] = section(value, "metadata")
        for name in ("name", "namespace"):
            if section(before.value, "metadata").get(name):
                value["metadata"][name] = section(before.value, "metadata")[name]
        return 200, self.put(target, before, value, version=version, part=part, dry_run=body.dry_run)

    def _delete(self, target: Target, body: Body) -> bytes:
        kind = target.kind
        options = body.value if isinstance(body.value, dict) else {}
        if "gracePeriodSeconds" in body.query:
            options = options | {"gracePeriodSeconds": int(body.query["gracePeriodSeconds"])}
        before = self._store.get(kind, *target.key)
        if body.dry_run:
            return self.show(kind, before, body)
        if options.get("propagationPolicy", body.query.get("propagationPolicy")) == "Orphan":
            self._orphan(uid(before.value))
        gone = self.remove(kind, before, options)
        if kind == PODS or self._store.find(kind, *target.key) is not None:
            return self.show(kind, gone, body)
        return _ENCODE(success(details={"name": target.name, "kind": kind.plural, "uid": uid(before.value)}))

    def remove(self, kind: Kind, before: Stored, options: Json) -> Stored:
        """Delete with the grace period that the kind and the options give."""
        if kind == NAMESPACES:
            self._store.change(kind, before.key, lambda value: value.update(status={"phase": "Terminating"}))
            return self._store.delete(kind, before.key, preconditions=section(options, "preconditions"))
        grace = pod_grace(before.value, options.get("gracePeriodSeconds")) if kind == PODS else 0
        return self._store.delete(kind, before.key, grace=grace, preconditions=section(options, "preconditions"))

    def _orphan(self, owner: str) -> None:
        def forget(value: Json) -> None:
            owners = section(value, "metadata").get("ownerReferences") or []
            value["metadata"]["ownerReferences"] = [row for row in owners if row.get("uid") != owner]

        for kind in KINDS:
            for stored in self._store.items(kind):
                owners = section(stored.value, "metadata").get("ownerReferences")
                if owners and any(row.get("uid") == owner for row in owners):
                    self._store.change(kind, stored.key, forget)

    def _delete_collection(self, target: Target, body: Body) -> bytes:
        matches = parse(target.kind, body.query.get("labelSelector", ""), body.query.get("fieldSelector", ""))
        options = body.value if isinstance(body.value, dict) else {}
        found = [one for one in self._store.items(target.kind, target.within) if matches(one.value)]
        if not body.dry_run:
            for stored in found:
                self.remove(target.kind, stored, options)
        meta = {"resourceVersion": str(self._store.version)}
        return representations.many(target.kind, found, meta, representations.Form.WHOLE)


def _decode(raw: bytes, content_type: str) -> Any:
    if not raw:
        return {}
    if "protobuf" in content_type:
        return protobuf.decode(raw)
    return yaml.safe_load(raw) if "yaml" in content_type else msgspec.json.decode(raw)


def pod_grace(pod: Json, asked: object) -> int:
    """Seconds a pod may take to end; none when no kubelet has it or it has finished."""
    if not text(pod, "spec", "nodeName") or is_finished(pod):
        return 0
    return asked if isinstance(asked, int) else whole(pod, "spec", "terminationGracePeriodSeconds", default=30)
