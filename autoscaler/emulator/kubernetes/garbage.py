"""What follows a deletion or a cordon: owned objects go, a namespace empties, a node's pods go, taints follow.

Objects whose owner never existed are kept (a real cluster would collect them):
tests load pods without their ReplicaSets.
"""

from __future__ import annotations

from .indexes import Indexes
from .objects import Json, rows, section, uid
from .resources import KINDS, NAMESPACES, NODES, PODS, Kind
from .store import Event, Key, Store
from .timers import Reconciler
from .writes import pod_grace

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


class Garbage:
    """Cleans up after deletions, and keeps the cordon's taint."""

    def __init__(self, store: Store, indexes: Indexes) -> None:
        self._store = store
        self._indexes = indexes
        self.reconciler: Reconciler[tuple[Kind, Key, str]] = Reconciler(self._reconcile)
        store.subscribe(self._note)

    def _note(self, event: Event) -> None:
        if event.verb == "DELETED":
            gone = uid(event.new.value)
            if event.kind in (NAMESPACES, NODES) or self._indexes.owned_by(gone):
                self.reconciler.mark((event.kind, event.new.key, gone))
        elif event.kind is NODES:
            cordoned = section(event.new.value, "spec").get("unschedulable") is True
            tainted = any(taint.get("key") == UNSCHEDULABLE for taint in rows(event.new.value, "spec", "taints"))
            if cordoned != tainted:
                self.reconciler.mark((NODES, event.new.key, ""))

    def _reconcile(self, mark: tuple[Kind, Key, str]) -> None:
        kind, key, gone = mark
        if not gone:
            self._store.change(NODES, key, _taint_cordon)
            return
        for owned_kind, stored in self._indexes.owned_by(gone):
            self._remove(owned_kind, stored.key)
        if kind is NODES and self._store.find(NODES, "", key[1]) is None:
            for stored in self._indexes.on_node(key[1]):
                if self._store.find(PODS, *stored.key) is not None:
                    self._store.delete(PODS, stored.key)
        if kind is NAMESPACES:
            for inner in KINDS:
                for stored in self._store.items(inner, key[1]) if inner.namespaced else ():
                    self._remove(inner, stored.key)

    def _remove(self, kind: Kind, key: Key) -> None:
        stored = self._store.find(kind, *key)
        if stored is not None:
            grace = pod_grace(stored.value, None) if kind is PODS else 0
            self._store.delete(kind, key, grace=grace)


def _taint_cordon(node: Json) -> None:
    spec = node.setdefault("spec", {})
    kept = [taint for taint in rows(spec, "taints") if taint.get("key") != UNSCHEDULABLE]
    if spec.get("unschedulable") is True:
        kept.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
    spec["taints"] = kept
    if not kept:
        del spec["taints"]
