"""The room there is before anything is bought: existing nodes, then upcoming ones.

Existing are all nodes that the scheduler may use, in a group of ours or not.
Upcoming is what was launched and is not ready yet (DESIGN 5.1); what takes
too long is no longer counted on, and an instance that never became a Node is
named for removal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from autoscaler.core.decision import Removal
from autoscaler.core.index import Index
from autoscaler.core.model import (
    HOSTNAME_LABEL,
    ZONE_LABEL,
    GroupName,
    Instance,
    InstanceType,
    Labels,
    Node,
    NodeGroup,
    NodeName,
    Uid,
    Zone,
)
from autoscaler.core.podspec import HostPort
from autoscaler.core.resources import NO_RESOURCES, Resources
from autoscaler.core.scaleup.template import Overheads, Template, is_startup_taint, lasting_taints
from autoscaler.core.scheduling.classes import Dimensions, Vector
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.place import Place
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.virtual import GROUP_LABEL

NO_PORTS: frozenset[HostPort] = frozenset()
BEING_DELETED_TAINT = "ToBeDeletedByClusterAutoscaler"
TRANSIENT = ("node.kubernetes.io/not-ready", "node.cloudprovider.kubernetes.io/uninitialized",
             "node.kubernetes.io/network-unavailable")  # fmt: skip


@dataclass(slots=True)
class Stock:
    """Places in the order in which they are filled, and what the cluster counts to by now.

    `nodes`, `cores` (thousandths) and `memory` include what is upcoming: they
    are what `--max-nodes-total` and its kin compare with. `leaving` are the
    units by which the overdue instances lower their group's desired capacity.
    """

    existing: list[Place] = field(default_factory=list)
    upcoming: list[Place] = field(default_factory=list)
    overdue: list[Removal] = field(default_factory=list)
    leaving: Counter[GroupName] = field(default_factory=Counter)
    nodes: int = 0
    cores: int = 0
    memory: int = 0
    deadline: datetime | None = None  # the first at which something upcoming is given up

    def expect_until(self, moment: datetime) -> None:
        self.deadline = min(moment, self.deadline or moment)

    def count(self, capacity: Resources) -> None:
        self.nodes += 1
        self.cores += capacity["cpu"]
        self.memory += capacity["memory"]


@dataclass(slots=True, kw_only=True)
class Shelves:
    """All that is needed to put a node into the stock."""

    snapshot: Snapshot
    index: Index
    templates: dict[GroupName, Template]
    overheads: Overheads
    dimensions: Dimensions
    rank: Callable[[GroupName], tuple[int, str]]  # the highest tier first
    tells_groups: bool = False  # virtual pods keep to nodes of some groups: each tells its own

    _vectors: dict[int, tuple[Resources, Vector]] = field(default_factory=dict, init=False)
    _running: dict[NodeName, set[Uid]] | None = field(default=None, init=False)

    def vector(self, amounts: Resources) -> Vector:
        """The amounts along the dimensions; equal nodes share theirs."""
        known = self._vectors.get(id(amounts))
        if known is None:
            known = self._vectors[id(amounts)] = (amounts, self.dimensions.vector(amounts))
        return known[1]

    def labels(self, node: Node) -> Labels:
        """The labels by which a node is judged."""
        group = self.index.group_of_node.get(node.name) if self.tells_groups else None
        return node.labels if group is None else {**node.labels, GROUP_LABEL: group}

    def running_on(self, node: NodeName) -> Collection[Uid]:
        """The DaemonSets that have a pod on the node already; counted once, when first asked, as it takes all pods."""
        if self._running is None:
            self._running = _daemonsets_by_node(self.snapshot)
        return self._running.get(node, frozenset())


def _daemonsets_by_node(snapshot: Snapshot) -> dict[NodeName, set[Uid]]:
    known = {one.uid for one in snapshot.daemonsets}
    found: dict[NodeName, set[Uid]] = {}
    for pod in snapshot.pods if known else ():
        if pod.owner is not None and pod.owner.uid in known and pod.node is not None and not pod.is_finished:
            found.setdefault(pod.node, set()).add(pod.owner.uid)
    return found


def take_stock(shelves: Shelves) -> Stock:
    """Look at every node and every instance once."""
    stock = Stock()
    for node in shelves.index.nodes.values():
        stock.count(node.capacity)
        _shelve_node(stock, shelves, node)
    for group in sorted(shelves.index.groups.values(), key=lambda one: shelves.rank(one.name)):
        for instance in sorted(group.live, key=lambda one: (one.zone, one.id)):
            if instance.id not in shelves.index.node_of_instance:
                _shelve_instance(stock, shelves, group, instance)
        _shelve_missing(stock, shelves, group)
    stock.upcoming = _surplus_last(stock.upcoming, shelves)
    return stock


def _surplus_last(upcoming: list[Place], shelves: Shelves) -> list[Place]:
    """Fill what this pass bought so that the zones stay even: what is left over goes back, from the fullest zone."""
    launched = shelves.snapshot.wave.launched
    bought = [place for place in upcoming if place.instance in launched]
    if not bought:
        return upcoming
    tiers = {shelves.rank(place.group)[0] for place in bought if place.group is not None}
    counts = Counter(
        (shelves.rank(group.name)[0], instance.zone)
        for group in shelves.index.groups.values()
        for instance in group.live
        if instance.id not in launched and shelves.rank(group.name)[0] in tiers
    )
    ordered: list[tuple[int, int, int, Place]] = []
    for position, place in enumerate(bought):
        tier = shelves.rank(place.group)[0] if place.group is not None else 0
        zone = (tier, Zone(place.view.labels.get(ZONE_LABEL, "")))
        ordered.append((tier, counts[zone], position, place))
        counts[zone] += 1
    rest = [place for place in upcoming if place.instance not in launched]
    return rest + [place for *_, place in sorted(ordered, key=lambda row: row[:3])]


def _shelve_node(stock: Stock, shelves: Shelves, node: Node) -> None:
    is_going = bool(node.taints) and any(taint.key == BEING_DELETED_TAINT for taint in node.taints)
    if node.is_cordoned or node.deleted_at is not None or is_going:
        return
    instance = shelves.index.instance_of(node)
    if instance is not None and not instance.is_live:
        return
    policy, at = shelves.snapshot.policy, shelves.snapshot.at
    starting = bool(node.taints) and any(one.key in TRANSIENT or is_startup_taint(one, policy) for one in node.taints)
    comes = instance is not None and at - node.created < policy.max_node_startup_time
    if node.ready and not (starting and comes):
        stock.existing.append(_place_of(shelves, node, NodeView(shelves.labels(node), node.taints, node.name)))
    elif (node.ready or not node.was_ready) and comes:
        view = NodeView(shelves.labels(node), lasting_taints(node.taints, policy), node.name)
        stock.upcoming.append(_place_of(shelves, node, view, is_upcoming=True))
        stock.expect_until(node.created + policy.max_node_startup_time)


def _place_of(shelves: Shelves, node: Node, view: NodeView, *, is_upcoming: bool = False) -> Place:
    """A node with its pods taken off; a node that reports nothing yet is what its template says.

    On an upcoming node the DaemonSets that have no pod there yet take their part too.
    """
    allocatable = node.allocatable
    group = shelves.index.group_of_node.get(node.name)
    if not allocatable["cpu"] and group is not None and group in shelves.templates:
        allocatable = _allocatable(shelves.templates[group], node.instance_type)
    ports: set[HostPort] = set()
    if is_upcoming:
        allocatable, taken = shelves.overheads.left_on(view, allocatable, shelves.running_on(node.name))
        ports.update(taken)
    free = shelves.vector(allocatable)
    use = shelves.index.census.used.get(node.name)
    if use is not None:
        held = use.amounts.get
        free = tuple([have - held(name, 0) for have, name in zip(free, shelves.dimensions.names, strict=True)])
        ports.update(use.ports)
    taken_ports = frozenset(ports) if ports else NO_PORTS
    return Place(view, free, taken_ports, node.name, group, node.instance_id, is_upcoming)


def _shelve_instance(stock: Stock, shelves: Shelves, group: NodeGroup, instance: Instance) -> None:
    at, policy = shelves.snapshot.at, shelves.snapshot.policy
    template = shelves.templates.get(group.name)
    stock.count(template.capacity if template is not None else NO_RESOURCES)
    if instance.since is not None and at - instance.since >= policy.max_node_provision_time:
        decrement = group.desired - stock.leaving[group.name] - instance.weight >= group.min_size
        stock.leaving[group.name] += instance.weight if decrement else 0
        stock.overdue.append(Removal(group=group.name, instance=instance.id, decrement=decrement, reason="NoNode"))
    elif template is not None:
        view = _named(template.view(instance.zone), f"({instance.id})")
        place = _new_place(shelves, template, view, instance.instance_type)
        place.instance = instance.id
        stock.upcoming.append(place)
        if instance.since is not None:
            stock.expect_until(instance.since + policy.max_node_provision_time)


def _shelve_missing(stock: Stock, shelves: Shelves, group: NodeGroup) -> None:
    """Desired above the instances is upcoming, until it is proven not to come."""
    missing = (group.desired - group.live_units - group.proven_missing) // group.weight
    template = shelves.templates.get(group.name)
    if missing <= 0 or template is None:
        return
    comes = "Launch" not in group.suspended and not group.is_being_deleted
    for number in range(missing):
        stock.count(template.capacity)
        if comes:
            view = _named(template.view(None), f"({group.name} {number})")
            stock.upcoming.append(_new_place(shelves, template, view, None))


def _named(view: NodeView, host: str) -> NodeView:
    """Tell a node without a name from all others: each host is a topology domain."""
    return view._replace(labels={**view.labels, HOSTNAME_LABEL: host})


def _new_place(shelves: Shelves, template: Template, view: NodeView, kind: InstanceType | None) -> Place:
    free, ports = shelves.overheads.left_on(view, _allocatable(template, kind))
    return Place(view, shelves.dimensions.vector(free), ports, group=template.group, is_upcoming=True)


def _allocatable(template: Template, kind: InstanceType | None) -> Resources:
    return template.allocatable if kind is None else template.by_type.get(kind, template.allocatable)
