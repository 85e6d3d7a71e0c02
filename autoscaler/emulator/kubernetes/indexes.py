"""Who is where, and whose: pods by node, and every object by its owners, kept with each write."""

from __future__ import annotations

from dataclasses import dataclass, field

from .objects import controller_of, is_active, is_ready, rows, text
from .resources import PODS, Kind
from .store import Event, Key, Store, Stored


@dataclass(slots=True)
class Crew:
    """The pods of one controller that count: neither finished nor terminating."""

    active: dict[Key, Stored] = field(default_factory=dict)
    ready: int = 0


class Indexes:
    """Kept up to date by the store's events; answers without a scan."""

    def __init__(self, store: Store) -> None:
        self._by_node: dict[str, dict[Key, Stored]] = {}
        self._by_owner: dict[str, dict[tuple[str, Key], tuple[Kind, Stored]]] = {}
        self._crews: dict[str, Crew] = {}
        store.subscribe(self._note)

    def crew(self, controller: str) -> Crew:
        """The active pods of a controller, by its uid."""
        return self._crews.get(controller, _NOBODY)

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
        if kind is PODS:
            if node := text(stored.value, "spec", "nodeName"):
                self._by_node.setdefault(node, {})[stored.key] = stored
            if (boss := controller_of(stored.value)) and is_active(stored.value):
                crew = self._crews.setdefault(str(boss.get("uid")), Crew())
                crew.active[stored.key] = stored
                crew.ready += is_ready(stored.value)
        for owner in rows(stored.value, "metadata", "ownerReferences"):
            self._by_owner.setdefault(str(owner.get("uid")), {})[kind.storage, stored.key] = (kind, stored)

    def _forget(self, kind: Kind, stored: Stored) -> None:
        if kind is PODS:
            held = self._by_node.get(text(stored.value, "spec", "nodeName"), {})
            held.pop(stored.key, None)
            if (boss := controller_of(stored.value)) and is_active(stored.value):
                crew = self._crews[str(boss.get("uid"))]
                del crew.active[stored.key]
                crew.ready -= is_ready(stored.value)
        for owner in rows(stored.value, "metadata", "ownerReferences"):
            name = str(owner.get("uid"))
            owned = self._by_owner.get(name, {})
            owned.pop((kind.storage, stored.key), None)
            if not owned:
                self._by_owner.pop(name, None)


_NOBODY = Crew()
