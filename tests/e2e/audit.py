"""An auditor that sees every write to the emulated cluster: budgets, homeless pods, marks on nodes."""

from __future__ import annotations

from typing import Any

from autoscaler.emulator.kubernetes.resources import BUDGETS, NODES, PODS
from autoscaler.emulator.kubernetes.store import Event
from autoscaler.kubernetes.draining.marks import CANDIDATE, NOT_BALANCED, STAMP, TO_BE_DELETED
from tests.e2e.stage import Stage


class Audit:
    """Looks from now on. `broken` budgets had fewer healthy pods than wanted, `homeless` pods were Unschedulable."""

    def __init__(self, stage: Stage) -> None:
        self.broken: list[str] = []
        self.homeless: set[str] = set()
        self.lost: list[str] = []  # pods that ended with their node instead of being evicted
        self.nodes_gone = 0
        self.most_marked = 0
        self._stage = stage
        self._marked: set[str] = set()
        stage.kubernetes.call(stage.kubernetes.store.subscribe, self._see)

    def _see(self, event: Event) -> None:
        value = event.new.value
        name = value.get("metadata", {}).get("name", "")
        if event.kind is BUDGETS:
            status = value.get("status", {})
            if status.get("currentHealthy", 0) < status.get("desiredHealthy", 0):
                self.broken.append(name)
        elif event.kind is PODS and event.verb != "DELETED":
            for row in value.get("status", {}).get("conditions", ()):
                if (row["type"], row["status"], row.get("reason")) == ("PodScheduled", "False", "Unschedulable"):
                    self.homeless.add(name)
        elif event.kind is NODES:
            self._see_node(event.verb, name, value)

    def _see_node(self, verb: str, name: str, node: dict[str, Any]) -> None:
        if verb == "DELETED":
            self.nodes_gone += 1
            self._marked.discard(name)
            pods = self._stage.kubernetes.indexes.on_node(name)
            self.lost += [pod.key[1] for pod in pods if "deletionTimestamp" not in pod.value["metadata"]]
        elif is_marked(node):
            self._marked.add(name)
        else:
            self._marked.discard(name)
        self.most_marked = max(self.most_marked, len(self._marked))

    def clean(self) -> bool:
        """Nothing was broken on the way."""
        return not (self.broken or self.homeless or self.lost)


def is_marked(node: dict[str, Any]) -> bool:
    """A drain's marks are on the node, any of them."""
    meta, spec = node["metadata"], node["spec"]
    taints = {taint["key"] for taint in spec.get("taints", ())}
    return (
        STAMP in meta.get("annotations", {})
        or NOT_BALANCED in meta.get("labels", {})
        or TO_BE_DELETED in taints
        or bool(spec.get("unschedulable"))
    )


def is_shunned(node: dict[str, Any]) -> bool:
    """The soft taint is on the node."""
    return any(taint["key"] == CANDIDATE for taint in node["spec"].get("taints", ()))
