"""The scheduler: binds pending pods by priority, then age, and marks the others Unschedulable at once.

It is incremental: a write touches one node's sums or one pod's place in the
queue; pods that found no room wait by shape, and only nodes that changed are
tried for them again. No preemption. It knows what `fit` knows.
"""

from __future__ import annotations

import heapq
from collections import Counter
from contextlib import suppress
from itertools import count, islice

from .fit import Needs, NodeState, needs_of, shape_of
from .objects import MALFORMED, Json, condition, is_finished, is_terminating, rows, section, set_condition, text, whole
from .recorder import record
from .resources import NODES, PODS
from .status import ApiError
from .store import Event, Key, Store, timestamp
from .subresources import bind
from .timers import Alarm, Turn

NAME = "default-scheduler"
_ENOUGH = 100  # feasible nodes to choose among
_MANY_SHAPES = 50_000
_REMEMBERED = 20_000  # epochs


class Scheduler:
    """Follows the store's events; `run` does the work."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._nodes: dict[str, NodeState] = {}
        self._shapes: dict[bytes, Needs] = {}
        self._placed: dict[Key, tuple[str, Needs]] = {}
        self._queue: list[tuple[int, int, Key]] = []  # -priority, arrival
        self._pending: dict[Key, tuple[int, int, Needs]] = {}
        self._waiting: dict[Needs, dict[Key, None]] = {}
        self._changed: dict[str, None] = {}  # nodes with more room than before
        self._epoch = 0  # grows when a node may take more than before
        self._freed_nodes: list[NodeState] = []  # the nodes of the last epochs, one each
        self._order: list[NodeState] = []
        self._arrivals = count()
        self._alarm = Alarm()
        store.subscribe(self._note)

    async def run(self) -> None:
        """Place pods as they come, for ever."""
        while True:
            await self._alarm.wait()
            turn = Turn()
            while self._changed or self._queue:
                if self._changed:
                    self._retry()
                    continue
                with suppress(*MALFORMED):  # an odd pod is left alone
                    self._place_next()
                await turn.yield_if_due()

    def _note(self, event: Event) -> None:
        if event.kind is NODES:
            self._note_node(event)
        elif event.kind is PODS:
            self._note_pod(event)

    def _note_node(self, event: Event) -> None:
        name = event.new.key[1]
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = NodeState(name)
        if event.verb == "DELETED":
            node.exists = False
            self._order = [state for state in self._order if state is not node]
            return
        if not node.exists:
            self._order.append(node)
        elif event.old is not None and not _differs(event.old.value, event.new.value):
            return
        node.read(event.new.value, event.version)
        self._freed(name)

    def _freed(self, name: str) -> None:
        self._changed[name] = None
        self._epoch += 1
        self._freed_nodes.append(self._nodes[name])
        if len(self._freed_nodes) > _REMEMBERED:
            del self._freed_nodes[: _REMEMBERED // 2]
        self._alarm.ring()

    def _note_pod(self, event: Event) -> None:
        key, pod = event.new.key, event.new.value
        spec = section(pod, "spec")
        node = text(spec, "nodeName")
        if event.verb == "DELETED" or is_finished(pod):
            self._release(key)
            self._withdraw(key)
        elif node:
            self._withdraw(key)
            if key not in self._placed:
                self._assign(key, node, spec)
        elif _is_ours(pod):
            if key not in self._pending:
                self._enqueue(key, spec)
        else:
            self._withdraw(key)

    def _needs(self, spec: Json) -> Needs | None:
        try:
            shape = shape_of(spec)
            known = self._shapes.get(shape)
            if known is None:
                if len(self._shapes) > _MANY_SHAPES:
                    self._shapes.clear()
                known = self._shapes[shape] = needs_of(spec)
        except (ValueError, TypeError, AttributeError):
            return None  # a malformed pod is nobody's to place
        return known

    def _assign(self, key: Key, node: str, spec: Json) -> None:
        needs = self._needs(spec)
        if needs is not None:
            self._nodes.setdefault(node, NodeState(node)).take(needs)
            self._placed[key] = (node, needs)

    def _release(self, key: Key) -> None:
        placed = self._placed.pop(key, None)
        if placed is not None:
            self._nodes[placed[0]].take(placed[1], -1)
            self._freed(placed[0])

    def _enqueue(self, key: Key, spec: Json) -> None:
        needs = self._needs(spec)
        if needs is None:
            return
        rank = (-whole(spec, "priority"), next(self._arrivals))
        self._pending[key] = (*rank, needs)
        heapq.heappush(self._queue, (*rank, key))
        self._alarm.ring()

    def _withdraw(self, key: Key) -> None:
        entry = self._pending.pop(key, None)
        if entry is not None:
            waiting = self._waiting.get(entry[2])
            if waiting is not None:
                waiting.pop(key, None)
                if not waiting:
                    del self._waiting[entry[2]]

    def _retry(self) -> None:
        """Queue again those that a changed node could take; at most as many as could go there."""
        changed = [node for name in self._changed if (node := self._nodes.get(name)) and node.exists]
        self._changed.clear()
        for needs in list(self._waiting):
            room = sum(
                node.allocatable.get("pods", 0) - node.pods
                for node in changed
                if not needs.objection(node) and not node.lacks(needs)
            )
            for key in list(islice(self._waiting[needs], room)) if room > 0 else ():
                del self._waiting[needs][key]
                heapq.heappush(self._queue, (*self._pending[key][:2], key))
            if not self._waiting[needs]:
                del self._waiting[needs]

    def _place_next(self) -> None:
        _, arrival, key = heapq.heappop(self._queue)
        entry = self._pending.get(key)
        if entry is None or entry[1] != arrival:
            return
        needs = entry[2]
        node = self._choose(needs)
        if node is None:
            self._waiting.setdefault(needs, {})[key] = None
            self._mark(key, needs)
            return
        try:
            bind(self._store, key, node.name)
        except ApiError:
            self._withdraw(key)
            return
        record(self._store, PODS, key, "Scheduled", f"Successfully assigned {'/'.join(key)} to {node.name}")

    def _choose(self, needs: Needs) -> NodeState | None:
        """The best of the first hundred nodes that can take it, from where the last search ended.

        Room only shrinks between releases, so that candidates of the last search
        and nodes freed since are all that need looking at.
        """
        found: list[NodeState] = []
        candidates = self._candidates(needs)
        looked = 0
        for node in candidates:
            looked += 1
            if node.exists and not needs.objection(node) and not node.lacks(needs):
                found.append(node)
                if len(found) >= _ENOUGH:
                    break
        needs.candidates = candidates[looked:] + found
        if not found:
            return None
        return min(found, key=lambda node: (needs.avoids(node), node.load(), node.pods))

    def _candidates(self, needs: Needs) -> list[NodeState]:
        fresh = len(self._freed_nodes) - (self._epoch - needs.searched_at)
        if needs.searched_at < 0 or fresh < 0:
            made = self._order
        else:
            again = dict.fromkeys(self._freed_nodes[fresh:])
            made = [node for node in needs.candidates if node not in again] + list(again)
        needs.searched_at = self._epoch
        return made

    def _explain(self, needs: Needs) -> str:
        """Why no node takes it, as the condition's message tells."""
        if not self._order:
            return "no nodes available to schedule pods"
        if needs.explained_at != self._epoch:
            needs.explained_at = self._epoch
            reasons = Counter(needs.objection(node) or node.lacks(needs) for node in self._order)
            counts = ", ".join(sorted(f"{number} {why}" for why, number in reasons.items()))
            needs.message = f"0/{len(self._order)} nodes are available: {counts}."
        return needs.message

    def _mark(self, key: Key, needs: Needs) -> None:
        stored = self._store.get(PODS, *key)
        if condition(stored.value, "PodScheduled").get("reason") == "Unschedulable":
            return
        message = self._explain(needs)
        row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self._store.change(PODS, key, lambda pod: set_condition(pod, row, timestamp()))
        record(self._store, PODS, key, "FailedScheduling", message, warns=True)


def _is_ours(pod: Json) -> bool:
    gated = bool(rows(pod, "spec", "schedulingGates"))
    return text(pod, "spec", "schedulerName") in ("", NAME) and not gated and not is_terminating(pod)


def _differs(old: Json, new: Json) -> bool:
    """Did anything change that placing reads?"""
    watched = (("metadata", "labels"), ("spec",), ("status", "allocatable"))
    return any(section(old, *path) != section(new, *path) for path in watched)
