"""How many more volumes each node attaches, driver by driver.

A node that exists says so in its CSINode; one that is yet to come will be
like the known ones of its instance type, and without any has no limit, as a
node without a CSINode has none for kube-scheduler.
Source: kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits/csi.go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autoscaler.core.index import Index
from autoscaler.core.model import InstanceType, NodeName
from autoscaler.core.scaleup.offers import Market
from autoscaler.core.scaleup.stock import Stock
from autoscaler.core.scheduling.classes import Dimensions, Vector
from autoscaler.core.scheduling.place import MANY
from autoscaler.core.scheduling.volumes import LIMIT_PREFIX, Volumes
from autoscaler.core.snapshot import Snapshot

Limits = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Hooks:
    """Where the drivers are in a vector, what is attached, and what an instance type takes."""

    drivers: Mapping[str, int]
    attached: Mapping[tuple[NodeName, str], set[str]]
    by_type: Mapping[InstanceType, Limits]

    def guess(self, kinds: Iterable[InstanceType]) -> Limits:
        """The least that any of the types takes, as far as known."""
        found: dict[str, int] = {}
        for kind in kinds:
            for driver, limit in self.by_type.get(kind, {}).items():
                found[driver] = min(limit, found.get(driver, limit))
        return found

    def fill_in(self, free: Vector, limits: Limits, node: NodeName | None) -> Vector:
        numbers = list(free)
        for driver, position in self.drivers.items():
            used = len(self.attached.get((node, driver), ())) if node is not None else 0
            numbers[position] = limits[driver] - used if driver in limits else MANY
        return tuple(numbers)


def limit_attachments(snapshot: Snapshot, index: Index, dimensions: Dimensions, stock: Stock, market: Market) -> Market:
    """Write into places and offers how many volumes they take; nothing to do when no pending pod attaches any."""
    drivers = {
        name.removeprefix(LIMIT_PREFIX): position
        for position, name in enumerate(dimensions.names)
        if name.startswith(LIMIT_PREFIX)
    }
    if not drivers:
        return market
    limits = snapshot.storage.limits
    by_type: dict[InstanceType, dict[str, int]] = {}
    for name, one in limits.items():
        kind = index.nodes[name].instance_type if name in index.nodes else None
        if kind is not None:
            known = by_type.setdefault(kind, {})
            for driver, limit in one.limits.items():
                known[driver] = min(limit, known.get(driver, limit))
    hooks = _Hooks(drivers, _attached(snapshot, index), by_type)
    for place in (*stock.existing, *stock.upcoming):
        if place.node is not None and place.node in limits:
            place.free = hooks.fill_in(place.free, limits[place.node].limits, place.node)
        else:
            instance = index.instances.get(place.instance) if place.instance is not None else None
            guess = hooks.guess([instance[1].instance_type]) if place.is_upcoming and instance else {}
            place.free = hooks.fill_in(place.free, guess, place.node)
    offers = [
        replace(one, free=hooks.fill_in(one.free, hooks.guess(one.template.by_type), None)) for one in market.offers
    ]
    return replace(market, offers=tuple(offers))


def _attached(snapshot: Snapshot, index: Index) -> dict[tuple[NodeName, str], set[str]]:
    volumes = Volumes(snapshot.storage)
    found: dict[tuple[NodeName, str], set[str]] = {}
    for pod in snapshot.pods:
        node = index.census.holds(pod) if pod.spec.claims else None
        if node is not None:
            for driver, handle in volumes.handles_of(pod):
                found.setdefault((node, driver), set()).add(handle)
    return found
