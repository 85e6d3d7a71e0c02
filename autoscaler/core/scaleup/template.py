"""What a node that is yet to come will look like.

A live node of the group tells best; what it lacks, or all where there is
none, comes from the instance type, the EKS API and the node-template tags.
A group with several instance types is described by the smallest of them, so
that a promised place is real whichever type arrives.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from autoscaler.core.index import Index
from autoscaler.core.model import (
    HOSTNAME_LABEL,
    INSTANCE_TYPE_LABEL,
    REGION_LABEL,
    ZONE_LABELS,
    GroupName,
    InstanceShape,
    InstanceType,
    Labels,
    Node,
    NodeGroup,
    Uid,
    Zone,
)
from autoscaler.core.podspec import HostPort, Taint
from autoscaler.core.policy import Policy
from autoscaler.core.resources import NO_RESOURCES, Resources
from autoscaler.core.scheduling.fit import Fitting, NodeView
from autoscaler.core.scheduling.tally import NEW_HOST
from autoscaler.core.snapshot import DaemonSet
from autoscaler.core.virtual import GROUP_LABEL

REGION_LABELS = (REGION_LABEL, "failure-domain.beta.kubernetes.io/region")
TYPE_LABELS = (INSTANCE_TYPE_LABEL, "beta.kubernetes.io/instance-type")
OF_ONE_NODE = frozenset((*ZONE_LABELS, HOSTNAME_LABEL, "topology.k8s.aws/zone-id", "alpha.eksctl.io/instance-id"))
CONDITION_TAINTS = frozenset(
    (
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/unschedulable",
        "node.kubernetes.io/memory-pressure",
        "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/network-unavailable",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cloudprovider.kubernetes.io/shutdown",
        "NodeWithImpairedVolumes",
        "ToBeDeletedByClusterAutoscaler",
        "DeletionCandidateOfClusterAutoscaler",
    )
)
STARTUP_PREFIXES = ("startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/")
STATUS_PREFIX = "status-taint.cluster-autoscaler.kubernetes.io/"
DEFAULT_PODS = 110  # the kubelet's own default, for a group that is known by its tags alone
MIB = 2**20
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A node of a group, still empty.

    `labels` lack what differs between nodes: host name and zone. `zones` are the group's.
    `by_type` is the allocatable amount by instance type.
    """

    group: GroupName
    zones: tuple[Zone, ...]
    labels: Labels
    taints: tuple[Taint, ...]
    allocatable: Resources
    capacity: Resources
    by_type: Mapping[InstanceType, Resources]
    is_live: bool = False  # a node of the group stood as the model

    def view(self, zone: Zone | None) -> NodeView:
        """The template as the filters see it in a zone; None: in one that AWS picks."""
        if zone is None and len(self.zones) == 1:
            zone = self.zones[0]
        host = {HOSTNAME_LABEL: NEW_HOST}
        if zone is None:
            return NodeView({**self.labels, **host}, self.taints, zones=self.zones)
        return NodeView({**self.labels, **host, **zone_labels(zone)}, self.taints)


def zone_labels(zone: Zone) -> dict[str, str]:
    """Labels that a cloud controller and the EBS driver give a node in the zone."""
    return dict.fromkeys(ZONE_LABELS, str(zone)) | region_labels(zone)


def region_labels(zone: Zone) -> dict[str, str]:
    region = _REGION.match(zone)
    return dict.fromkeys(REGION_LABELS, region.group() if region else zone[:-1])


def is_startup_taint(taint: Taint, policy: Policy) -> bool:
    """Tell whether the taint is there only until the node has started."""
    return (
        taint.key in policy.startup_taints
        or taint.key.startswith(STARTUP_PREFIXES)
        or any(taint.key.startswith(prefix) for prefix in policy.startup_taint_prefixes)
    )


def lasting_taints(taints: Iterable[Taint], policy: Policy) -> tuple[Taint, ...]:
    """Leave out the taints that tell of a node's condition, of its start, or of us."""
    return tuple(
        taint
        for taint in taints
        if taint.key not in CONDITION_TAINTS
        and not is_startup_taint(taint, policy)
        and taint.key not in policy.status_taints
        and not taint.key.startswith(STATUS_PREFIX)
    )


def reserved(profile: str, capacity: Resources) -> Resources:
    """What the kubelet keeps for itself and the system on a new node.

    `eks`: the bootstrap script of the EKS images: cpu 6 % of the first core,
    1 % of the second, 0.5 % of the next two, 0.25 % of the rest; memory 255 Mi
    and 11 Mi a pod; eviction threshold 100 Mi. `kops` has the threshold only.
    """
    if profile == "none":
        return NO_RESOURCES
    if profile == "kops":
        return Resources({"memory": 100 * MIB})
    cores = capacity["cpu"]
    steps = ((0, 1000, 600), (1000, 2000, 100), (2000, 4000, 50), (4000, cores, 25))
    cpu = sum((min(cores, end) - start) * share // 10_000 for start, end, share in steps if cores > start)
    return Resources({"cpu": cpu, "memory": (255 + 11 * capacity["pods"] + 100) * MIB})


def build_template(group: NodeGroup, live: Iterable[Node], policy: Policy) -> Template | None:
    """Describe a new node of the group; None when nothing is known of its shape.

    `live` are nodes of the group that may stand as models, the best first.
    """
    kinds = {shape.instance_type for shape in group.shapes}
    ranked = [node for node in live if not kinds or node.instance_type in kinds]
    models = {node.instance_type: node for node in reversed(ranked)}
    by_type = {
        shape.instance_type: _allocatable(group, shape, models.get(shape.instance_type)) for shape in group.shapes
    }
    capacities = [models[s.instance_type].capacity if s.instance_type in models else s.capacity for s in group.shapes]
    if not by_type:
        for name, node in models.items():
            by_type[name or InstanceType("")] = _filled(node.allocatable, group.tag_resources)
            capacities.append(node.capacity)
    if not by_type:
        if group.tag_resources is None:
            return None
        tagged = Resources({"pods": DEFAULT_PODS}).with_amounts(dict(group.tag_resources.items()))
        by_type, capacities = {InstanceType(""): tagged}, [tagged]
    smallest, *others = by_type.values()
    for other in others:
        smallest = smallest.least(other)
    model = ranked[0] if ranked else None
    return Template(
        group=group.name,
        zones=group.zones,
        labels=_labels(group, model, alone=len(by_type) == 1),
        taints=lasting_taints(model.taints if model else group.taints, policy),
        allocatable=smallest,
        capacity=max(capacities, key=lambda one: (one["cpu"], one["memory"])),
        by_type=by_type,
        is_live=model is not None,
    )


def _allocatable(group: NodeGroup, shape: InstanceShape, model: Node | None) -> Resources:
    if model is not None:
        return _filled(model.allocatable, group.tag_resources)
    left = shape.capacity - reserved(group.reserved_profile, shape.capacity)
    return left.with_amounts(dict(group.tag_resources.items())) if group.tag_resources else left


def _filled(allocatable: Resources, tags: Resources | None) -> Resources:
    """A live node beats tags; tags fill what it lacks."""
    if tags is None:
        return allocatable
    return allocatable.with_amounts({name: amount for name, amount in tags.items() if name not in allocatable})


def _labels(group: NodeGroup, model: Node | None, *, alone: bool) -> dict[str, str]:
    labels: dict[str, str] = {"kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux"}
    if group.zones:
        labels |= region_labels(group.zones[0])
    architectures = {shape.architecture for shape in group.shapes}
    if len(architectures) == 1:
        labels |= dict.fromkeys(("kubernetes.io/arch", "beta.kubernetes.io/arch"), architectures.pop())
    if len(group.shapes) == 1:
        labels |= dict.fromkeys(TYPE_LABELS, str(group.shapes[0].instance_type))
    labels.update(group.labels)
    if model is not None:
        labels.update(model.labels)
    unsure = OF_ONE_NODE if alone else OF_ONE_NODE.union(TYPE_LABELS)
    return {key: value for key, value in labels.items() if key not in unsure}


def build_templates(index: Index, policy: Policy, *, tells_groups: bool = False) -> dict[GroupName, Template]:
    """Describe a new node of every group whose shape is known; with `tells_groups` each bears its group's name."""
    members: dict[GroupName, list[Node]] = {}
    for node in index.nodes.values():
        name = index.group_of_node.get(node.name)
        if name is not None:
            members.setdefault(name, []).append(node)
    found = {}
    for name, group in index.groups.items():
        nodes = sorted(members.get(name, ()), key=lambda one: (one.is_cordoned, one.name))
        usable = [one for one in nodes if one.ready and one.deleted_at is None]
        if not usable and not group.shapes and group.tag_resources is None:
            usable = nodes
        template = build_template(group, usable, policy)
        if template is not None:
            own = {GROUP_LABEL: str(name)} if tells_groups else {}
            found[name] = replace(template, labels={**template.labels, **own}) if own else template
    return found


class Overheads:
    """What the DaemonSets take of a new node."""

    __slots__ = ("_daemonsets", "_force")

    def __init__(self, daemonsets: Iterable[DaemonSet], policy: Policy) -> None:
        ordered = sorted(daemonsets, key=lambda one: (one.namespace, one.name))
        self._daemonsets = [(one, Fitting(one.spec)) for one in ordered]
        self._force = policy.force_daemonsets

    def left_on(
        self, view: NodeView, allocatable: Resources, running: Collection[Uid] = frozenset()
    ) -> tuple[Resources, frozenset[HostPort]]:
        """Return what is left for pods, and the host ports taken, by the DaemonSets that do not run there yet."""
        free = allocatable
        ports: set[HostPort] = set()
        for one in self.landing_on(view, allocatable, running):
            free = free - one.spec.requests
            ports.update(one.spec.host_ports)
        return free, frozenset(ports)

    def landing_on(
        self, view: NodeView, allocatable: Resources, running: Collection[Uid] = frozenset()
    ) -> Iterator[DaemonSet]:
        """Yield the DaemonSets that will run there and do not yet; one that cannot fit alone does only when forced."""
        free = allocatable
        for one, fitting in self._daemonsets:
            requests = one.spec.requests
            if one.uid not in running and not fitting.objections(view) and (self._force or requests.fits_in(free)):
                free = free - requests
                yield one
