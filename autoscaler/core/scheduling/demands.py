"""What the volumes of a pod demand of a node's labels: where it reaches them, or where they can be made.

Bound volumes by node affinity and zone labels; claims that wait for their
first consumer by the free volumes, each for one claim, the smallest first,
and by what the class can make there. `taken` are free volumes that are not so
any more.
Source: kubernetes/pkg/scheduler/framework/plugins/{volumebinding,volumezone}, and
FindMatchingVolume in k8s.io/component-helpers/storage/volume
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import HOSTNAME_LABEL, REGION_LABEL, ZONE_LABEL, ZONE_LABELS, Labels, NodeName
from autoscaler.core.podspec import LabelSelector, NodeTerm, PodSpec
from autoscaler.core.scheduling.fit import Fitting, NodeView, matches_term
from autoscaler.core.scheduling.selectors import selects
from autoscaler.core.storage import AttachLimits, Volume

GA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": ZONE_LABEL,
    "failure-domain.beta.kubernetes.io/region": REGION_LABEL,
    ZONE_LABEL: ZONE_LABEL,
    REGION_LABEL: REGION_LABEL,
}


class Spot(NamedTuple):
    """A node as volumes see it; `migrated` are the in-tree plugins whose work CSI drivers do there."""

    labels: Labels
    name: str | None = None
    migrated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reach:
    """A bound volume's own node affinity, also in the words of the driver that took over from `plugin`."""

    volume: str
    terms: tuple[NodeTerm, ...] | None
    plugin: str = ""
    migrated_terms: tuple[NodeTerm, ...] | None = None

    @property
    def keys(self) -> Iterable[str]:
        return (*_keys_of(self.terms), *_keys_of(self.migrated_terms))

    @property
    def asks_name(self) -> bool:
        return bool(self.plugin)

    def unmet(self, spot: Spot) -> Objection | None:
        terms = self.migrated_terms if self.plugin in spot.migrated else self.terms
        if allows(terms, spot.labels):
            return None
        return Objection(Why.VOLUME_NODE_AFFINITY, f"volume {self.volume} is not reachable from here")


@dataclass(frozen=True, slots=True)
class ZoneDemand:
    """The zone or region label of an old volume; a node without any such label may use it."""

    volume: str
    key: str
    values: tuple[str, ...]

    keys = tuple(GA_LABELS)
    asks_name = False

    def unmet(self, spot: Spot) -> Objection | None:
        labels = spot.labels
        if not any(key in labels for key in GA_LABELS):
            return None
        if labels.get(self.key, labels.get(GA_LABELS[self.key])) in self.values:
            return None
        return Objection(Why.VOLUME_ZONE, f"volume {self.volume} is in {' or '.join(self.values)}")


class Free(NamedTuple):
    """A volume that a claim may get; `is_meant`: it names the claim, which gets it or a new one."""

    volume: str
    terms: tuple[NodeTerm, ...] | None
    is_meant: bool = False


class Making(NamedTuple):
    """How a class makes volumes: within its topologies, if any, and where a capacity reaches, if they are told."""

    storage_class: str
    topologies: tuple[NodeTerm, ...] = ()
    capacities: tuple[LabelSelector, ...] | None = None

    @property
    def keys(self) -> Iterable[str]:
        reaches = (one.key for each in self.capacities or () for one in each.requirements)
        return (*_keys_of(self.topologies), *reaches)

    def unmet(self, spot: Spot) -> Objection | None:
        if self.topologies and not any(matches_term(term, spot.labels, None) for term in self.topologies):
            return Objection(Why.VOLUME, f"class {self.storage_class} makes no volume here")
        if self.capacities is not None and not any(selects(one, spot.labels) for one in self.capacities):
            return Objection(Why.VOLUME_CAPACITY, f"no room for a volume of class {self.storage_class}")
        return None


class Wanted(NamedTuple):
    """A claim without a volume; `free` are candidates, the smallest first. `selected`: it is being made on that node.

    Without `making` it can only get a volume that is there.
    """

    name: str
    storage_class: str
    free: tuple[Free, ...] = ()
    making: Making | None = None
    selected: str = ""

    @property
    def is_anywhere(self) -> bool:
        """Every node will do."""
        return self == Wanted(self.name, self.storage_class, making=Making(self.storage_class))

    def find(self, spot: Spot, taken: Collection[str]) -> str | None:
        """Choose the free volume that the claim gets on the node."""
        able = [one for one in self.free if one.volume not in taken]
        meant = next((one for one in able if one.is_meant), None)
        if meant is not None:
            able = [meant]
        return next((one.volume for one in able if allows(one.terms, spot.labels)), None)

    def unmade(self, spot: Spot) -> Objection | None:
        """Why no volume can be made on the node."""
        if self.making is None:
            return Objection(Why.VOLUME, f"no free volume of class {self.storage_class} for {self.name}")
        return self.making.unmet(spot)


@dataclass(frozen=True, slots=True)
class Binding:
    """The claims of a pod that wait for their first consumer, the smallest first.

    Volumes are made in zones, which matters to whoever shares the claim.
    """

    claims: tuple[Wanted, ...]

    @property
    def keys(self) -> Iterable[str]:
        free = (key for one in self.claims for each in one.free for key in _keys_of(each.terms))
        making = (key for one in self.claims if one.making is not None for key in one.making.keys)
        return (ZONE_LABEL, *free, *making)

    @property
    def asks_name(self) -> bool:
        return any(one.selected for one in self.claims)

    def unmet(self, spot: Spot) -> Objection | None:
        found = self.bind(spot)
        return found if isinstance(found, Objection) else None

    def bind(self, spot: Spot, taken: Collection[str] = ()) -> Objection | tuple[str | None, ...]:
        """The free volume that each claim gets on the node, None for one that is to be made; or why not."""
        used, found = set(taken), []
        for one in self.claims:
            if one.selected and one.selected != spot.name:
                return Objection(Why.VOLUME, f"the volume of {one.name} is being made on {one.selected}")
            volume = None if one.selected else one.find(spot, used)
            if volume is not None:
                used.add(volume)
            elif (objection := one.unmade(spot)) is not None:
                return objection
            found.append(volume)
        return tuple(found)


Demand = Reach | ZoneDemand | Binding


class VolumeFitting(Fitting):
    """The static verdicts of a spec together with the demands of volumes."""

    __slots__ = ("_at", "_demands", "_nodes")

    def __init__(self, spec: PodSpec, demands: tuple[Demand, ...], nodes: Mapping[NodeName, AttachLimits]) -> None:
        super().__init__(spec)
        self._demands = demands
        self._nodes = nodes
        self._at: dict[int, tuple[NodeView, tuple[Objection, ...]]] = {}

    @property
    def keys(self) -> Iterable[str]:
        return (*super().keys, *(key for demand in self._demands for key in demand.keys))

    @property
    def asks_host(self) -> bool:
        return super().asks_host or HOSTNAME_LABEL in self.keys or any(one.asks_name for one in self._demands)

    def objections(self, node: NodeView) -> tuple[Objection, ...]:
        known = self._at.get(id(node))
        if known is None:
            found = (*super().objections(node), *self._unmet(node))
            known = self._at[id(node)] = (node, found)
        return known[1]

    def _unmet(self, node: NodeView) -> Iterator[Objection]:
        spots = spots_of(node, self._nodes)
        for demand in self._demands:
            found = [demand.unmet(spot) for spot in spots]
            objection = next((one for one in found if one is not None), None)
            if objection is not None:
                everywhere = all(found)
                yield (
                    objection
                    if everywhere
                    else Objection(Why.ZONE_NOT_CHOSEN, f"AWS picks among {', '.join(node.zones)}")
                )


def spots_of(node: NodeView, nodes: Mapping[NodeName, AttachLimits]) -> list[Spot]:
    """The node in each zone that it may come to be in."""
    known = nodes.get(NodeName(node.name)) if node.name is not None else None
    migrated = known.migrated if known is not None else frozenset()
    zones: list[Labels] = [{**node.labels, **dict.fromkeys(ZONE_LABELS, str(zone))} for zone in node.zones]
    return [Spot(labels, node.name, migrated) for labels in zones or [node.labels]]


def demands_of(volume: Volume, *, is_ephemeral: bool) -> Iterator[Demand]:
    """What a bound volume demands; the zone labels of an ephemeral one are nobody's business."""
    if volume.terms is not None or volume.migrated_terms is not None:
        yield Reach(volume.name, volume.terms, volume.plugin, volume.migrated_terms)
    for key in () if is_ephemeral else GA_LABELS:
        zones = {zone.strip() for zone in volume.labels.get(key, "").split("__")}
        if "" not in zones:
            yield ZoneDemand(volume.name, key, tuple(sorted(zones)))


def _keys_of(terms: Iterable[NodeTerm] | None) -> Iterator[str]:
    """The labels that terms look at."""
    return (one.key for term in terms or () for one in term.expressions)


def allows(terms: tuple[NodeTerm, ...] | None, labels: Labels) -> bool:
    """Whether a volume's node affinity lets it be used on a node; the node's name is no part of it."""
    return terms is None or any(matches_term(term, labels, None) for term in terms)
