"""Specs: the constraints of a pod, from the wire to core's PodSpec.

Defaults are those that the API server stores, as files may lack them. What
we cannot read (an operator, an effect) becomes an entry of `unknowns`: the
pod is kept, and nobody guesses what it meant. Only what is no value at all
makes the whole object malformed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from autoscaler.core.model import NO_LABELS, Labels
from autoscaler.core.podspec import (
    ClaimRef,
    HostPort,
    LabelSelector,
    NodeTerm,
    PodSpec,
    PodTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    SpreadConstraint,
    Toleration,
)
from autoscaler.core.scheduling.fit import whole_number
from autoscaler.kubernetes.requests import FieldError, effective_requests, is_sidecar
from autoscaler.kubernetes.wire import (
    WireAffinity,
    WireContainer,
    WireNodeAffinity,
    WireNodeSelector,
    WireNodeTerm,
    WirePodAffinity,
    WirePodSpec,
    WirePodTerm,
    WireRequirement,
    WireSelector,
    WireSpread,
    WireToleration,
    WireVolume,
)

_NODE_OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"})
_FIELD_OPERATORS = frozenset({"In", "NotIn"})
_LABEL_OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})
_TOLERATION_OPERATORS = frozenset({"Equal", "Exists", "Lt", "Gt"})
_EFFECTS = frozenset({"", "NoSchedule", "PreferNoSchedule", "NoExecute"})
_EVERY_ADDRESS = str(IPv4Address(0))
_POLICIES = {"Honor": True, "Ignore": False}


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A PriorityClass: what admission would write into a pod, and the annotations that the product reads."""

    name: str
    value: int
    is_default: bool = False
    can_preempt: bool = True
    annotations: Labels = field(default_factory=lambda: NO_LABELS, hash=False)
    uid: str = ""


@dataclass(frozen=True, slots=True)
class PriorityClasses:
    """Stands in for the admission of priorities where a pod came without it."""

    classes: tuple[PriorityClass, ...] = ()
    _by_name: dict[str, PriorityClass] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        builtin = {
            "system-cluster-critical": PriorityClass("system-cluster-critical", 2_000_000_000),
            "system-node-critical": PriorityClass("system-node-critical", 2_000_001_000),
        }
        object.__setattr__(self, "_by_name", builtin | {each.name: each for each in self.classes})

    def find(self, name: str | None) -> PriorityClass | None:
        """Return the named class; without a name the global default one, the lowest of several."""
        if name:
            return self._by_name.get(name)
        defaults = [each for each in self.classes if each.is_default]
        return min(defaults, key=lambda each: (each.value, each.name), default=None)


NO_PRIORITY_CLASSES = PriorityClasses()


def to_spec(wire: WirePodSpec, priorities: PriorityClasses = NO_PRIORITY_CLASSES) -> PodSpec:
    """Convert a spec. Raises FieldError when its requests cannot be read or it has no container."""
    if not wire.containers:
        raise FieldError("spec.containers: there is none")
    doubts: list[str] = []
    found = None if wire.priority is not None else priorities.find(wire.priority_class_name)
    affinity = wire.affinity or WireAffinity()
    required, preferred = _node_affinity(affinity.node_affinity, doubts)
    together, apart = affinity.pod_affinity, affinity.pod_anti_affinity
    preemption = wire.preemption_policy
    doubts += _unjudged(wire)
    return PodSpec(
        requests=effective_requests(wire),
        priority=wire.priority if wire.priority is not None else found.value if found else 0,
        priority_class=wire.priority_class_name or (found.name if found else ""),
        can_preempt=preemption != "Never" if preemption else found.can_preempt if found else True,
        scheduler=wire.scheduler_name or "default-scheduler",
        gates=tuple(sorted(gate.name for gate in wire.scheduling_gates or ())),
        node_selector=tuple(sorted((wire.node_selector or {}).items())),
        node_terms=required,
        preferred_node_terms=preferred,
        tolerations=tuple(_toleration(each, doubts) for each in wire.tolerations or ()),
        host_ports=_host_ports(wire),
        affinity=_required_terms("podAffinity", together, doubts),
        anti_affinity=_required_terms("podAntiAffinity", apart, doubts),
        preferred_affinity=_preferred_terms("podAffinity", together),
        preferred_anti_affinity=_preferred_terms("podAntiAffinity", apart),
        spread=tuple(_spread(each, doubts) for each in wire.topology_spread_constraints or ()),
        claims=_claims(wire.volumes or ()),
        inline_disks=_inline_disks(wire.volumes or ()),
        resource_claims=bool(wire.resource_claims),
        local_volumes=tuple(sorted(volume.name for volume in wire.volumes or () if _is_local(volume))),
        restart_policy=wire.restart_policy or "Always",
        grace_seconds=wire.termination_grace_period_seconds,
        images=tuple(container.image for container in wire.containers if container.image),
        unknowns=tuple(dict.fromkeys(doubts)),
    )


def forget_amounts(wire: WirePodSpec) -> None:
    """Take out what the pod asks for, where it cannot be read."""
    for container in (*(wire.containers or ()), *(wire.init_containers or ())):
        container.resources = None
    wire.resources = wire.overhead = None


def _unjudged(wire: WirePodSpec) -> Iterator[str]:
    """Yield what nothing here judges: unknown fields, gangs, and features that nodes must declare.

    Source: kubernetes, plugins/{gangscheduling,nodedeclaredfeatures}, component-helpers/nodedeclaredfeatures
    """
    for path in wire.unknown_fields or ():
        yield f"{path}: a field that this version does not know"
    if wire.scheduling_group is not None:
        yield "schedulingGroup: pods that are scheduled together"
    if wire.workload_ref is not None:
        yield "workloadRef: pods that are scheduled together"
    if wire.host_network and wire.host_users is False:
        yield "hostUsers: false on the host network, which a node must declare to have"
    for container in (*(wire.containers or ()), *(wire.init_containers or ())):
        if any(rule.action == "RestartAllContainers" for rule in container.restart_policy_rules or ()):
            yield "restartPolicyRules: RestartAllContainers, which a node must declare to have"


def _requirements(
    where: str, wire: Iterable[WireRequirement] | None, known: frozenset[str], doubts: list[str]
) -> tuple[Requirement, ...]:
    result = []
    for each in wire or ():
        if each.operator not in known:
            doubts.append(f"{where}: operator {each.operator!r} of {each.key!r}")
        elif not _has_right_values(each.operator, len(each.values or ())):
            doubts.append(f"{where}: {each.operator} of {each.key!r} with {len(each.values or ())} values")
        result.append(Requirement(each.key, each.operator, tuple(sorted(each.values or ()))))
    return tuple(sorted(result))


def _has_right_values(operator: str, count: int) -> bool:
    """Whether an operator may have so many values, by k8s.io/apimachinery/pkg/labels, NewRequirement."""
    if operator in ("In", "NotIn"):
        return count > 0
    return count == (operator in ("Gt", "Lt"))


def _node_term(wire: WireNodeTerm, doubts: list[str]) -> NodeTerm:
    where = "nodeAffinity.matchFields"
    fields = _requirements(where, wire.match_fields, _FIELD_OPERATORS, doubts)
    doubts += [f"{where}: {each.key!r}" for each in fields if each.key != "metadata.name"]
    doubts += [f"{where}: {len(each.values)} values of {each.key!r}" for each in fields if len(each.values) > 1]
    expressions = _requirements("nodeAffinity.matchExpressions", wire.match_expressions, _NODE_OPERATORS, doubts)
    return NodeTerm(expressions, fields)


def read_node_term(wire: WireNodeTerm) -> tuple[NodeTerm, tuple[str, ...]]:
    """Convert one required node term; return with it what kube-scheduler would not take."""
    doubts: list[str] = []
    term = _node_term(wire, doubts)
    doubts += [
        f"{each.operator} of {each.key!r}: {each.values[0]!r} is no integer"
        for each in term.expressions
        if each.operator in ("Gt", "Lt") and len(each.values) == 1 and whole_number(each.values[0]) is None
    ]
    return term, tuple(doubts)


def to_node_terms(wire: WireNodeSelector) -> tuple[NodeTerm, ...]:
    """Convert required node terms; an operator that we do not know matches no node."""
    return tuple(_node_term(term, []) for term in wire.node_selector_terms or ())


def _node_affinity(
    wire: WireNodeAffinity | None, doubts: list[str]
) -> tuple[tuple[NodeTerm, ...] | None, tuple[PreferredNodeTerm, ...]]:
    if wire is None:
        return None, ()
    required = None
    if wire.required is not None:
        required = tuple(_node_term(term, doubts) for term in wire.required.node_selector_terms or ())
    ignored: list[str] = []  # a preference that we cannot read keeps no pod from a node
    preferred = tuple(
        PreferredNodeTerm(each.weight, _node_term(each.preference or WireNodeTerm(), ignored))
        for each in wire.preferred or ()
    )
    return required, preferred


def _selector(where: str, wire: WireSelector | None, doubts: list[str]) -> LabelSelector | None:
    if wire is None:
        return None
    equal = tuple(Requirement(key, "In", (value,)) for key, value in sorted((wire.match_labels or {}).items()))
    return LabelSelector(equal + _requirements(where, wire.match_expressions, _LABEL_OPERATORS, doubts))


def to_selector(where: str, wire: WireSelector | None) -> LabelSelector | None:
    """Convert a label selector that must be read whole. Raises FieldError."""
    doubts: list[str] = []
    selector = _selector(where, wire, doubts)
    if doubts:
        raise FieldError("; ".join(doubts))
    return selector


def _pod_term(where: str, wire: WirePodTerm, doubts: list[str]) -> PodTerm:
    return PodTerm(
        topology_key=wire.topology_key,
        selector=_selector(f"{where}.labelSelector", wire.label_selector, doubts),
        namespaces=tuple(sorted(wire.namespaces or ())),
        namespace_selector=_selector(f"{where}.namespaceSelector", wire.namespace_selector, doubts),
        match_label_keys=tuple(sorted(wire.match_label_keys or ())),
        mismatch_label_keys=tuple(sorted(wire.mismatch_label_keys or ())),
    )


def _required_terms(where: str, wire: WirePodAffinity | None, doubts: list[str]) -> tuple[PodTerm, ...]:
    return () if wire is None else tuple(_pod_term(where, term, doubts) for term in wire.required or ())


def _preferred_terms(where: str, wire: WirePodAffinity | None) -> tuple[PreferredPodTerm, ...]:
    if wire is None:
        return ()
    ignored: list[str] = []
    return tuple(
        PreferredPodTerm(each.weight, _pod_term(where, each.pod_affinity_term or WirePodTerm(), ignored))
        for each in wire.preferred or ()
    )


def _toleration(wire: WireToleration, doubts: list[str]) -> Toleration:
    operator, effect = wire.operator or "Equal", wire.effect or ""
    if operator not in _TOLERATION_OPERATORS:
        doubts.append(f"tolerations: operator {operator!r} of {wire.key or ''!r}")
    if effect not in _EFFECTS:
        doubts.append(f"tolerations: effect {effect!r} of {wire.key or ''!r}")
    return Toleration(wire.key or "", operator, wire.value or "", effect)


def _spread(wire: WireSpread, doubts: list[str]) -> SpreadConstraint:
    where = "topologySpreadConstraints"
    if wire.when_unsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
        doubts.append(f"{where}: whenUnsatisfiable {wire.when_unsatisfiable!r}")
    hard = wire.when_unsatisfiable != "ScheduleAnyway"
    told = doubts if hard else []

    def policy(name: str, value: str | None, default: str) -> bool:
        if (value or default) not in _POLICIES:
            told.append(f"{where}: {name} {value!r}")
        return _POLICIES.get(value or default, _POLICIES[default])

    return SpreadConstraint(
        topology_key=wire.topology_key,
        max_skew=wire.max_skew,
        hard=hard,
        selector=_selector(f"{where}.labelSelector", wire.label_selector, told),
        min_domains=wire.min_domains if wire.min_domains is not None else 1,
        honor_node_affinity=policy("nodeAffinityPolicy", wire.node_affinity_policy, "Honor"),
        honor_node_taints=policy("nodeTaintsPolicy", wire.node_taints_policy, "Ignore"),
        match_label_keys=tuple(sorted(wire.match_label_keys or ())),
    )


def _host_ports(wire: WirePodSpec) -> tuple[HostPort, ...]:
    """Ports on the node; with hostNetwork each container port is one. Sidecars count, as in kube-scheduler."""
    running: list[WireContainer] = [each for each in wire.init_containers or () if is_sidecar(each)]
    running += wire.containers or ()
    found = set()
    for container in running:
        for port in container.ports or ():
            number = port.host_port or (port.container_port if wire.host_network else 0)
            if number > 0:
                found.add(HostPort(port.protocol or "TCP", port.host_ip or _EVERY_ADDRESS, number))
    return tuple(sorted(found))


def _claims(volumes: Iterable[WireVolume]) -> tuple[ClaimRef, ...]:
    """Claims in order of their names; one that is listed twice stays so, as kube-scheduler looks for two volumes."""
    found = []
    for volume in volumes:
        if volume.persistent_volume_claim is not None:
            found.append(ClaimRef(volume.persistent_volume_claim.claim_name))
        elif volume.ephemeral is not None:
            found.append(ClaimRef(volume.name, ephemeral=True))
    return tuple(sorted(found))


def _inline_disks(volumes: Iterable[WireVolume]) -> tuple[str, ...]:
    names = set()
    for volume in volumes:
        if volume.aws_elastic_block_store is not None:
            names.add(f"aws-ebs/{volume.aws_elastic_block_store.volume_id or ''}")
        if volume.gce_persistent_disk is not None:
            names.add(f"gce-pd/{volume.gce_persistent_disk.pd_name or ''}")
        if volume.iscsi is not None:
            names.add(f"iscsi/{volume.iscsi.iqn or ''}")
        if volume.rbd is not None:
            names.add(f"rbd/{volume.rbd.image or ''}")
    return tuple(sorted(names))


def _is_local(volume: WireVolume) -> bool:
    if volume.host_path is not None:
        return True
    return volume.empty_dir is not None and volume.empty_dir.medium != "Memory"


def compact(wire: WirePodSpec) -> None:
    """Take out what makes equal specs look different: the node, and volumes that constrain nothing.

    The token volume `kube-api-access-xxxxx` is the usual one.
    """
    wire.node_name = None
    if wire.volumes:
        wire.volumes = tuple([volume for volume in wire.volumes if _matters(volume)])


def _matters(volume: WireVolume) -> bool:
    return (
        volume.empty_dir is not None
        or volume.persistent_volume_claim is not None
        or volume.host_path is not None
        or volume.ephemeral is not None
        or volume.aws_elastic_block_store is not None
        or volume.gce_persistent_disk is not None
        or volume.iscsi is not None
        or volume.rbd is not None
    )
