"""The stage of a pass: which pods would have to move, and the places for them.

Built once the nodes are known by themselves, and only if any could go. Pending
pods that scale-up has put onto existing or upcoming nodes hold their places
here too; so do the pods of nodes that are being drained already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from autoscaler.core.layout import Layout
from autoscaler.core.model import GroupName, Market, NodeName, Pod
from autoscaler.core.scaledown.cases import Case, Roster
from autoscaler.core.scaledown.drainability import Fate, Rulebook, is_air
from autoscaler.core.scaledown.victims import fullness
from autoscaler.core.scaledown.yard import Load, Row, Yard, in_load_order
from autoscaler.core.scaleup import offers as market
from autoscaler.core.scaleup.attachments import limit_attachments
from autoscaler.core.scaleup.residents import settle_residents
from autoscaler.core.scaleup.stock import Stock, take_stock
from autoscaler.core.scheduling.aisles import Questions, in_aisles
from autoscaler.core.scheduling.classes import Dimensions, PodClass, classify
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.place import Place, plus
from autoscaler.core.scheduling.profiles import Profiles
from autoscaler.core.scheduling.selectors import Namespaces
from autoscaler.core.scheduling.topology import Topology, build_topology
from autoscaler.core.scheduling.volumes import Volumes
from autoscaler.core.virtual import is_virtual

_node_of = attrgetter("node")
Tiers = Mapping[GroupName, int | None]


@dataclass(slots=True, kw_only=True)
class Stage:
    """Places and loads. `loads` by node: what must move, and what of air would buy anew."""

    stock: Stock
    market: market.Market
    dimensions: Dimensions
    topology: Topology
    yard: Yard
    row: Row
    tiers: Tiers
    loads: dict[NodeName, Load] = field(default_factory=dict)
    air: dict[NodeName, Load] = field(default_factory=dict)
    claimed: frozenset[NodeName] = frozenset()  # a pending pod is about to take room there
    markets: Mapping[GroupName, Market] = field(default_factory=dict)
    _rows: dict[tuple[int | None, bool], Row] = field(default_factory=dict)

    def load(self, case: Case, *, with_air: bool) -> Load:
        found = self.loads.get(case.name, [])
        return [*found, *self.air.get(case.name, ())] if with_air else found

    def target_row(self, above: int | None, *, upcoming: bool) -> Row:
        """Places, existing or upcoming ones, on nodes of the target groups; of all nodes when `above` is None."""
        key = (above, upcoming)
        if key not in self._rows:
            groups = self.target_groups(above)
            places = self.stock.upcoming if upcoming else self.row.places
            self._rows[key] = Row([one for one in places if above is None or one.group in groups])
        return self._rows[key]

    def target_groups(self, above: int | None) -> set[GroupName]:
        """The spot groups of strictly higher tiers than `above`; None: every group that has a tier."""
        return {
            name
            for name, tier in self.tiers.items()
            if tier is not None and (above is None or (tier > above and self.markets[name] is Market.SPOT))
        }


def set_stage(layout: Layout, roster: Roster, book: Rulebook, order: Iterable[Case]) -> Stage:
    """Build the stage; `order` are the nodes that could go, the first to go first."""
    snapshot, index = layout.shelves.snapshot, layout.shelves.index
    moving = [pod for case in roster.cases for pod in (*case.moving, *case.air)]
    leaving = {name: _leaving(roster.pods.get(name, ()), book) for name in roster.going}
    housed = [_as_air(pod, layout) for one in layout.classes for pod in one.pods if pod.uid in layout.housed]
    pods = [*moving, *(pod for pods in leaving.values() for pod in pods), *housed]
    volumes = Volumes(snapshot.storage, snapshot.pods, index.census.holds)
    profiles, namespaces = Profiles(snapshot.schedulers), Namespaces(snapshot.namespaces)
    classes, dimensions = classify(pods, volumes, profiles, namespaces, layout.menus)
    shelves = replace(layout.shelves, dimensions=dimensions)
    stock = take_stock(shelves)
    topology = build_topology(snapshot, index, classes)
    questions = Questions(classes, index.census.asking_specs, snapshot.daemonsets)
    open_market = market.open_market(shelves, stock, questions)
    open_market = limit_attachments(volumes, index, dimensions, stock, open_market)
    open_market = settle_residents(topology, shelves, stock, open_market)
    for aisle in in_aisles((*stock.existing, *stock.upcoming), questions):
        for place in aisle:
            place.kind = aisle.view
    stage = Stage(
        stock=stock,
        market=open_market,
        dimensions=dimensions,
        topology=topology,
        yard=Yard(topology),
        row=Row(_in_order(stock.existing, order, layout)),
        tiers=market.tiers_of(snapshot),
        markets={group.name: group.market for group in snapshot.groups},
    )
    if topology.is_active:
        for place in stock.upcoming:
            topology.join(place.view)
    _house_pending(stage, layout, classes)
    _free_air(stage, layout, dimensions)
    _load(stage, classes, snapshot.policy.expendable_cutoff)
    for name in sorted(leaving):
        _house_leaving(stage, layout, name)
    return stage


def _as_air(pod: Pod, layout: Layout) -> Pod:
    """A pod as it is to scale-down: room that is spare on a node moves with whatever is there, if the node goes."""
    place = layout.housed[pod.uid]
    if not is_virtual(pod) or place.is_upcoming or place.node is None:
        return pod
    return replace(pod, node=place.node, unschedulable_since=None)


def _leaving(pods: Iterable[Pod], book: Rulebook) -> list[Pod]:
    """The pods of a node that goes which still need a place; what is terminating has been let go."""
    return [pod for pod in pods if pod.deleted_at is None and book.judge(pod).fate in (Fate.MOVES, Fate.BLOCKS)]


def _in_order(existing: Sequence[Place], order: Iterable[Case], layout: Layout) -> list[Place]:
    """Nodes that stay come first, and the first to go comes last."""
    going = {case.name: number for number, case in enumerate(order, start=1)}
    rank = layout.shelves.rank

    def key(place: Place) -> tuple[object, ...]:
        tier = (0, *rank(place.group)) if place.group is not None else (1, 0, "")
        number = going.get(place.node, 0) if place.node is not None else 0
        return (-number if number else -len(going) - 1, tier, place.node or "")

    return sorted(existing, key=key)


def _house_pending(stage: Stage, layout: Layout, classes: Sequence[PodClass]) -> None:
    """Put the pending pods where scale-up has put them."""
    existing = {place.node: place for place in stage.stock.existing}
    position = {id(place): number for number, place in enumerate(layout.stock.upcoming)}
    claimed = {pod.nominated_node for pod in layout.shelves.index.census.pending if pod.nominated_node is not None}
    for one in classes:
        for pod in one.pods:
            there = layout.housed.get(pod.uid) if pod.node is None else None
            if there is None:
                continue
            place = stage.stock.upcoming[position[id(there)]] if id(there) in position else existing.get(there.node)
            if place is not None:
                place.take(one, 1)
                if place.node is not None:
                    claimed.add(place.node)
    stage.claimed = frozenset(claimed)


def _free_air(stage: Stage, layout: Layout, dimensions: Dimensions) -> None:
    """Add the room of placeholders to what is free; what is below the cutoff was never counted."""
    snapshot = layout.shelves.snapshot
    cutoff = snapshot.policy.expendable_cutoff
    places = {place.node: place for place in stage.stock.existing}
    for pod in snapshot.pods:
        if pod.spec.priority != cutoff or pod.node is None or pod.is_finished or not is_air(pod, cutoff):
            continue
        place = places.get(pod.node)
        if place is not None:
            amounts = dimensions.vector(pod.spec.requests)
            place.free = plus(place.free, amounts)
            held = stage.yard.air.get(pod.node)
            stage.yard.air[pod.node] = amounts if held is None else plus(held, amounts)


def _load(stage: Stage, classes: Iterable[PodClass], cutoff: int) -> None:
    """Sum up by node how many pods of each class it holds."""
    loads: dict[NodeName, list[tuple[PodClass, int]]] = {}
    air: dict[NodeName, list[tuple[PodClass, int]]] = {}
    places = {place.node: place for place in stage.stock.existing}
    for one in classes:
        is_airy = is_air(one.pods[0], cutoff)
        if is_airy:
            stage.yard.airy.add(id(one))
        for node, count in Counter(map(_node_of, one.pods)).items():
            if node is None:
                continue
            (air if is_airy else loads).setdefault(node, []).append((one, count))
            if one.is_virtual and node in places:
                places[node].take(one, count)  # whose room it takes, needs room elsewhere
    stage.loads = {node: in_load_order(load) for node, load in loads.items()}
    stage.air = {node: in_load_order(load) for node, load in air.items()}


def _house_leaving(stage: Stage, layout: Layout, name: NodeName) -> None:
    """Reserve places for the pods of a node that is being drained; those without one are nobody's here."""
    load = stage.loads.get(name, [])
    node = layout.shelves.index.nodes[name]
    stage.yard.closed.add(name)
    if load:
        stage.yard.begin()
        stage.yard.lift(NodeView(node.labels, node.taints, node.name), load)
        stage.yard.put(load, stage.row)
        stage.yard.commit()


def going_order(cases: Iterable[Case], tiers: Tiers, returnable: Iterable[NodeName]) -> list[Case]:
    """The nodes that could go, in about the order in which they will; those that could return come first."""
    names = frozenset(returnable)
    return sorted(
        cases,
        key=lambda case: (case.name not in names, tiers.get(case.group.name) or 0, fullness(case), case.name),
    )
