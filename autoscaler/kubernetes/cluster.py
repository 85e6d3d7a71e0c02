"""ClusterCache: everything that a pass reads from Kubernetes, kept by watches.

`view` is cheap and frozen: tuples of shared values, as they are at this
moment. `generation` changes with what a pass could decide differently on; a
heartbeat does not count. `urgent` changes with what somebody waits for: not
with the coming and going of pods that have their nodes. A pass must first ask
`stale`: what is not synced, or silent for too long, must not be acted upon.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import anyio
import anyio.abc
import structlog

from autoscaler.core.census import Census, CensusTaker
from autoscaler.core.model import Labels, Node, Pod, Uid
from autoscaler.core.policy import PolicyError, Tiers
from autoscaler.core.reserve import Headroom, Reserve
from autoscaler.core.schedulers import NO_SCHEDULERS, Schedulers
from autoscaler.core.snapshot import DaemonSet
from autoscaler.core.storage import Claim, ClaimKey, Storage
from autoscaler.core.tuning import Annotated, Bearer
from autoscaler.core.workload import PodDisruptionBudget, Workload
from autoscaler.kubernetes import kinds
from autoscaler.kubernetes.cache import Kind, Pace, Reflector
from autoscaler.kubernetes.convert import Interner, MalformedObjectError, Namespace, PriorityClass, parse_priorities
from autoscaler.kubernetes.draining.residents import Residents
from autoscaler.kubernetes.kinds import ConfigMap
from autoscaler.kubernetes.owners import OwnerKinds
from autoscaler.kubernetes.policy_config import CONFIG_MAP as POLICY_CONFIG_MAP
from autoscaler.kubernetes.policy_config import KEY as POLICY_KEY
from autoscaler.kubernetes.policy_config import OperatorPolicy, parse_policy
from autoscaler.kubernetes.reserve_config import CONFIG_MAP as HEADROOM_CONFIG_MAP
from autoscaler.kubernetes.reserve_config import parse_headroom
from autoscaler.kubernetes.storage import to_storage
from autoscaler.kubernetes.transport import Api
from autoscaler.kubernetes.tuned import Tuned

log = structlog.get_logger()

PRIORITY_CONFIG_MAP = "cluster-autoscaler-priority-expander"
CONFIG_INVALID = "PriorityConfigMapInvalid"  # the event reason of cluster-autoscaler
POLICY_INVALID = "PolicyConfigMapInvalid"
HEADROOM_INVALID = "HeadroomConfigMapInvalid"
_SWEEP_SECONDS = 60.0


class _Annotated(Protocol):
    @property
    def annotations(self) -> Labels: ...


class _NamedAnnotated(_Annotated, Protocol):
    @property
    def name(self) -> str: ...


class ConfigFault(NamedTuple):
    """A ConfigMap that cannot be used; the last good one stays."""

    namespace: str
    name: str
    uid: Uid
    reason: str  # of the event to be written on it
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What is watched. Seconds: `max_staleness` is how long a cache may be silent."""

    pace: Pace
    namespace: str = "kube-system"
    priority_config_map: str = PRIORITY_CONFIG_MAP
    max_staleness: float = 180.0
    expendable_cutoff: int = -10  # pods of a lower priority hold nothing in the census
    kinds_with_replicas: frozenset[str] = frozenset()  # workloads that are read whole, not by their metadata
    schedulers: Schedulers = NO_SCHEDULERS  # where these derive selectors, Services and owners are read for them


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The cluster at one moment; `unreadable` tells the objects that are missing here."""

    generation: int
    pods: tuple[Pod, ...] = ()
    census: Census
    nodes: tuple[Node, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    annotated: Annotated = field(default_factory=Annotated)
    priority_classes: tuple[PriorityClass, ...] = ()
    workloads: Mapping[Uid, Workload] = field(default_factory=dict)
    budgets: tuple[PodDisruptionBudget, ...] = ()
    storage: Storage = field(default_factory=Storage)
    schedulers: Schedulers = NO_SCHEDULERS
    tiers: Tiers = field(default_factory=Tiers)
    operator: OperatorPolicy = field(default_factory=OperatorPolicy)
    reserve: Reserve = field(default_factory=Reserve)
    faults: tuple[ConfigFault, ...] = ()
    unreadable: tuple[MalformedObjectError, ...] = ()


class ClusterCache:
    """All reflectors of the product."""

    def __init__(self, api: Api, settings: ClusterSettings) -> None:
        self.generation = 0
        self.urgent = 0
        self.tiers = Tiers()
        self.config_fault: ConfigFault | None = None
        self.operator = OperatorPolicy()
        self.policy_fault: ConfigFault | None = None
        self._good_policy: OperatorPolicy | None = None
        self.headroom: tuple[Headroom, ...] = ()
        self.headroom_fault: ConfigFault | None = None
        self._settings = settings
        self.tuned = Tuned()
        self._census = CensusTaker(settings.expendable_cutoff)
        self.residents = Residents(self._everyone)
        self._interner = interner = Interner()
        self._waiting: anyio.Event | None = None
        pace = settings.pace
        self.pods = Reflector(api, kinds.pods(interner), pace, self._pod_changed)
        self.nodes = Reflector(api, kinds.NODES, pace, self._node_changed)
        self.daemonsets = Reflector(api, kinds.daemonsets(interner), pace, self._daemonset_changed)
        self.namespaces = Reflector(api, kinds.namespaces(interner), pace, self._namespace_changed)
        self.priority_classes = Reflector(api, kinds.PRIORITY_CLASSES, pace, self._class_changed)
        config = kinds.config_map(settings.namespace, settings.priority_config_map)
        self.config_maps = Reflector(api, config, pace, self._config_changed)
        policy = kinds.config_map(settings.namespace, POLICY_CONFIG_MAP)
        self.policies = Reflector(api, policy, pace, self._policy_changed)
        headroom = kinds.config_map(settings.namespace, HEADROOM_CONFIG_MAP)
        self.headrooms = Reflector(api, headroom, pace, self._headroom_changed)
        self.budgets = Reflector(api, kinds.BUDGETS, pace, self._follower_changed)
        self.workloads = tuple(
            Reflector(api, self._workloads(kind, interner), pace, self._workload_changed) for kind in kinds.WORKLOADS
        )
        self.owners = OwnerKinds(api, pace, interner, self._workload_changed)
        self.storage = tuple(Reflector(api, kind, pace, self._value_changed) for kind in kinds.STORAGE)
        services = [kinds.SERVICES] if settings.schedulers.derives_selectors else []
        self.services = tuple(Reflector(api, kind, pace, self._value_changed) for kind in services)

    def _workloads(self, kind: str, interner: Interner) -> Kind[Any, Workload]:
        settings = self._settings
        return kinds.workloads(
            kind,
            interner,
            with_replicas=kind in settings.kinds_with_replicas,
            with_selectors=settings.schedulers.derives_selectors,
        )

    def reflectors(self) -> Iterator[Reflector[Any, Any]]:
        """Yield every reflector, for status and metrics."""
        yield from (self.pods, self.nodes, self.daemonsets)
        yield from (self.namespaces, self.priority_classes, self.config_maps)
        yield from (self.policies, self.headrooms, self.budgets)
        yield from self.workloads
        yield from self.storage
        yield from self.services

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Watch for ever; `tasks.start` returns once every kind has synced."""
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as starting:
                for reflector in self.reflectors():
                    starting.start_soon(tasks.start, reflector.watch)
            gc.collect()
            gc.freeze()  # the caches are no garbage: a full collection need not walk them
            log.info("cache.synced", pods=len(self.pods.objects), nodes=len(self.nodes.objects))
            task_status.started()
            tasks.start_soon(self.owners.run)
            while True:
                await anyio.sleep(_SWEEP_SECONDS)
                self._interner.sweep_if_grown(self.pods.objects.values())

    def view(self) -> ClusterView:
        """Return the cluster as it is now."""
        workloads = {uid: each for one in self.workloads for uid, each in one.objects.items()}
        workloads |= {one.uid: one for one in self.owners.objects()}
        services = (each for one in self.services for each in one.objects.values())
        return ClusterView(
            generation=self.generation,
            pods=tuple(self.pods.objects.values()),
            census=self._census.view(),
            nodes=tuple(self.nodes.objects.values()),
            daemonsets=tuple(self.daemonsets.objects.values()),
            namespaces={each.name: each.labels for each in self.namespaces.objects.values()},
            annotated=Annotated(
                namespaces=_annotated(self.namespaces.objects.values()),
                priority_classes=_annotated(self.priority_classes.objects.values()),
                last_good=self.tuned.last_good,
            ),
            priority_classes=tuple(self.priority_classes.objects.values()),
            workloads=workloads,
            budgets=tuple(self.budgets.objects.values()),
            storage=to_storage(each for one in self.storage for each in one.objects.values()),
            schedulers=self._settings.schedulers.knowing(services, workloads.values()),
            tiers=self.tiers,
            operator=self.operator,
            reserve=self.operator.reserve.joined_by(self.headroom),
            faults=tuple(one for one in (self.config_fault, self.policy_fault, self.headroom_fault) if one),
            unreadable=tuple(error for one in self.reflectors() for error in one.unreadable.values()),
        )

    def volumes_of(self, pods: Iterable[Pod]) -> frozenset[str]:
        """The names of the PersistentVolumes that the pods' claims are bound to, as far as claims can be read."""
        keys = {ClaimKey(pod.namespace, ref.claim_of(pod.name)) for pod in pods for ref in pod.spec.claims}
        if not keys:
            return frozenset()
        found = (each for one in self.storage for each in one.objects.values())
        return frozenset(each.volume for each in found if isinstance(each, Claim) and each.volume and each.key in keys)

    @property
    def malformed(self) -> int:
        """How often an object could not be read, in all."""
        return sum(reflector.malformed for reflector in self.reflectors())

    def stale(self, now: float) -> list[str]:
        """Return the kinds that must not be acted upon: not synced, or silent too long; `now` is anyio's clock."""
        bound = self._settings.max_staleness
        return [each.kind.name for each in self.reflectors() if not each.synced or each.staleness(now) > bound]

    async def wait_change(self, since: int | None = None) -> int:
        """Return the generation once it differs from `since`, by default from the present one."""
        since = self.generation if since is None else since
        while self.generation == since:
            if self._waiting is None:
                self._waiting = anyio.Event()
            await self._waiting.wait()
        return self.generation

    def _wake(self, *, is_urgent: bool = True) -> None:
        self.generation += 1
        self.urgent += is_urgent
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    def _everyone(self) -> Iterable[Pod]:
        return self.pods.objects.values()

    def _pod_changed(self, before: Pod | None, after: Pod | None) -> None:
        self._census.change(before, after)
        self.residents.change(before, after)
        if (pod := after or before) is not None:
            self.owners.note(pod.owner)
            if pod.annotations or (before is not None and before.annotations):
                self._tuned_changed(Bearer("Pod", pod.namespace, pod.name), pod.uid, before, after)
        if after is None:
            relevant = before is not None
        elif before is None:
            relevant = after.node is not None or after.unschedulable_since is not None
        else:
            relevant = _pod_facts(before) != _pod_facts(after)
        if relevant:
            self._wake(is_urgent=_waits(before) or _waits(after))

    def _node_changed(self, before: Node | None, after: Node | None) -> None:
        if before is None or after is None or _node_facts(before) != _node_facts(after):
            self._wake()

    def _daemonset_changed(self, before: DaemonSet | None, after: DaemonSet | None) -> None:
        same = before is not None and after is not None and before.spec is after.spec and before.labels is after.labels
        if not same:
            self._wake()

    def _value_changed(self, before: object, after: object) -> None:
        if before != after:
            self._wake()

    def _namespace_changed(self, before: Namespace | None, after: Namespace | None) -> None:
        if (one := after or before) is not None:
            self._tuned_changed(Bearer("Namespace", "", one.name), one.uid, before, after)
        self._value_changed(before, after)

    def _class_changed(self, before: PriorityClass | None, after: PriorityClass | None) -> None:
        if (one := after or before) is not None:
            self._tuned_changed(Bearer("PriorityClass", "", one.name), one.uid, before, after)
        self._value_changed(before, after)

    def _workload_changed(self, before: Workload | None, after: Workload | None) -> None:
        """A wish of an application is obeyed at once; replicas follow the pods as they come and go."""
        one = after or before
        self.owners.note(one.owner if one is not None else None)
        if one is not None and self._tuned_changed(Bearer.of(one), one.uid, before, after):
            self._wake()
        else:
            self._follower_changed(before, after)

    def _tuned_changed(self, bearer: Bearer, uid: str, before: _Annotated | None, after: _Annotated | None) -> bool:
        old, new = (one.annotations if one is not None else None for one in (before, after))
        return self.tuned.change(bearer, uid, old, new)

    def _follower_changed(self, before: object, after: object) -> None:
        """What follows the pods as they come and go: budgets' allowances, numbers of replicas."""
        if before != after:
            self._wake(is_urgent=False)

    def _config_changed(self, before: ConfigMap | None, after: ConfigMap | None) -> None:
        """Take over new tiers; what cannot be read leaves the last good ones and becomes a fault."""
        last, known = self.config_fault, after or before
        if before == after or known is None or known.name != self._settings.priority_config_map:
            return
        self.config_fault = None
        try:
            self.tiers = _read_tiers(after)
        except PolicyError as error:
            kept = "the last good one stays" if self.tiers.entries else "all groups are one tier"
            self.config_fault = ConfigFault(known.namespace, known.name, known.uid, CONFIG_INVALID, f"{error}; {kept}")
        if self.config_fault != last and self.config_fault is not None:
            log.warning("priorities.invalid", config_map=self.config_fault.name, fault=self.config_fault.detail)
        self._wake()

    def _policy_changed(self, before: ConfigMap | None, after: ConfigMap | None) -> None:
        """Take over a new policy; a deleted one is none. One that cannot be read leaves the last good one.

        Before there is a good one, nothing voluntary is done: it may say so.
        """
        known = after or before
        if before == after or known is None or known.name != POLICY_CONFIG_MAP:
            return
        self.policy_fault = None
        try:
            text = after.data.get(POLICY_KEY, "") if after is not None else ""
            self.operator = self._good_policy = parse_policy(text)
        except PolicyError as error:
            kept = "the last good one stays"
            if self._good_policy is None:
                self.operator, kept = OperatorPolicy(paused=True), "voluntary action is paused until it can be read"
            detail = f"{error}; {kept}"
            self.policy_fault = ConfigFault(known.namespace, known.name, known.uid, POLICY_INVALID, detail)
            log.warning("policy.invalid", config_map=known.name, fault=detail)
        self._wake()

    def _headroom_changed(self, before: ConfigMap | None, after: ConfigMap | None) -> None:
        """Take over new headroom; a deleted one is none. One that cannot be read leaves the last good one."""
        known = after or before
        if before == after or known is None or known.name != HEADROOM_CONFIG_MAP:
            return
        self.headroom_fault = None
        try:
            self.headroom = parse_headroom(after.data) if after is not None else ()
        except PolicyError as error:
            detail = f"{error}; {'the last good one stays' if self.headroom else 'there is none'}"
            self.headroom_fault = ConfigFault(known.namespace, known.name, known.uid, HEADROOM_INVALID, detail)
            log.warning("headroom.invalid", config_map=known.name, fault=detail)
        self._wake()


def _annotated(objects: Iterable[_NamedAnnotated]) -> dict[str, Labels]:
    return {one.name: one.annotations for one in objects if one.annotations}


def _read_tiers(config: ConfigMap | None) -> Tiers:
    """Read the priority ConfigMap. Raises PolicyError."""
    if config is None:
        raise PolicyError("it was deleted")
    if "priorities" not in config.data:
        raise PolicyError("the key priorities is missing")
    return parse_priorities(config.data["priorities"])


def _waits(pod: Pod | None) -> bool:
    return pod is not None and pod.node is None and pod.unschedulable_since is not None


def _pod_facts(pod: Pod) -> tuple[object, ...]:
    """What a decision can hang on. Shared parts are compared by identity."""
    shared = (id(pod.spec), id(pod.labels), id(pod.annotations))
    return (*shared, pod.node, pod.nominated_node, pod.unschedulable_since, pod.deleted_at, pod.is_finished)


def _node_facts(node: Node) -> tuple[object, ...]:
    """What a decision can hang on: all but the times of heartbeats."""
    conditions = {name: status for name, (status, _) in node.conditions.items()}
    meta = (node.uid, node.created, dict(node.labels), dict(node.annotations), node.provider_id, node.deleted_at)
    return (*meta, node.taints, node.allocatable, node.is_cordoned, node.ready, node.was_ready, conditions)
