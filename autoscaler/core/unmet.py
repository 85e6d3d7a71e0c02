"""Which preferences the places of a plan do not honour, told in the verdicts.

Told of pods that have a place, for that very place, as the world will be once
the plan is carried out. Worked out per class and place, or run of new nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from autoscaler.core.decision import Objection, Outcome, Verdict
from autoscaler.core.layout import Layout
from autoscaler.core.model import Pod, PodKey
from autoscaler.core.scaleup.ties import places_of
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.gathering import Gathering, Spot
from autoscaler.core.scheduling.preferences import unmet

PLACED = (Outcome.LAUNCH, Outcome.FITS_EXISTING, Outcome.FITS_UPCOMING)


def tell_unmet(layout: Layout, verdicts: Mapping[PodKey, Verdict]) -> dict[PodKey, Verdict]:
    """Return the verdicts that have something to add; pods told the same share one."""
    # A wide wave has spread the nodes over more offerings than the plan wanted.
    gathering = (
        layout.ties.gather()
        if layout.gathering is not None and layout.shelves.snapshot.wave.width
        else layout.gathering
    )
    if gathering is None:
        return {}
    teller = _Teller(verdicts, gathering)
    for one in layout.classes:
        for place, pods in places_of(one, layout.housed):
            teller.tell(one, Spot(place.view, here=place.view), pods)
    for run, contents in layout.runs():
        for (one, _), pods in zip(run.contents, contents, strict=True):
            teller.tell(one, Spot(run.view, run.contents, run.view), pods)
    nodes = layout.shelves.index.nodes
    for pod in layout.shelves.index.census.pending:
        if pod.nominated_node is not None and pod.nominated_node in nodes:
            node = nodes[pod.nominated_node]
            view = NodeView(node.labels, node.taints, node.name)
            teller.tell(pod, Spot(view, here=view), (pod,))
    return teller.found


class _Teller:
    def __init__(self, verdicts: Mapping[PodKey, Verdict], gathering: Gathering) -> None:
        self.found: dict[PodKey, Verdict] = {}
        self._verdicts = verdicts
        self._gathering = gathering
        self._shared: dict[tuple[int, tuple[Objection, ...]], Verdict] = {}

    def tell(self, one: PodClass | Pod, spot: Spot, pods: Iterable[Pod]) -> None:
        raised = tuple(dict.fromkeys(found.objection for found in unmet(one, spot, self._gathering)))
        for pod in pods if raised and not (isinstance(one, PodClass) and one.is_virtual) else ():
            verdict = self._verdicts[pod.key]
            if verdict.outcome in PLACED:
                key = (id(verdict), raised)
                if key not in self._shared:
                    self._shared[key] = replace(verdict, unmet=raised)
                self.found[pod.key] = self._shared[key]
