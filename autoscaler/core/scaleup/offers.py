"""What can be bought now: every offering with its template, its tier and its caps.

An `Offer` is frozen for the pass; what a plan uses up is counted in `Caps`.
Reasons that do not depend on the pod are collected here, each group's own
and the cluster's; whether a pod fits is asked through `Offer.host`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.core.decision import Objection, Why
from autoscaler.core.index import Index
from autoscaler.core.menu import LEFT_OUT
from autoscaler.core.model import GroupName, LaunchMethod, NodeGroup, Offering, Zone
from autoscaler.core.podspec import HostPort
from autoscaler.core.resources import Resources
from autoscaler.core.scaleup.stock import Shelves, Stock
from autoscaler.core.scaleup.template import Template
from autoscaler.core.scheduling.aisles import Questions
from autoscaler.core.scheduling.classes import PodClass, Vector
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.place import MANY, copies_of, ports_conflict
from autoscaler.core.snapshot import Snapshot

# With nothing worse than these, the group could host the pod at another time.
PASSING = frozenset(
    (
        Why.LOWER_TIER,
        Why.IN_BACKOFF,
        Why.MISCONFIGURED,
        Why.MAX_SIZE_REACHED,
        Why.QUOTA_EXCEEDED,
        Why.NO_FREE_ADDRESSES,
        Why.MAX_NODES_TOTAL,
        Why.MAX_NODES_PER_SCALE_UP,
        Why.CORES_TOTAL,
        Why.MEMORY_TOTAL,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offer:
    """A node of `group` in one zone (None: AWS picks it), and what stands against asking for it.

    `free` is an empty node after its DaemonSets, which hold `ports`; `empty` is the same in words.
    `limit` bounds the nodes of this wave, where the pool is being probed.
    """

    offering: Offering
    group: NodeGroup
    template: Template
    tier: int
    view: NodeView
    free: Vector
    empty: Resources
    ports: frozenset[HostPort]
    objections: tuple[Objection, ...]
    limit: int | None

    @property
    def zones(self) -> tuple[Zone, ...]:
        return self.group.zones if self.offering.zone is None else (self.offering.zone,)

    def per_node(self, one: PodClass) -> int:
        """How many pods of the class an empty node takes; 0 when there is an objection to the first."""
        if one.refusals or one.fitting.objections(self.view) or ports_conflict(one.spec.host_ports, self.ports):
            return 0
        copies = copies_of(self.free, one)
        return min(copies, 1) if one.spec.host_ports else copies

    def host(self, one: PodClass) -> Iterator[Objection]:
        """Yield every reason why an empty node here cannot take a pod of the class, anybody's wishes aside."""
        yield from one.refusals
        if not copies_of(self.free, one):
            lacking = [name for name, amount in one.spec.requests.items() if amount > self.empty[name]]
            if lacking:
                yield Objection(Why.TOO_SMALL, f"lacks {', '.join(lacking)}; an empty node has {self.empty}")
            else:
                yield Objection(Why.VOLUME_LIMIT, "an empty node attaches fewer volumes than the pod has")
        if ports_conflict(one.spec.host_ports, self.ports):
            yield Objection(Why.HOST_PORT_TAKEN, "by a DaemonSet, on every node")
        yield from one.fitting.base.objections(self.view)


@dataclass(slots=True)
class Caps:
    """How many more nodes may be asked for: by group, by probe, by the cluster's totals."""

    groups: dict[GroupName, int]
    probes: dict[Offering, int]
    burst: int  # nodes of one scale-up
    nodes: int
    cores: int
    memory: int

    def room(self, offer: Offer) -> int:
        most = min(self.groups[offer.group.name], self.in_cluster(offer.template))
        if offer.limit is not None:
            most = min(most, self.probes[offer.offering])
        return max(most, 0)

    def in_cluster(self, template: Template) -> int:
        """How many nodes of a kind the cluster's totals leave."""
        cores, memory = template.capacity["cpu"], template.capacity["memory"]
        by_cores = self.cores // cores if cores else MANY
        by_memory = self.memory // memory if memory else MANY
        return min(self.nodes, self.burst, by_cores, by_memory)

    def use(self, offer: Offer, nodes: int) -> None:
        self.groups[offer.group.name] -= nodes
        if offer.offering in self.probes:
            self.probes[offer.offering] -= nodes
        self.burst -= nodes
        self.nodes -= nodes
        self.cores -= nodes * offer.template.capacity["cpu"]
        self.memory -= nodes * offer.template.capacity["memory"]

    def is_probing(self, offer: Offer) -> bool:
        """The answer to this wave's probe decides whether more may be asked for here."""
        return self.probes.get(offer.offering, 1) <= 0 < self.groups[offer.group.name]

    def objections(self, offer: Offer) -> Iterator[Objection]:
        group = offer.group
        if self.groups[group.name] <= 0:
            yield Objection(Why.MAX_SIZE_REACHED, f"{group.max_size}")
        if self.burst <= 0:
            yield Objection(Why.MAX_NODES_PER_SCALE_UP)
        if self.nodes <= 0:
            yield Objection(Why.MAX_NODES_TOTAL)
        if self.cores < offer.template.capacity["cpu"]:
            yield Objection(Why.CORES_TOTAL)
        if self.memory < offer.template.capacity["memory"]:
            yield Objection(Why.MEMORY_TOTAL)

    def copy(self) -> Caps:
        return Caps(dict(self.groups), dict(self.probes), self.burst, self.nodes, self.cores, self.memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """All offers in name order, the caps at the start, and groups that cannot be asked at all."""

    offers: tuple[Offer, ...]
    caps: Caps
    closed: dict[GroupName, tuple[Objection, ...]]  # groups without an offer


def tiers_of(snapshot: Snapshot) -> dict[GroupName, int | None]:
    """Give each group its priority; None leaves it out."""
    return snapshot.policy.tiers.assign(sorted(group.name for group in snapshot.groups))


def open_market(shelves: Shelves, stock: Stock, questions: Questions) -> Market:
    """List what can be bought in this wave. Nodes that no pod can tell apart share their view."""
    snapshot, overheads = shelves.snapshot, shelves.overheads
    tiers = tiers_of(snapshot)
    offers: list[Offer] = []
    views: dict[object, NodeView] = {}
    closed: dict[GroupName, tuple[Objection, ...]] = {}
    for name, group in shelves.index.groups.items():
        standing = tuple(_standing(group, stock, is_left_out=tiers[name] is None and name not in questions.named))
        template = shelves.templates.get(name)
        if template is None:
            detail = (
                "; ".join(fault.detail for fault in group.faults) or "no node, no launch template and no tags tell it"
            )
            closed[name] = (*standing, Objection(Why.UNKNOWN_SHAPE, detail))
            continue
        for zone in _zones_to_name(group, snapshot):
            availability = snapshot.memory.availability(group, zone, snapshot.at)
            own = template.view(zone)
            empty, ports = overheads.left_on(own, template.allocatable)
            residents = tuple([one.uid for one in overheads.landing_on(own, template.allocatable)])
            if questions.tells_groups:
                own = own._replace(group=name)
            view = views.setdefault((questions.kind(own.labels), own.taints, own.zones, own.group, residents), own)
            offers.append(
                Offer(
                    offering=Offering(name, zone),
                    group=group,
                    template=template,
                    tier=tiers[name] or 0,
                    view=view,
                    free=shelves.dimensions.vector(empty),
                    empty=empty,
                    ports=ports,
                    objections=(*standing, *availability.objections),
                    limit=availability.limit,
                )
            )
    return Market(offers=tuple(offers), caps=_caps(snapshot, shelves.index, stock, offers), closed=closed)


def method_of(group: NodeGroup, snapshot: Snapshot) -> LaunchMethod:
    """How the group is asked: by flag, by its own kind, and never by a call that is missing here."""
    method = snapshot.policy.launch_method or group.method
    if method is LaunchMethod.SYNC and not snapshot.memory.has_launch_api(group.name, snapshot.at):
        return LaunchMethod.DESIRED
    return method


def _zones_to_name(group: NodeGroup, snapshot: Snapshot) -> tuple[Zone | None, ...]:
    if len(group.zones) > 1 and method_of(group, snapshot) is LaunchMethod.DESIRED:
        return (None,)
    return tuple(sorted(group.zones)) or (None,)


def _standing(group: NodeGroup, stock: Stock, *, is_left_out: bool) -> Iterator[Objection]:
    """What stands against the group whatever the pod."""
    if is_left_out:
        yield LEFT_OUT
    if group.is_being_deleted:
        yield Objection(Why.BEING_DELETED)
    if "Launch" in group.suspended:
        yield Objection(Why.LAUNCH_SUSPENDED, "the group's Launch process is suspended")
    late = [removal.instance for removal in stock.overdue if removal.group == group.name]
    if late:
        yield Objection(Why.IN_BACKOFF, f"{late[0]} never became a Node")


def _caps(snapshot: Snapshot, index: Index, stock: Stock, offers: list[Offer]) -> Caps:
    policy = snapshot.policy
    left = policy.max_nodes_total - stock.nodes if policy.max_nodes_total else MANY
    return Caps(
        groups={
            name: (group.max_size - max(group.desired, group.live_units)) // group.weight
            for name, group in index.groups.items()
        },
        probes={offer.offering: offer.limit for offer in offers if offer.limit is not None},
        burst=policy.max_nodes_per_scaleup - len(snapshot.wave.launched),
        nodes=left,
        cores=policy.max_cores_total * 1000 - stock.cores,
        memory=policy.max_memory_total - stock.memory,
    )
