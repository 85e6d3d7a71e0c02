"""What the planner promises, pod by pod: the existing node, or which of the new ones.

A Decision says how many nodes are bought for which pods; who lies where is in
the Layout from which it was made. The scheduler is asked in the plan's own
order, as with spread constraints the order decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.core.decision import Decision, Outcome
from autoscaler.core.layout import Layout, lay_out
from autoscaler.core.planner import plan
from autoscaler.core.quantity import format_amount
from autoscaler.core.scaleup.offers import Offer
from autoscaler.core.snapshot import Snapshot
from tests.controlplane.client import Json
from tests.controlplane.cluster import hollow

PROMISED = (Outcome.LAUNCH, Outcome.FITS_EXISTING)


@dataclass
class Promises:
    """The decision, the new nodes as manifests in the order of buying, and each promised pod's node by name.

    `turns` are the pods for new nodes in the order in which they were placed;
    within a class nobody knows which of the equal pods came first.
    """

    decision: Decision
    nodes: list[Json] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    turns: list[list[str]] = field(default_factory=list)


def promises_of(snapshot: Snapshot) -> Promises:
    """Lay the plan out, and tell everything that is promised, in the order in which it was."""
    layout = lay_out(snapshot)
    found = Promises(plan(snapshot))
    names = {str(pod.uid): pod.name for one in layout.classes for pod in one.pods}
    found.places.update((names[uid], str(place.node)) for uid, place in layout.housed.items())
    for run, contents in layout.runs():
        for number in range(run.nodes):
            node = _new_node(layout.purchase.offers[run.offering], len(found.nodes))
            found.nodes.append(node)
            for taken, (_, each) in zip(contents, run.contents, strict=True):
                here = taken[number * each : (number + 1) * each]
                found.places.update((pod.name, node["metadata"]["name"]) for pod in here)
    found.turns = turns_of(layout)
    order = {name: number for number, name in enumerate(name for turn in found.turns for name in turn)}
    found.places = dict(sorted(found.places.items(), key=lambda item: order.get(item[0], -1)))
    promised = {key.name for key, each in found.decision.verdicts.items() if each.outcome in PROMISED}
    assert promised == found.places.keys()
    assert len(found.nodes) == sum(launch.count for launch in found.decision.launches)
    return found


def turns_of(layout: Layout) -> list[list[str]]:
    """The pods without a place on what there is, in the order in which the plan gives them one.

    The only place that knows this order: whoever changes how the plan is made changes it here.
    """
    return [[pod.name for pod in pods] for pods in layout.turns()]


def _new_node(offer: Offer, number: int) -> Json:
    """A node as its kubelet would register it, if the template is right."""
    template, zone = offer.template, offer.offering.zone or offer.group.zones[0]
    amounts = {name: format_amount(name, amount) for name, amount in template.allocatable.items()}
    taints = [{"key": each.key, "value": each.value, "effect": str(each.effect)} for each in template.taints]
    labels = template.view(zone).labels
    name = f"new-{number}-{offer.group.name}"
    return hollow(name, zone=zone, labels=labels, taints=taints, **{"ephemeral-storage": "0", **amounts})
