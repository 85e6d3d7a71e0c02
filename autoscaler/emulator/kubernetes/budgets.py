"""The disruption controller: how many evictions each PodDisruptionBudget allows now.

Members are kept per budget, so that one pod's change costs only its budgets.
Source: kubernetes.io/docs/tasks/run-application/configure-pdb
"""

from __future__ import annotations

from datetime import datetime, timedelta

from autoscaler import clock

from .objects import Json, controller_of, is_finished, is_ready, is_terminating, labels, section, text, whole
from .resources import BUDGETS, BY_NAME, PODS, REPLICA_SETS
from .selectors import LabelMatcher, label_selector
from .store import Event, Key, Store, Stored
from .timers import Reconciler

_FORGOTTEN_AFTER = timedelta(minutes=2)  # an eviction whose pod never went no longer counts


class Budgets:
    """Keeps the status of every budget."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._spaces: dict[str, dict[Key, tuple[LabelMatcher, set[Key]]]] = {}
        self.reconciler: Reconciler[Key] = Reconciler(self._reconcile)
        store.subscribe(self._note)

    def _note(self, event: Event) -> None:
        namespace = event.new.key[0]
        if event.kind is BUDGETS:
            self._note_budget(event)
        elif event.kind is PODS:
            for key, (matches, members) in self._spaces.get(namespace, {}).items():
                if event.verb != "DELETED" and matches(labels(event.new.value)):
                    members.add(event.new.key)
                elif event.new.key in members:
                    members.discard(event.new.key)
                else:
                    continue
                self.reconciler.mark(key)
        elif "scale" in event.kind.subresources:
            for key in self._spaces.get(namespace, {}):
                self.reconciler.mark(key)

    def _note_budget(self, event: Event) -> None:
        key = event.new.key
        space = self._spaces.setdefault(key[0], {})
        if event.verb == "DELETED":
            space.pop(key, None)
            return
        selector = section(event.new.value, "spec").get("selector")
        if event.old is None or section(event.old.value, "spec").get("selector") != selector:
            matches = label_selector(selector)
            found = {pod.key for pod in self._store.items(PODS, key[0]) if matches(labels(pod.value))}
            space[key] = (matches, found)
        self.reconciler.mark(key)

    def _reconcile(self, key: Key) -> None:
        budget = self._store.find(BUDGETS, *key)
        entry = self._spaces.get(key[0], {}).get(key)
        if budget is None or entry is None:
            return
        pods = [pod for name in entry[1] if (pod := self._store.find(PODS, *name)) and not is_finished(pod.value)]
        evicted = self._still_evicted(budget, pods)
        healthy = sum(
            is_ready(pod.value) and not is_terminating(pod.value) and pod.key[1] not in evicted for pod in pods
        )
        expected, desired = self._wanted(budget.value, pods)
        allowed = max(0, healthy - desired) if expected > 0 else 0
        row = {"type": "DisruptionAllowed", "status": "True" if allowed else "False"}
        row |= {"reason": "SufficientPods" if allowed else "InsufficientPods", "message": ""}

        def report(value: Json) -> None:
            before = section(value, "status").get("conditions") or [{}]
            same = before[0].get("status") == row["status"]
            since = before[0].get("lastTransitionTime") if same else _text(clock.now())
            value["status"] = {
                "observedGeneration": whole(value, "metadata", "generation", default=1), "expectedPods": expected,
                "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed,
                "conditions": [row | {"lastTransitionTime": since}],
            } | ({"disruptedPods": evicted} if evicted else {})  # fmt: skip

        self._store.change(BUDGETS, key, report)

    def _still_evicted(self, budget: Stored, pods: list[Stored]) -> Json:
        """Evictions granted whose pods do not show it yet."""
        here = {pod.key[1]: pod.value for pod in pods}
        kept = {}
        for name, stamp in section(budget.value, "status", "disruptedPods").items():
            fresh = clock.now() - datetime.fromisoformat(str(stamp)) < _FORGOTTEN_AFTER
            if name in here and not is_terminating(here[name]) and fresh:
                kept[name] = stamp
        return kept

    def _wanted(self, budget: Json, pods: list[Stored]) -> tuple[int, int]:
        """How many pods there should be, and how many must be healthy."""
        spec = section(budget, "spec")
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if isinstance(least, int):
            return len(pods), least
        expected = self._expected(pods)
        if most is not None:
            return expected, max(0, expected - share(most, expected))
        return expected, share(least if least is not None else 1, expected)

    def _expected(self, pods: list[Stored]) -> int:
        """The replicas that the pods' controllers want; a pod without a controller counts itself."""
        scales: dict[str, int] = {}
        for pod in pods:
            owner = controller_of(pod.value)
            kind = BY_NAME.get((str(owner.get("apiVersion")), str(owner.get("kind"))))
            found = self._store.find(kind, pod.key[0], str(owner.get("name"))) if kind else None
            if found is None:
                scales[text(pod.value, "metadata", "uid")] = 1
                continue
            above = controller_of(found.value) if kind is REPLICA_SETS else {}
            top = BY_NAME.get((str(above.get("apiVersion")), str(above.get("kind"))))
            root = self._store.find(top, pod.key[0], str(above.get("name"))) if top else None
            chosen = (root or found).value
            scales[text(chosen, "metadata", "uid")] = whole(chosen, "spec", "replicas", default=1)
        return sum(scales.values())


def share(bound: object, total: int) -> int:
    """A count, or a percentage of the total rounded up."""
    if isinstance(bound, str) and bound.endswith("%"):
        return -(-int(bound[:-1]) * total // 100)
    return bound if isinstance(bound, int) else 0


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
