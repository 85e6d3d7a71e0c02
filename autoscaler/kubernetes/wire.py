"""Wire: the fields of Kubernetes objects that the product reads, as they come.

Unknown fields are skipped by the scanner, but not inside of constraints (see
`unknown_fields`); null and absent are the same. A wire object lives only until
`convert` has made a core value of it. Nothing is judged here: a field of a
wrong type fails the decoding of its object alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec

Amounts = dict[str, str | int | float]
Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
W = TypeVar("W")


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    pass


class _Constraint(_Wire, forbid_unknown_fields=True):
    """Lists every field of Kubernetes 1.36, also what no scheduler reads: one that is not here could forbid a node."""


class WireOwner(_Wire):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool | None = None


class WireMeta(_Wire):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[WireOwner, ...] | None = None


class WireRequirement(_Constraint):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class WireSelector(_Constraint):
    match_labels: dict[str, str] | None = None
    match_expressions: tuple[WireRequirement, ...] | None = None


class WireNodeTerm(_Constraint):
    match_expressions: tuple[WireRequirement, ...] | None = None
    match_fields: tuple[WireRequirement, ...] | None = None


class WireNodeSelector(_Constraint):
    node_selector_terms: tuple[WireNodeTerm, ...] | None = None


class WirePreferredNodeTerm(_Constraint):
    weight: int = 0
    preference: WireNodeTerm | None = None


class WireNodeAffinity(_Constraint):
    required: WireNodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WirePreferredNodeTerm, ...] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class WirePodTerm(_Constraint):
    topology_key: str = ""
    label_selector: WireSelector | None = None
    namespaces: tuple[str, ...] | None = None
    namespace_selector: WireSelector | None = None
    match_label_keys: tuple[str, ...] | None = None
    mismatch_label_keys: tuple[str, ...] | None = None


class WirePreferredPodTerm(_Constraint):
    weight: int = 0
    pod_affinity_term: WirePodTerm | None = None


class WirePodAffinity(_Constraint):
    required: tuple[WirePodTerm, ...] | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WirePreferredPodTerm, ...] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class WireAffinity(_Constraint):
    node_affinity: WireNodeAffinity | None = None
    pod_affinity: WirePodAffinity | None = None
    pod_anti_affinity: WirePodAffinity | None = None


class WireToleration(_Constraint):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None  # when it is evicted, not where it may be


class WireSpread(_Constraint):
    topology_key: str = ""
    max_skew: int = 1
    when_unsatisfiable: str = ""
    label_selector: WireSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: tuple[str, ...] | None = None


class WirePresent(_Wire):
    """An object of which only the presence matters."""


class WireResources(_Constraint):
    requests: Amounts | None = None
    limits: Amounts | None = None
    claims: tuple[WirePresent, ...] | None = None  # of those in `resourceClaims`


class WireResourceClaim(_Constraint):
    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class WirePort(_Wire):
    container_port: int = 0
    host_port: int | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    protocol: str | None = None


class WireRestartRule(_Wire):
    action: str = ""


class WireContainer(_Wire):
    name: str = ""
    image: str | None = None
    resources: WireResources | None = None
    ports: tuple[WirePort, ...] | None = None
    restart_policy: str | None = None
    restart_policy_rules: tuple[WireRestartRule, ...] | None = None


class WireClaimVolume(_Wire):
    claim_name: str = ""


class WireEmptyDir(_Wire):
    medium: str | None = None


class WireDisk(_Wire):
    volume_id: str | None = msgspec.field(default=None, name="volumeID")
    pd_name: str | None = None
    iqn: str | None = None
    image: str | None = None


class WireVolume(_Wire):
    name: str = ""
    persistent_volume_claim: WireClaimVolume | None = None
    ephemeral: WirePresent | None = None
    host_path: WirePresent | None = None
    empty_dir: WireEmptyDir | None = None
    aws_elastic_block_store: WireDisk | None = None
    gce_persistent_disk: WireDisk | None = None
    iscsi: WireDisk | None = None
    rbd: WireDisk | None = None


class WireNamed(_Wire):
    name: str = ""


class WirePodSpec(_Wire):
    node_name: str | None = None
    containers: tuple[WireContainer, ...] | None = None
    init_containers: tuple[WireContainer, ...] | None = None
    resources: WireResources | None = None
    overhead: Amounts | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    preemption_policy: str | None = None
    scheduler_name: str | None = None
    scheduling_gates: tuple[WireNamed, ...] | None = None
    node_selector: dict[str, str] | None = None
    affinity: WireAffinity | None = None
    tolerations: tuple[WireToleration, ...] | None = None
    host_network: bool | None = None
    topology_spread_constraints: tuple[WireSpread, ...] | None = None
    volumes: tuple[WireVolume, ...] | None = None
    resource_claims: tuple[WireResourceClaim, ...] | None = None
    scheduling_group: WirePresent | None = None
    workload_ref: WirePresent | None = None
    host_users: bool | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    unknown_fields: tuple[str, ...] | None = None  # of no API: paths that `unknown_fields` found, kept in snapshots


class WireCondition(_Wire):
    type: str = ""
    status: str = ""
    reason: str | None = None
    last_transition_time: Timestamp | None = None


class WirePodStatus(_Wire):
    phase: str | None = None
    conditions: tuple[WireCondition, ...] | None = None
    nominated_node_name: str | None = None


class WirePod(_Wire):
    metadata: WireMeta
    spec: WirePodSpec
    status: WirePodStatus | None = None


class WireTaint(_Wire):
    key: str = ""
    value: str | None = None
    effect: str = ""


class WireNodeSpec(_Wire):
    provider_id: str | None = msgspec.field(default=None, name="providerID")
    unschedulable: bool | None = None
    taints: tuple[WireTaint, ...] | None = None


class WireNodeStatus(_Wire):
    capacity: Amounts | None = None
    allocatable: Amounts | None = None
    conditions: tuple[WireCondition, ...] | None = None


class WireNode(_Wire):
    metadata: WireMeta
    spec: WireNodeSpec | None = None
    status: WireNodeStatus | None = None


class WireTemplate(_Wire):
    spec: WirePodSpec
    metadata: WireMeta | None = None


class WireDaemonSetSpec(_Wire):
    template: WireTemplate


class WireDaemonSet(_Wire):
    metadata: WireMeta
    spec: WireDaemonSetSpec


class WireObject(_Wire):
    """Metadata alone: a Namespace, a workload owner, a bookmark."""

    metadata: WireMeta


class WireReplicas(_Wire):
    replicas: int | None = None


class WireScaled(_Wire):
    """A workload owner of which the replicas are wanted."""

    metadata: WireMeta
    spec: WireReplicas | None = None


class WireSelectingSpec(_Wire):
    replicas: int | None = None
    selector: WireSelector | None = None


class WireSelecting(_Wire):
    """A ReplicaSet or StatefulSet, of which the selector is wanted too."""

    metadata: WireMeta
    spec: WireSelectingSpec | None = None


class WireMatchingSpec(_Wire):
    replicas: int | None = None
    selector: dict[str, str] | None = None


class WireMatching(_Wire):
    """A ReplicationController or a Service, which select by labels alone."""

    metadata: WireMeta
    spec: WireMatchingSpec | None = None


class WireBudgetSpec(_Wire):
    selector: WireSelector | None = None


class WireBudgetStatus(_Wire):
    disruptions_allowed: int = 0
    observed_generation: int = 0


class WireBudgetMeta(WireMeta):
    generation: int = 0


class WireBudget(_Wire):
    """A PodDisruptionBudget."""

    metadata: WireBudgetMeta
    spec: WireBudgetSpec | None = None
    status: WireBudgetStatus | None = None


class WirePriorityClass(_Wire):
    metadata: WireMeta
    value: int
    global_default: bool | None = None
    preemption_policy: str | None = None


class WireConfigMap(_Wire):
    metadata: WireMeta
    data: dict[str, str] | None = None


class WireStatus(_Wire):
    """The body of an API error, also the object of an ERROR event."""

    status: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0


class WireListMeta(_Wire):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class WirePage(_Wire, Generic[W]):
    """One page of a LIST."""

    metadata: WireListMeta
    items: list[W] | None = None


class WirePageHead(_Wire):
    """A page without its items."""

    metadata: WireListMeta


class WireEvent(_Wire, Generic[W]):
    """One line of a WATCH."""

    type: str
    object: W


class WireDocument(_Wire):
    """Any object or list, just far enough to tell what it is."""

    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] | None = None
