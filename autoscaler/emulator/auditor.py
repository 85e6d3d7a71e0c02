"""Auditor: sees every write to an emulated cluster, and what a controller must never do in it.

Budgets are counted from the pods themselves, not from the disruption
controller's status, which follows later. Listens on the cluster's thread and
may be read from another.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler import clock
from autoscaler.emulator.kubernetes.objects import (
    Json,
    condition,
    is_finished,
    is_ready,
    is_terminating,
    labels,
    section,
    text,
    whole,
)
from autoscaler.emulator.kubernetes.resources import BUDGETS, NODES, PODS
from autoscaler.emulator.kubernetes.selectors import LabelMatcher, label_selector
from autoscaler.emulator.kubernetes.store import Event, Key
from autoscaler.emulator.world import EmulatedWorld
from autoscaler.kubernetes.draining.marks import NOT_BALANCED, STAMP, TO_BE_DELETED


class Auditor:
    """Looks from now on.

    `broken` are budgets of which a pod went that was needed, `homeless` pods
    that were Unschedulable, `lost` pods that ended with their node instead of
    being evicted; `evicted` pods were asked to go. `longest_pending` is the
    longest time in seconds from a pod's creation until it ran, `most_marked`
    how many nodes had a drain's marks at once, `most_drained` of them with pods.
    """

    def __init__(self, world: EmulatedWorld) -> None:
        self.broken: list[str] = []
        self.homeless: set[str] = set()
        self.lost: list[str] = []
        self.evicted = 0
        self.longest_pending = 0.0
        self.nodes_gone = 0
        self.most_marked = 0
        self.most_drained = 0
        self._world = world
        self._marked: set[str] = set()
        self._pending: dict[str, float] = {}  # by uid, since when
        self._healthy: set[Key] = set()
        self._budgets: dict[Key, tuple[LabelMatcher, int]] = {}  # what each selects, and how many it wants healthy
        world.kubernetes.call(self._begin)

    def clean(self) -> bool:
        """Nothing was broken on the way."""
        return not (self.broken or self.homeless or self.lost)

    def _begin(self) -> None:
        store = self._world.kubernetes.store
        self._healthy = {pod.key for pod in store.items(PODS) if _is_healthy(pod.value)}
        for budget in store.items(BUDGETS):
            self._note_budget(budget.key, budget.value)
        store.subscribe(self._see)

    def _see(self, event: Event) -> None:
        if event.kind is PODS:
            self._see_pod(event)
        elif event.kind is NODES:
            self._see_node(event.verb, event.new.key[1], event.new.value)
        elif event.kind is BUDGETS:
            self._budgets.pop(event.new.key, None)
            if event.verb != "DELETED":
                self._note_budget(event.new.key, event.new.value)

    def _note_budget(self, key: Key, budget: Json) -> None:
        self._budgets[key] = (
            label_selector(section(budget, "spec").get("selector")),
            whole(budget, "status", "desiredHealthy"),
        )

    def _see_pod(self, event: Event) -> None:
        key, pod = event.new.key, event.new.value
        is_there = event.verb != "DELETED"
        if is_there and condition(pod, "PodScheduled").get("reason") == "Unschedulable":
            self.homeless.add(key[1])
        self._see_pending(pod, is_there=is_there)
        if is_terminating(pod) and not (event.old is not None and is_terminating(event.old.value)):
            self.evicted += 1
        if is_there and _is_healthy(pod):
            self._healthy.add(key)
        elif key in self._healthy:
            self._healthy.discard(key)
            self.broken += [budget[1] for budget in self._broken_by(key, pod)]

    def _see_pending(self, pod: Json, *, is_there: bool) -> None:
        uid, now = text(pod, "metadata", "uid"), clock.monotonic()
        if is_there and text(pod, "status", "phase") in ("", "Pending") and not is_terminating(pod):
            self._pending.setdefault(uid, now)
        elif (since := self._pending.pop(uid, None)) is not None:
            self.longest_pending = max(self.longest_pending, now - since)

    def _broken_by(self, key: Key, pod: Json) -> Iterator[Key]:
        """The budgets that have too few healthy pods now that this one is none any more."""
        store = self._world.kubernetes.store
        for budget, (selects, wanted) in self._budgets.items():
            if budget[0] != key[0] or not selects(labels(pod)):
                continue
            rest = (store.find(PODS, *one) for one in self._healthy if one[0] == key[0])
            if sum(found is not None and selects(labels(found.value)) for found in rest) < wanted:
                yield budget

    def _see_node(self, verb: str, name: str, node: Json) -> None:
        if verb == "DELETED":
            self.nodes_gone += 1
            self._marked.discard(name)
            pods = self._world.kubernetes.indexes.on_node(name)
            self.lost += [pod.key[1] for pod in pods if not is_terminating(pod.value)]
        elif is_marked(node):
            self._marked.add(name)
            drained = sum(bool(self._world.kubernetes.indexes.on_node(one)) for one in self._marked)
            self.most_drained = max(self.most_drained, drained)
        else:
            self._marked.discard(name)
        self.most_marked = max(self.most_marked, len(self._marked))


def _is_healthy(pod: Json) -> bool:
    return is_ready(pod) and not is_terminating(pod) and not is_finished(pod)


def is_marked(node: Json) -> bool:
    """A drain's marks are on the node, any of them."""
    meta, spec = node["metadata"], node["spec"]
    taints = {taint["key"] for taint in spec.get("taints", ())}
    return (
        STAMP in meta.get("annotations", {})
        or NOT_BALANCED in meta.get("labels", {})
        or TO_BE_DELETED in taints
        or bool(spec.get("unschedulable"))
    )
