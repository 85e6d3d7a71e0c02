"""Events about objects, as the control plane's own parts write them: one object per cause, counted up."""

from __future__ import annotations

import hashlib

from .objects import Json, text, uid
from .resources import EVENTS, Kind
from .store import Key, Store, timestamp


def record(store: Store, kind: Kind, key: Key, reason: str, message: str, *, warns: bool = False) -> None:
    """Write an event about an object; the same again only raises its count. Nothing when the object is gone."""
    about = store.find(kind, *key)
    if about is None:
        return
    mark = hashlib.sha256(f"{uid(about.value)} {reason} {message}".encode()).hexdigest()[:16]
    event_key = (key[0] or "default", f"{key[1]}.{mark}")
    now = timestamp()

    def again(event: Json) -> None:
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = now

    if store.find(EVENTS, *event_key) is not None:
        store.change(EVENTS, event_key, again)
        return
    source = "default-scheduler" if reason in ("Scheduled", "FailedScheduling") else "emulator"
    store.create(EVENTS, {
        "metadata": {"namespace": event_key[0], "name": event_key[1]},
        "involvedObject": {
            "kind": kind.kind, "apiVersion": kind.api_version, "namespace": key[0], "name": key[1],
            "uid": text(about.value, "metadata", "uid"), "resourceVersion": str(about.version),
        },
        "reason": reason, "message": message, "type": "Warning" if warns else "Normal", "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": source},
        "reportingComponent": source, "reportingInstance": "",
    })  # fmt: skip
