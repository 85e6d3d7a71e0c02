"""What a pod asks of a node: the parts of its spec that placement reads.

A PodSpec is shared by all pods of equal specs (the cache interns it), so
whatever is derived from one is derived once. Parsing is the edges' work, the
judgement is `scheduling`'s. Field names follow the Kubernetes API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from autoscaler.core.resources import Resources


class Effect(StrEnum):
    """Effect of a taint."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Taint(NamedTuple):
    """A taint of a node."""

    key: str
    value: str
    effect: Effect

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class Toleration(NamedTuple):
    """A toleration; an empty key tolerates every key, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"  # Equal | Exists | Lt | Gt
    value: str = ""
    effect: str = ""


class Requirement(NamedTuple):
    """One matchExpressions entry; `operator` In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeTerm(NamedTuple):
    """A node selector term: all of it must match; an empty one matches nothing."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


class PreferredNodeTerm(NamedTuple):
    weight: int
    term: NodeTerm


class LabelSelector(NamedTuple):
    """A label selector with matchLabels turned into `In` requirements; empty matches all."""

    requirements: tuple[Requirement, ...] = ()


class PodTerm(NamedTuple):
    """A required pod affinity or anti-affinity term.

    `selector` None selects no pod. `namespaces` and `namespace_selector` both
    empty (None) means the pod's own namespace.
    """

    topology_key: str
    selector: LabelSelector | None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class PreferredPodTerm(NamedTuple):
    weight: int
    term: PodTerm


class SpreadConstraint(NamedTuple):
    """A topologySpreadConstraints entry."""

    topology_key: str
    max_skew: int
    hard: bool  # DoNotSchedule
    selector: LabelSelector | None
    min_domains: int = 1
    honor_node_affinity: bool = True
    honor_node_taints: bool = False
    match_label_keys: tuple[str, ...] = ()


class HostPort(NamedTuple):
    """A port taken on the node; address 0.0.0.0 conflicts with every address."""

    protocol: str
    address: str
    port: int


class ClaimRef(NamedTuple):
    """A volume from a PersistentVolumeClaim; `name` is the claim's, or the volume's where the claim is ephemeral."""

    name: str
    ephemeral: bool = False

    def claim_of(self, pod: str) -> str:
        """The name of the claim in the namespace of the pod of this name."""
        return f"{pod}-{self.name}" if self.ephemeral else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    """What one pod asks for.

    `requests` is the scheduler's figure: containers, restartable and ordinary
    init containers, pod-level resources and overhead taken together, plus one
    of the resource `pods`. `unknowns` names constraints that we cannot read;
    a pod with any is never promised a place.
    """

    requests: Resources
    priority: int = 0
    priority_class: str = ""
    can_preempt: bool = True
    scheduler: str = "default-scheduler"
    gates: tuple[str, ...] = ()
    node_selector: tuple[tuple[str, str], ...] = ()
    node_terms: tuple[NodeTerm, ...] | None = None  # required, OR-ed; None: no requirement
    preferred_node_terms: tuple[PreferredNodeTerm, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    preferred_affinity: tuple[PreferredPodTerm, ...] = ()
    preferred_anti_affinity: tuple[PreferredPodTerm, ...] = ()
    spread: tuple[SpreadConstraint, ...] = ()
    claims: tuple[ClaimRef, ...] = ()
    inline_disks: tuple[str, ...] = ()  # cloud disks named in the pod itself
    resource_claims: bool = False  # dynamic resource allocation
    local_volumes: tuple[str, ...] = ()  # names of hostPath and disk-backed emptyDir volumes
    restart_policy: str = "Always"
    grace_seconds: int | None = None
    images: tuple[str, ...] = ()
    unknowns: tuple[str, ...] = ()
    added_terms: tuple[NodeTerm, ...] | None = None  # required by the scheduler's own configuration, OR-ed
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    @property
    def has_hard_spread(self) -> bool:
        """Has a DoNotSchedule spread constraint."""
        return any(one.hard for one in self.spread)

    def __hash__(self) -> int:
        """Hash once: a spec is a key many times in a pass."""
        if not self._hash:
            parts = (
                self.requests,
                self.priority,
                self.node_selector,
                self.node_terms,
                self.tolerations,
                self.host_ports,
                self.affinity,
                self.anti_affinity,
                self.spread,
                self.claims,
            )
            object.__setattr__(self, "_hash", hash(parts) or 1)
        return self._hash
