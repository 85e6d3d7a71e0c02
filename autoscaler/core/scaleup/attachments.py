"""How many more volumes each node attaches, driver by driver, and which shared ones it has.

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
from autoscaler.core.scheduling.place import MANY, Place
from autoscaler.core.scheduling.sharing import ATTACHED, LIMIT_PREFIX, Handle
from autoscaler.core.scheduling.volumes import Volumes

Limits = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Hooks:
    """Where drivers and shared volumes are in a vector, and what nodes and instance types take."""

    drivers: Mapping[str, int]
    bits: Mapping[Handle, int]
    shared_at: int | None
    volumes: Volumes
    by_type: Mapping[InstanceType, Limits]

    def guess(self, kinds: Iterable[InstanceType]) -> Limits:
        """The least that any of the types takes, as far as known."""
        found: dict[str, int] = {}
        for kind in kinds:
            for driver, limit in self.by_type.get(kind, {}).items():
                found[driver] = min(limit, found.get(driver, limit))
        return found

    def limits_of(self, place: Place, index: Index) -> Limits:
        """What a node says; what an upcoming one does not say yet, as drivers start late, is guessed."""
        known = self.volumes.storage.limits.get(place.node) if place.node is not None else None
        told: Limits = known.limits if known is not None else {}
        instance = index.instances.get(place.instance) if place.instance is not None else None
        if not place.is_upcoming or instance is None:
            return told
        return {**self.guess([instance[1].instance_type]), **told}

    def fill_in(self, free: Vector, limits: Limits, node: NodeName | None = None) -> Vector:
        numbers = list(free)
        attached = self.volumes.attached.get(node, ()) if node is not None else ()
        for driver, position in self.drivers.items():
            used = sum(one == driver for one, _ in attached)
            used += self.volumes.lingering[node, driver] if node is not None else 0
            numbers[position] = limits[driver] - used if driver in limits else MANY
        if self.shared_at is not None:
            numbers[self.shared_at] = sum(self.bits.get(handle, 0) for handle in attached)
        return tuple(numbers)


def limit_attachments(volumes: Volumes, index: Index, dimensions: Dimensions, stock: Stock, market: Market) -> Market:
    """Write into places and offers how many volumes they take; nothing to do when no pending pod attaches any."""
    positions = {name: position for position, name in enumerate(dimensions.names)}
    drivers = {
        name.removeprefix(LIMIT_PREFIX): position
        for name, position in positions.items()
        if name.startswith(LIMIT_PREFIX)
    }
    if not drivers:
        return market
    hooks = _Hooks(drivers, dimensions.bits, positions.get(ATTACHED), volumes, _by_type(volumes, index))
    for place in (*stock.existing, *stock.upcoming):
        place.free = hooks.fill_in(place.free, hooks.limits_of(place, index), place.node)
    offers = [replace(one, free=hooks.fill_in(one.free, hooks.guess(one.template.by_type))) for one in market.offers]
    return replace(market, offers=tuple(offers))


def _by_type(volumes: Volumes, index: Index) -> Mapping[InstanceType, Limits]:
    """The least that the nodes of each instance type say."""
    found: dict[InstanceType, dict[str, int]] = {}
    for name, one in volumes.storage.limits.items():
        kind = index.nodes[name].instance_type if name in index.nodes else None
        if kind is not None:
            known = found.setdefault(kind, {})
            for driver, limit in one.limits.items():
                known[driver] = min(limit, known.get(driver, limit))
    return found
