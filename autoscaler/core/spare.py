"""What became of each wish for spare room, and of each floor: nobody else would tell, as there is no pod to ask."""

from __future__ import annotations

from collections import Counter

from autoscaler.core.decision import Cause, Spare
from autoscaler.core.layout import Layout
from autoscaler.core.scaleup.judge import Judge
from autoscaler.core.virtual import FLOOR, LABEL


def tell_spare(layout: Layout, judge: Judge) -> tuple[Spare, ...]:
    """Sum up by entry, in the order of their names; `judge` says why something is not to be had."""
    bought: Counter[int] = Counter()
    for run in layout.purchase.packing.runs:
        for one, per_node in run.contents:
            bought[id(one)] += per_node * run.nodes
    found = []
    for one in layout.classes:
        if not one.is_virtual:
            continue
        pod, wanted = one.pods[0], len(one.pods)
        present = sum(each.uid in layout.housed for each in one.pods)
        missing = wanted - present - bought[id(one)]
        found.append(
            Spare(
                name=pod.labels[LABEL],
                cause=Cause.FLOOR if pod.uid.startswith(FLOOR) else Cause.HEADROOM,
                wanted=wanted,
                present=present,
                bought=bought[id(one)],
                objections=judge.against(one) if missing > 0 else {},
            )
        )
    return tuple(sorted(found, key=lambda spare: spare.name))
