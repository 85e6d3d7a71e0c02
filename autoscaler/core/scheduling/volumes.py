"""What do the volumes of a pod ask: which claims keep it off every node, where may it be, what must be attached?

What is bound at once but has no volume yet keeps the pod off every node, as
in kube-scheduler. How many volumes a node takes is counted like a resource,
where any node tells a limit; a volume with several users is known by name, as
a node attaches it once (`sharing`). Where a node must be is for `demands`.
Source: kubernetes/pkg/scheduler/framework/plugins/{volumebinding,volumezone,volumerestrictions,nodevolumelimits}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import NodeName, Pod, Uid
from autoscaler.core.podspec import ClaimRef, NodeTerm
from autoscaler.core.scheduling.demands import Binding, Demand, Free, Making, Wanted, demands_of
from autoscaler.core.scheduling.selectors import selects
from autoscaler.core.scheduling.sharing import Handle
from autoscaler.core.storage import (
    MIGRATED_DRIVERS,
    NO_PROVISIONER,
    ONCE_PER_POD,
    Claim,
    ClaimKey,
    Storage,
    StorageClass,
    Volume,
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the volumes of a pod ask: equal needs make equal pods.

    `waiting` are its claims without a volume, by size, where what another pod
    gets could change what this one can have.
    """

    refusals: tuple[Objection, ...] = ()
    demands: tuple[Demand, ...] = ()
    attachments: tuple[tuple[str, int], ...] = ()  # volumes by driver that no other pod uses
    shared: tuple[Handle, ...] = ()  # those that another does
    exclusive: tuple[ClaimKey, ...] = ()  # claims that one pod alone may use
    waiting: tuple[tuple[ClaimKey, Wanted], ...] = ()


NO_NEEDS = Needs()
Holds = Callable[[Pod], NodeName | None]


class Volumes:
    """Answers from what the cluster tells of storage, and of the pods that are on its nodes."""

    def __init__(self, storage: Storage, pods: Iterable[Pod] = (), holds: Holds = lambda pod: pod.node) -> None:
        self.storage = storage
        self._pods = pods
        self._holds = holds
        self._shared: set[Handle] = set()
        self._users: Counter[ClaimKey] = Counter()

    def meet(self, pods: Iterable[Pod]) -> None:
        """Learn who shares volumes with whom, before anybody's needs are asked for; these pods want a place."""
        first = {handle: uid for uid, _, handles in self._residents for handle in handles}
        for uid, _, handles in self._residents:
            self._shared.update(handle for handle in handles if first[handle] != uid)
        for pod in pods:
            self._shared.update(one for one in self.handles_of(pod) if first.setdefault(one, pod.uid) != pod.uid)
            self._users.update({key for key, _ in _refs(pod)})

    def needs_of(self, pod: Pod) -> Needs:
        """Work out what the volumes of a pod ask."""
        refusals: list[Objection] = []
        demands: list[Demand] = []
        unbound: list[tuple[ClaimKey, Claim, Wanted]] = []
        exclusive: dict[ClaimKey, None] = {}
        for key, ref in _refs(pod):
            claim = self.storage.claims.get(key)
            fault = self._fault(key, claim, pod, ephemeral=ref.ephemeral)
            if claim is None or fault:
                refusals.append(Objection(Why.VOLUME, fault))
                continue
            if ONCE_PER_POD in claim.access_modes and not ref.ephemeral:
                exclusive[key] = None
            if claim.is_bound:
                demands += demands_of(self.storage.volumes[claim.volume], is_ephemeral=ref.ephemeral)
            else:
                unbound.append((key, claim, self._wanted(ref, claim)))
        unbound.sort(key=lambda row: row[1].size)
        contended = any(one.free or self._users[key] > 1 for key, _, one in unbound)
        if contended or any(not one.is_anywhere for _, _, one in unbound):
            demands.append(Binding(tuple(one for _, _, one in unbound)))
        handles = set(self.handles_of(pod))
        attachments = Counter(driver for driver, _ in handles - self._shared)
        return Needs(
            tuple(refusals),
            tuple(demands),
            tuple(sorted(attachments.items())),
            tuple(sorted(handles & self._shared)),
            tuple(exclusive),
            tuple((key, one) for key, _, one in unbound) if contended else (),
        )

    # attachments

    @cached_property
    def _limited(self) -> frozenset[str]:
        """The drivers of which some node takes only so many volumes."""
        return frozenset(driver for one in self.storage.limits.values() for driver in one.limits)

    @cached_property
    def _residents(self) -> list[tuple[Uid, NodeName, set[Handle]]]:
        """The pods on nodes that have volumes attached."""
        found = []
        for pod in self._pods if self._limited else ():
            if pod.spec.claims or pod.spec.inline_disks:
                node, handles = self._holds(pod), set(self.handles_of(pod))
                if node is not None and handles:
                    found.append((pod.uid, node, handles))
        return found

    @cached_property
    def attached(self) -> dict[NodeName, set[Handle]]:
        """The volumes that pods have attached, by node."""
        found: dict[NodeName, set[Handle]] = {}
        for _, node, handles in self._residents:
            found.setdefault(node, set()).update(handles)
        return found

    @cached_property
    def lingering(self) -> Counter[tuple[NodeName, str]]:
        """Volumes attached to a node, by driver, that none of its pods uses; who comes to use one counts again."""
        found: set[tuple[NodeName, Handle]] = set()
        for one in self.storage.attachments:
            volume = self.storage.volumes.get(one.volume)
            if volume is not None and not volume.plugin:
                handle = (one.driver, volume.handle or volume.name)
                if handle not in self.attached.get(one.node, ()):
                    found.add((one.node, handle))
        return Counter((node, driver) for node, (driver, _) in found)

    def handles_of(self, pod: Pod) -> Iterator[Handle]:
        """Yield the volumes of a pod that count against a limit."""
        for key, _ in _refs(pod):
            claim = self.storage.claims.get(key)
            driver, handle = self._driver(claim) if claim is not None else ("", "")
            if driver in self._limited:
                yield driver, handle
        for disk in pod.spec.inline_disks:
            kind, _, name = disk.partition("/")
            driver = MIGRATED_DRIVERS.get(f"kubernetes.io/{kind}", "")
            if driver in self._limited:
                yield driver, name.rpartition("/")[2]

    def _driver(self, claim: Claim) -> Handle:
        """The driver that attaches the volume, and a name of the volume that is its own."""
        volume = self.storage.volumes.get(claim.volume)
        if volume is not None:
            return volume.driver, volume.handle or volume.name
        found = self.storage.classes.get(claim.storage_class)
        if found is None:
            return "", ""
        return MIGRATED_DRIVERS.get(found.provisioner, found.provisioner), f"({claim.key})"

    # claims

    def _fault(self, key: ClaimKey, claim: Claim | None, pod: Pod, *, ephemeral: bool) -> str:
        """Why no node will do, or nothing."""
        if claim is None:
            return f"persistentvolumeclaim {key.name} not found"
        if ephemeral and claim.owner != pod.uid:
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

    def _wanted(self, ref: ClaimRef, claim: Claim) -> Wanted:
        """What an unbound claim can have; a replica's own is told by the volume, so that replicas stay equal."""
        fitting = [one for one in self._free.get(claim.storage_class, ()) if _serves(one, claim)]
        free = tuple(Free(one.name, one.terms, _is_meant(one, claim)) for one in fitting)
        making = self._making(claim, self.storage.classes[claim.storage_class])
        return Wanted(ref.name, claim.storage_class, free, making, claim.selected_node)

    @cached_property
    def _free(self) -> dict[str, list[Volume]]:
        """Volumes that a claim could get, by class, the smallest first."""
        found: dict[str, list[Volume]] = {}
        for volume in sorted(self.storage.volumes.values(), key=lambda one: (one.size, one.name)):
            if not volume.is_deleted and (volume.is_available or volume.claim is not None):
                found.setdefault(volume.storage_class, []).append(volume)
        return found

    def _making(self, claim: Claim, found: StorageClass) -> Making | None:
        """How the class makes a volume for the claim."""
        if found.provisioner in ("", NO_PROVISIONER):
            return None
        topologies = tuple(NodeTerm(expressions) for expressions in found.topologies)
        if not claim.size or not self._tells_capacity(found.provisioner):
            return Making(found.name, topologies)
        reaches = tuple(
            one.nodes
            for one in self.storage.capacities
            if one.storage_class == found.name and one.nodes is not None and one.largest >= claim.size
        )
        return Making(found.name, topologies, reaches)

    def _tells_capacity(self, provisioner: str) -> bool:
        """Whether the driver says so; of a driver without a CSIDriver, whether it has told any."""
        known = self.storage.drivers.get(provisioner)
        return known.tells_capacity if known is not None else provisioner in self._telling

    @cached_property
    def _telling(self) -> frozenset[str]:
        classes = self.storage.classes
        names = {one.storage_class for one in self.storage.capacities}
        return frozenset(classes[name].provisioner for name in names if name in classes)


def _refs(pod: Pod) -> Iterator[tuple[ClaimKey, ClaimRef]]:
    """Yield the claims of a pod; an ephemeral volume has one of the pod's own."""
    for ref in pod.spec.claims:
        yield ClaimKey(pod.namespace, ref.claim_of(pod.name)), ref


def _is_meant(volume: Volume, claim: Claim) -> bool:
    """Whether the volume names this very claim."""
    return volume.claim == claim.key and volume.claim_uid in ("", claim.uid)


def _serves(volume: Volume, claim: Claim) -> bool:
    """Whether an unbound claim of its class may get this volume, wherever it is."""
    if volume.size < claim.size or volume.mode != claim.mode or volume.attributes_class != claim.attributes_class:
        return False
    if volume.claim is not None:
        return _is_meant(volume, claim)
    return (
        volume.is_available
        and set(claim.access_modes) <= set(volume.access_modes)
        and (claim.selector is None or selects(claim.selector, volume.labels))
    )
