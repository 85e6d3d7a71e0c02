"""How many may go at once: PDBs, which the nodes of a pass share.

A PDB that allows one disruption blocks no single node, as the Eviction API
paces it; but what one node takes is gone for the next. A pod under two PDBs
stays: the Eviction API refuses it for ever.
"""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import Pod
from autoscaler.core.scheduling.fit import matches
from autoscaler.core.workload import PodDisruptionBudget


class PdbLedger:
    """What the PDBs still allow in this pass."""

    def __init__(self, pdbs: Iterable[PodDisruptionBudget]) -> None:
        self._by_namespace: dict[str, list[PodDisruptionBudget]] = {}
        for pdb in sorted(pdbs, key=lambda one: (one.namespace, one.name)):
            if pdb.selector is not None:
                self._by_namespace.setdefault(pdb.namespace, []).append(pdb)
        self._left = {id(pdb): pdb.disruptions_allowed for pdbs in self._by_namespace.values() for pdb in pdbs}
        self._covering: dict[tuple[int, str], tuple[object, tuple[PodDisruptionBudget, ...]]] = {}

    def covering(self, pod: Pod) -> tuple[PodDisruptionBudget, ...]:
        """The PDBs that select the pod."""
        pdbs = self._by_namespace.get(pod.namespace)
        if not pdbs:
            return ()
        key = (id(pod.labels), pod.namespace)
        found = self._covering.get(key)
        if found is None:
            labels = pod.labels
            selecting = tuple(one for one in pdbs if one.selector is not None
                              and all(matches(each, labels) for each in one.selector.requirements))  # fmt: skip
            found = self._covering[key] = (labels, selecting)
        return found[1]

    def covers(self, pod: Pod) -> bool:
        return bool(self.covering(pod))

    def objections(self, pods: Iterable[Pod]) -> tuple[Objection, ...]:
        """Say which PDB keeps these pods, and with them their node."""
        if not self._by_namespace:
            return ()
        details = sorted(detail for pod in pods if (detail := self._against(pod)))
        if not details:
            return ()
        return Objection(Why.BLOCKED_BY_POD, details[0]), Objection(Why.NOT_ENOUGH_PDB, details[0])

    def _against(self, pod: Pod) -> str:
        covering = self.covering(pod)
        if len(covering) > 1:
            names = ", ".join(one.name for one in covering)
            return f"{pod.key}: under several PDBs ({names}), which the Eviction API refuses"
        if covering and self._left[id(covering[0])] < 1:
            return f"{pod.key}: PDB {covering[0].name} allows no disruption now"
        return ""

    def spend(self, pods: Iterable[Pod]) -> None:
        """Take what evicting these pods will use up."""
        if not self._by_namespace:
            return
        for pod in pods:
            for pdb in self.covering(pod):
                self._left[id(pdb)] -= 1
