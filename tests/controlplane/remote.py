"""A real API server behind the face of the emulator's store, so that what plays on the one plays on the other.

Pods, nodes and budgets are mirrored by watches: who reads them by key, or
subscribes, sees what an informer would see. All else is asked for at that
moment. Namespaces that callers name are all one here, ours, and whatever is
made lies in it or carries its label, and runs on our nodes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from autoscaler.emulator.kubernetes.objects import Json
from autoscaler.emulator.kubernetes.resources import BUDGETS, EVENTS, NODES, PODS, Kind, named
from autoscaler.emulator.kubernetes.status import ApiError
from autoscaler.emulator.kubernetes.store import Key, Store, Stored
from tests.controlplane.client import Client, Refused
from tests.controlplane.cluster import NAMESPACE, OURS

MIRRORED = (PODS, NODES, BUDGETS)
EVENTS_OF_NODES = "/api/v1/namespaces/default/events"  # of what lies in no namespace
OF_A_RACE = (404, 409)  # what an emulated kubelet expects: the object is gone, or it has changed


class RemoteStore(Store):
    """The objects of a cluster that somebody else keeps."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._nodes: set[str] = set()  # all that were ever made here

    def learn(self, kind: Kind, verb: str, value: Json) -> None:
        """Take what a watch tells into the mirror, under the version that it has there."""
        meta = value["metadata"]
        self.version = int(meta["resourceVersion"]) - 1
        self._commit(kind, verb, (meta.get("namespace", ""), meta["name"]), value)

    def find(self, kind: Kind, namespace: str, name: str) -> Stored | None:
        key = _key(kind, (namespace, name))
        known = super().find(kind, *key) if kind in MIRRORED else None
        return known or self._read(kind, key)

    def values(self, plural: str, namespace: str | None = None) -> list[Json]:
        """The objects as they are now, not as the mirror has them; of nodes only ours, and the events about these."""
        kind = named(plural)
        found = self._client.items(collection(kind), **selection(kind))
        if kind is EVENTS and namespace is None:
            about = self._client.items(EVENTS_OF_NODES, fieldSelector="involvedObject.kind=Node")
            found += [event for event in about if event["involvedObject"]["name"] in self._nodes]
        return found

    def create(self, kind: Kind, value: Json) -> Stored:
        made = self._ask("POST", collection(kind), adopted(kind, value))
        if kind is NODES:
            self._nodes.add(made.key[1])
        return made

    def forget_nodes(self) -> None:
        """Delete the events about nodes that were made here: no sweep of our namespace finds them."""
        for name in self._nodes:
            self._client.delete(EVENTS_OF_NODES, fieldSelector=f"involvedObject.kind=Node,involvedObject.name={name}")

    def change(self, kind: Kind, key: Key, mutate: Callable[[Json], None]) -> Stored | None:
        """Change an object as often as it takes; nothing when it is gone."""
        key = _key(kind, key)
        before = Store.find(self, kind, *key) or self._read(kind, key)
        while before is not None:
            value = before.copy()
            mutate(value)
            try:
                return self._write(kind, before, adopted(kind, value))
            except ApiError as error:
                if error.code not in OF_A_RACE:
                    raise
            before = self._read(kind, key)
        return None

    def delete(self, kind: Kind, key: Key, *, grace: int = 0, preconditions: Json | None = None) -> Stored:
        assert not preconditions
        before = self.get(kind, *key)
        self._client.delete(path(kind, before.key), gracePeriodSeconds=str(grace))
        return before

    def put_raw(self, kind: Kind, value: Json, key: Key) -> Stored:
        """Create or replace an object."""
        if self._read(kind, _key(kind, key)) is None:
            return self.create(kind, value)
        return self._ask("PUT", path(kind, _key(kind, key)), adopted(kind, value))

    def _read(self, kind: Kind, key: Key) -> Stored | None:
        try:
            return self._ask("GET", path(kind, key))
        except ApiError as error:
            if error.code != 404:
                raise
        return None

    def _write(self, kind: Kind, before: Stored, value: Json) -> Stored:
        """Write what differs, the status by its own door and first: whoever sees the rest may rely on it."""
        done = before
        rest = any(value.get(name) != before.value.get(name) for name in value.keys() - {"status"})
        if kind.has_status and value.get("status") != before.value.get("status"):
            done = self._ask("PUT", f"{path(kind, before.key)}/status", value)
            value["metadata"]["resourceVersion"] = str(done.version)
        if rest:
            done = self._ask("PUT", path(kind, before.key), value)
        return done

    def _ask(self, method: str, where: str, body: Json | None = None) -> Stored:
        try:
            value = self._client.call(method, where, body)
        except Refused as error:
            if error.status not in OF_A_RACE:
                raise
            raise ApiError(error.status, error.reason, str(error)) from error
        meta = value["metadata"]
        return Stored((meta.get("namespace", ""), meta["name"]), value, int(meta["resourceVersion"]))


def collection(kind: Kind) -> str:
    """Where the objects of a kind are, those in namespaces in ours."""
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    return f"{root}/namespaces/{NAMESPACE}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


def path(kind: Kind, key: Key) -> str:
    return f"{collection(kind)}/{key[1]}"


def selection(kind: Kind) -> dict[str, str]:
    """What tells ours from those of others, where a namespace does not."""
    return {"labelSelector": OURS} if kind is NODES else {}


def adopted(kind: Kind, value: Json) -> Json:
    """The object as one of ours: in our namespace or with our label, and its pods on our nodes."""
    value = deepcopy(value)
    meta = value["metadata"]
    if kind.namespaced:
        meta["namespace"] = NAMESPACE
    elif kind is NODES:
        meta.setdefault("labels", {})[OURS] = "true"
    if "template" in value.get("spec", {}):
        value["spec"]["template"]["spec"].setdefault("nodeSelector", {})[OURS] = "true"
    return value


def _key(kind: Kind, key: Key) -> Key:
    return (NAMESPACE if kind.namespaced else "", key[1])
