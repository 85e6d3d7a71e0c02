"""Where may a pod run for the sake of its volumes?

Bound volumes by their node affinity and zone labels; claims that wait for
their first consumer by the volumes that are free, by the class's topologies
and by the capacity that the driver reports. What is bound at once but has no
volume yet keeps the pod off every node, as in kube-scheduler. How many
volumes a node takes is counted like a resource: a volume that several pods
of a node share counts for each of those still to come.
Source: kubernetes/pkg/scheduler/framework/plugins/{volumebinding,volumezone,volumerestrictions,nodevolumelimits}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import HOSTNAME_LABEL, REGION_LABEL, ZONE_LABEL, ZONE_LABELS, Labels, Pod
from autoscaler.core.podspec import LabelSelector, NodeTerm, PodSpec, Requirement
from autoscaler.core.scheduling.fit import Fitting, NodeView, matches_term
from autoscaler.core.scheduling.selectors import selects
from autoscaler.core.storage import NO_PROVISIONER, ONCE_PER_POD, Claim, ClaimKey, Storage, StorageClass, Volume

LIMIT_PREFIX = "attachable-volumes-csi-"  # names the number of volumes of a driver as a resource
_GA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": ZONE_LABEL,
    "failure-domain.beta.kubernetes.io/region": REGION_LABEL,
    ZONE_LABEL: ZONE_LABEL,
    REGION_LABEL: REGION_LABEL,
}


@dataclass(frozen=True, slots=True)
class Demand:
    """A node must match one of the terms, or be selected by one of `reaches`; without either, nothing does."""

    why: Why
    detail: str
    terms: tuple[NodeTerm, ...] = ()
    reaches: tuple[LabelSelector, ...] = ()

    @property
    def keys(self) -> Iterable[str]:
        """The labels that it looks at."""
        expressions = (one for term in self.terms for one in term.expressions)
        return [one.key for one in (*expressions, *(each for reach in self.reaches for each in reach.requirements))]

    @property
    def asks_name(self) -> bool:
        return any(term.fields for term in self.terms)

    def is_met(self, labels: Labels, name: str | None) -> bool:
        return any(matches_term(term, labels, name) for term in self.terms) or any(
            selects(selector, labels) for selector in self.reaches
        )


@dataclass(frozen=True, slots=True)
class ZoneDemand:
    """The zone or region label of an old volume; a node without any such label may use it."""

    volume: str
    key: str
    values: tuple[str, ...]

    why = Why.VOLUME_ZONE
    keys = tuple(_GA_LABELS)
    asks_name = False

    @property
    def detail(self) -> str:
        return f"volume {self.volume} is in {' or '.join(self.values)}"

    def is_met(self, labels: Labels, _: str | None) -> bool:
        if not any(key in labels for key in _GA_LABELS):
            return True
        value = labels.get(self.key, labels.get(_GA_LABELS[self.key]))
        return value in self.values


@dataclass(frozen=True, slots=True)
class Needs:
    """What the volumes of a pod ask: equal needs make equal pods."""

    refusals: tuple[Objection, ...] = ()
    demands: tuple[Demand | ZoneDemand, ...] = ()
    attachments: tuple[tuple[str, int], ...] = ()  # new volumes by driver
    exclusive: tuple[ClaimKey, ...] = ()  # claims that one pod alone may use


NO_NEEDS = Needs()


class Volumes:
    """Answers from what the cluster tells of storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._tracked = {
            storage.classes[one.storage_class].provisioner
            for one in storage.capacities
            if one.storage_class in storage.classes
        }

    def needs_of(self, pod: Pod) -> Needs:
        """Work out what the volumes of a pod ask."""
        refusals: list[Objection] = []
        demands: list[Demand | ZoneDemand] = []
        drivers: dict[str, set[str]] = {}
        exclusive: list[ClaimKey] = []
        for ref in pod.spec.claims:
            key = ClaimKey(pod.namespace, ref.claim_of(pod.name))
            claim = self.storage.claims.get(key)
            fault = self._fault(key, claim, pod, ephemeral=ref.ephemeral)
            if claim is None or fault:
                refusals.append(Objection(Why.VOLUME, fault))
                continue
            if ONCE_PER_POD in claim.access_modes:
                exclusive.append(key)
            demands += self._demands(claim)
            driver, handle = self._driver(claim)
            if driver:
                drivers.setdefault(driver, set()).add(handle)
        attachments = tuple(sorted((driver, len(handles)) for driver, handles in drivers.items()))
        return Needs(tuple(refusals), tuple(demands), attachments, tuple(exclusive))

    def handles_of(self, pod: Pod) -> Iterator[tuple[str, str]]:
        """Yield the volumes that a pod has attached: driver and handle."""
        for ref in pod.spec.claims:
            key = ClaimKey(pod.namespace, ref.claim_of(pod.name))
            claim = self.storage.claims.get(key)
            if claim is not None:
                driver, handle = self._driver(claim)
                if driver:
                    yield driver, handle

    def _fault(self, key: ClaimKey, claim: Claim | None, pod: Pod, *, ephemeral: bool) -> str:
        """Why no node will do, or nothing."""
        if claim is None:
            return f"persistentvolumeclaim {key.name} not found"
        if ephemeral and claim.owner is not None and claim.owner != pod.uid:
            return f"persistentvolumeclaim {key.name} was not made for this pod"
        if claim.is_deleted:
            return f"persistentvolumeclaim {key.name} is being deleted"
        if claim.is_lost:
            return f"persistentvolumeclaim {key.name} has lost its volume"
        if claim.is_bound:
            return "" if claim.volume in self.storage.volumes else f"persistentvolume {claim.volume} not found"
        found = self.storage.classes.get(claim.storage_class)
        if found is None:
            what = f"storageclass {claim.storage_class} not found" if claim.storage_class else "it has no storage class"
            return f"persistentvolumeclaim {key.name} is not bound, and {what}"
        if not found.waits or claim.volume:
            return f"pod has unbound immediate persistentvolumeclaim {key.name}"
        return ""

    def _demands(self, claim: Claim) -> Iterator[Demand | ZoneDemand]:
        if claim.is_bound:
            yield from _of_volume(self.storage.volumes[claim.volume])
            return
        if claim.selected_node:
            term = NodeTerm(fields=(Requirement("metadata.name", "In", (claim.selected_node,)),))
            yield Demand(Why.VOLUME, f"the volume of {claim.name} is being made on {claim.selected_node}", (term,))
        demand = self._of_unbound(claim, self.storage.classes[claim.storage_class])
        if demand is not None:
            yield demand

    def _of_unbound(self, claim: Claim, found: StorageClass) -> Demand | None:
        """A free volume that matches will do, or a new one where the class may make it."""
        terms: list[NodeTerm] = []
        for volume in sorted(self.storage.volumes.values(), key=lambda one: one.name):
            if _serves(volume, claim):
                if volume.terms is None:
                    return None
                terms += volume.terms
        if found.provisioner in ("", NO_PROVISIONER):
            return Demand(Why.VOLUME, f"no free volume of class {found.name} for {claim.name}", tuple(terms))
        allowed = [NodeTerm(expressions) for expressions in found.topologies]
        if found.provisioner not in self._tracked:
            return Demand(Why.VOLUME, _told(claim, found), (*terms, *allowed)) if allowed else None
        reaches = [
            one.nodes
            for one in self.storage.capacities
            if one.storage_class == found.name and one.nodes is not None and one.largest >= claim.size
        ]
        places = allowed or [NodeTerm()]
        within = [LabelSelector((*each.requirements, *term.expressions)) for each in reaches for term in places]
        return Demand(Why.VOLUME_CAPACITY, f"no room for a volume of class {found.name}", tuple(terms), tuple(within))

    def _driver(self, claim: Claim) -> tuple[str, str]:
        """The driver that attaches the volume, and a name of the volume that is its own."""
        if claim.is_bound and claim.volume in self.storage.volumes:
            volume = self.storage.volumes[claim.volume]
            return volume.driver, volume.handle or volume.name
        found = self.storage.classes.get(claim.storage_class)
        if found is None or found.provisioner in ("", NO_PROVISIONER):
            return "", ""
        return found.provisioner, str(claim.key)


class VolumeFitting(Fitting):
    """The static verdicts of a spec together with the demands of volumes."""

    __slots__ = ("_at", "_demands")

    def __init__(self, spec: PodSpec, needs: Needs) -> None:
        super().__init__(spec)
        self._demands = needs.demands
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
        zones: list[Labels] = [{**node.labels, **dict.fromkeys(ZONE_LABELS, str(zone))} for zone in node.zones]
        zones = zones or [node.labels]
        for demand in self._demands:
            met = [demand.is_met(labels, node.name) for labels in zones]
            if not any(met):
                yield Objection(demand.why, demand.detail)
            elif not all(met):
                yield Objection(Why.ZONE_NOT_CHOSEN, f"AWS picks among {', '.join(node.zones)}")


def _of_volume(volume: Volume) -> Iterator[Demand | ZoneDemand]:
    if volume.terms is not None:
        yield Demand(Why.VOLUME_NODE_AFFINITY, f"volume {volume.name} is not reachable from here", volume.terms)
    for key in _GA_LABELS:
        if key in volume.labels:
            yield ZoneDemand(volume.name, key, tuple(sorted(volume.labels[key].split("__"))))


def _serves(volume: Volume, claim: Claim) -> bool:
    """Whether an unbound claim may get this volume."""
    if volume.claim is not None:
        return volume.claim == claim.key
    return (
        volume.is_available
        and volume.storage_class == claim.storage_class
        and volume.size >= claim.size
        and set(claim.access_modes) <= set(volume.access_modes)
        and (claim.selector is None or selects(claim.selector, volume.labels))
    )


def _told(claim: Claim, found: StorageClass) -> str:
    return f"class {found.name} makes no volume here for {claim.name}"
