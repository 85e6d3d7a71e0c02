"""Places that pending pods must not count on: somebody is on the way there.

The pods of a node that is being drained will need what is free elsewhere, and
those of a node that waits for its replacements will need these. So both take
their room before scale-up looks at it, or each would be promised twice. By
resources and node properties alone; a pod that is terminating has been let go,
and whoever comes after it is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autoscaler.core.model import GroupName, Market, NodeName, Pod
from autoscaler.core.podspec import PodSpec
from autoscaler.core.scaledown.cases import is_going
from autoscaler.core.scaledown.drainability import is_air
from autoscaler.core.scaleup.offers import tiers_of
from autoscaler.core.scaleup.stock import Shelves, Stock
from autoscaler.core.scheduling.classes import Dimensions, PodClass
from autoscaler.core.scheduling.fit import Fitting
from autoscaler.core.scheduling.place import Place


def reserve_places(stock: Stock, shelves: Shelves) -> None:
    """Take the room of running drains and waiting returns out of the stock."""
    snapshot, index = shelves.snapshot, shelves.index
    going = {name for name, node in index.nodes.items() if is_going(node, snapshot.at)}
    memory = snapshot.scale_down
    waiting = memory.waiting.keys() & index.nodes.keys() - going if memory is not None else set()
    if not going and not waiting:
        return
    tiers = tiers_of(snapshot)
    cutoff = snapshot.policy.expendable_cutoff
    pods: dict[NodeName, list[Pod]] = {}
    for pod in snapshot.pods:
        if pod.node is not None and (pod.node in going or pod.node in waiting) and _needs_place(pod, cutoff):
            pods.setdefault(pod.node, []).append(pod)
    places = [*stock.existing, *stock.upcoming]
    for name in sorted(pods):
        group = index.group_of_node.get(name)
        tier = tiers[group] if group is not None else None
        able = places if name in going else [one for one in places if _is_spot_above(shelves, one, tier, tiers.get)]
        _take(able, pods[name], shelves.dimensions)


def _needs_place(pod: Pod, cutoff: int) -> bool:
    return not (
        pod.deleted_at is not None
        or pod.is_finished
        or pod.is_mirror
        or pod.is_of_daemonset
        or is_air(pod, cutoff)
    )  # fmt: skip


def _is_spot_above(
    shelves: Shelves, place: Place, below: int | None, tier_of: Callable[[GroupName], int | None]
) -> bool:
    if place.group is None or below is None:
        return False
    tier = tier_of(place.group)
    return tier is not None and tier > below and shelves.index.groups[place.group].market is Market.SPOT


def _take(places: Iterable[Place], pods: Iterable[Pod], dimensions: Dimensions) -> None:
    """First fit, the pods in name order; one without a place takes none."""
    counts: dict[PodSpec, int] = {}
    for pod in sorted(pods, key=lambda one: one.key):
        counts[pod.spec] = counts.get(pod.spec, 0) + 1
    able = list(places)
    for spec, wanted in counts.items():
        one = PodClass(spec, {}, "", Fitting(spec), dimensions.vector(spec.requests))
        left = wanted
        for place in able:
            count = min(place.room_for(one), left)
            if count:
                place.take(one, count)
                left -= count
            if not left:
                break
