"""Who is where, and whose: pods by node, and every object by its owners, kept with each write."""

from __future__ import annotations

from .objects import rows, text
from .resources import PODS, Kind
from .store import Event, Key, Store, Stored


class Indexes:
    """Kept up to date by the store's events; answers without a scan."""

    def __init__(self, store: Store) -> None:
        self._by_node: dict[str, dict[Key, Stored]] = {}
        self._by_owner: dict[str, dict[tuple[str, Key], tuple[Kind, Stored]]] = {}
        store.subscribe(self._note)

    def on_node(self, name: str) -> list[Stored]:
        """Pods bound to a node."""
        return list(self._by_node.get(name, {}).values())

    def owned_by(self, owner: str, kind: Kind | None = None) -> list[tuple[Kind, Stored]]:
        """Objects that name the uid among their owners."""
        found = self._by_owner.get(owner, {}).values()
        return [pair for pair in found if kind is None or pair[0].storage == kind.storage]

    def _note(self, event: Event) -> None:
        if event.old is not None:
            self._forget(event.kind, event.old)
        if event.verb != "DELETED":
            self._learn(event.kind, event.new)

    def _learn(self, kind: Kind, stored: Stored) -> None:
        if kind is PODS and (node := text(stored.value, "spec", "nodeName")):
            self._by_node.setdefault(node, {})[stored.key] = stored
        for owner in rows(stored.value, "metadata", "ownerReferences"):
            self._by_owner.setdefault(str(owner.get("uid")), {})[kind.storage, stored.key] = (kind, stored)

    def _forget(self, kind: Kind, stored: Stored) -> None:
        if kind is PODS and (node := text(stored.value, "spec", "nodeName")):
            held = self._by_node.get(node, {})
            held.pop(stored.key, None)
            if not held:
                self._by_node.pop(node, None)
        for owner in rows(stored.value, "metadata", "ownerReferences"):
            name = str(owner.get("uid"))
            owned = self._by_owner.get(name, {})
            owned.pop((kind.storage, stored.key), None)
            if not owned:
                self._by_owner.pop(name, None)
