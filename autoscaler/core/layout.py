"""Where every pending pod goes: on what exists, on what is on its way, or on new nodes.

This is the plan as laid out on paper; `planner` turns it into a Decision.
Rooms that exist are filled first; what is bought may draw pods that wait for
others onto them later, so both are repeated while anybody finds a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from autoscaler.core.headroom import Virtual, make_virtual
from autoscaler.core.index import Index
from autoscaler.core.menu import Menus
from autoscaler.core.model import GroupName, Pod
from autoscaler.core.scaledown.reservations import reserve_places
from autoscaler.core.scaleup.attachments import limit_attachments
from autoscaler.core.scaleup.buy import Buyer, Purchase
from autoscaler.core.scaleup.candidates import Candidates, choose_candidates
from autoscaler.core.scaleup.housing import Housed, Housing
from autoscaler.core.scaleup.offers import Market, open_market, tiers_of
from autoscaler.core.scaleup.residents import settle_residents
from autoscaler.core.scaleup.stock import Shelves, Stock, take_stock
from autoscaler.core.scaleup.template import Overheads, build_templates
from autoscaler.core.scaleup.ties import Ties
from autoscaler.core.scheduling.aisles import Questions
from autoscaler.core.scheduling.books import Openings
from autoscaler.core.scheduling.classes import PodClass, classify, in_buying_order
from autoscaler.core.scheduling.gathering import Gathering
from autoscaler.core.scheduling.place import Run
from autoscaler.core.scheduling.profiles import Profiles
from autoscaler.core.scheduling.selectors import Namespaces
from autoscaler.core.scheduling.topology import build_topology
from autoscaler.core.scheduling.volumes import Volumes
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.tuning import Tunings

REVISIONS = 4  # a plan that still opens what it did not foresee stands: the next pass sees those nodes
Wanted = list[tuple[PodClass, list[Pod]]]  # pods without a place on what there is, in buying order


@dataclass(slots=True, kw_only=True)
class Layout:
    """The world as one pass sees it, and the place of every pod in it."""

    candidates: Candidates
    shelves: Shelves
    classes: list[PodClass]  # in buying order, which ends at a name
    stock: Stock
    market: Market
    buyer: Buyer
    housing: Housing
    menus: Menus
    virtual: Virtual
    wanted: Wanted = field(default_factory=list)
    gathering: Gathering | None = None  # None: no preference looks at this plan

    @property
    def housed(self) -> Housed:
        return self.housing.housed

    @property
    def purchase(self) -> Purchase:
        return self.buyer.purchase

    def turns(self) -> list[list[Pod]]:
        """The pods for new nodes in the order in which they were placed, and a scheduler could place them too."""
        found: dict[int, list[Pod]] = {}
        for run, contents in self.runs():
            for turn, pods in zip(run.turns, contents, strict=True):
                found.setdefault(turn, []).extend(pods)
        return [pods for _, pods in sorted(found.items())]

    @property
    def ties(self) -> Ties:
        return Ties(
            snapshot=self.shelves.snapshot,
            index=self.shelves.index,
            classes=self.classes,
            stock=self.stock,
            buyer=self.buyer,
            housed=self.housed,
        )

    def runs(self) -> Iterator[tuple[Run, list[list[Pod]]]]:
        """Yield each run of new nodes with the pods of each of its contents, node by node."""
        queues = {id(one): iter(pods) for one, pods in self.wanted}
        for run in self.purchase.packing.runs:
            yield run, [list(islice(queues[id(one)], per_node * run.nodes)) for one, per_node in run.contents]


def lay_out(snapshot: Snapshot) -> Layout:
    """Find a place for every pending pod that can have one.

    A node opened for one pod is an empty domain for the spread constraints of
    those placed before, and brings pods of DaemonSets. Where that breaks a
    promise, all is laid out anew with both foreseen: that makes the promises
    safer, though now and then somebody waits for the next pass who need not.
    """
    ground, foreseen = Ground.of(snapshot), Openings()
    layout = _lay_out(ground, foreseen)
    for _ in range(REVISIONS):
        opened = layout.buyer.topology.opened()
        if foreseen.covers(opened) or not _is_strained(layout):
            break
        foreseen.add(opened)
        layout = _lay_out(ground, foreseen)
    layout.gathering = layout.ties.gather()
    if layout.gathering is not None:
        layout.ties.settle(layout.gathering)
        _house_the_rest(layout)
    return layout


def _house_the_rest(layout: Layout) -> None:
    """Give the room that pods left for a better place to those that have none."""
    left = layout.purchase.left
    waiting = [(one, pods[-left[id(one)] :]) for one, pods in layout.wanted if left.get(id(one))]
    before = len(layout.housed)
    if waiting:
        layout.housing.fill_again(waiting, anew=True)
    if len(layout.housed) > before:
        for one, pods in waiting:
            left[id(one)] -= sum(pod.uid in layout.housed for pod in pods)
            if not left[id(one)]:
                del left[id(one)]
                layout.purchase.held.discard(id(one))
        layout.wanted = _homeless([one for one, _ in layout.wanted], layout.housed)
        layout.gathering = layout.ties.gather()


def _is_strained(layout: Layout) -> bool:
    """Whether some pod on a node to come could be refused by its spread constraints, if the others came first."""
    if not layout.buyer.topology.is_doubtful:
        return False
    if any(
        one.bound is not None and one.bound.is_strained(run.view, run.marks)
        for run in layout.purchase.packing.runs
        for one, _ in run.contents
    ):
        return True
    return any(
        place.is_upcoming and one.bound is not None and one.bound.is_strained(place.view)
        for one in layout.classes
        if one.bound is not None
        for pod in one.pods
        if (place := layout.housed.get(pod.uid)) is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a plan is laid out on, however often it is laid out anew."""

    snapshot: Snapshot
    index: Index
    candidates: Candidates
    tiers: dict[GroupName, int | None]
    menus: Menus
    virtual: Virtual

    @classmethod
    def of(cls, snapshot: Snapshot) -> Ground:
        index, tiers = Index(snapshot), tiers_of(snapshot)
        return cls(
            snapshot=snapshot,
            index=index,
            candidates=choose_candidates(snapshot, index.census.pending),
            tiers=tiers,
            menus=Menus(snapshot.groups, tiers, Tunings(snapshot.workloads, snapshot.annotated), snapshot.at),
            virtual=make_virtual(snapshot, index),
        )


def _lay_out(ground: Ground, foreseen: Openings) -> Layout:
    snapshot, index, virtual = ground.snapshot, ground.index, ground.virtual
    volumes = Volumes(snapshot.storage, snapshot.pods, index.census.holds)
    profiles, namespaces = Profiles(snapshot.schedulers), Namespaces(snapshot.namespaces)
    pods = [*ground.candidates.pods, *virtual.pods]
    classes, dimensions = classify(pods, volumes, profiles, namespaces, ground.menus)
    tiers = ground.tiers

    def rank(group: GroupName) -> tuple[int, str]:
        return -(tiers[group] or 0), group

    shelves = Shelves(
        snapshot=snapshot,
        index=index,
        templates=build_templates(index, snapshot.policy, tells_groups=virtual.tells_groups),
        overheads=Overheads(snapshot.daemonsets, snapshot.policy),
        dimensions=dimensions,
        rank=rank,
        tells_groups=virtual.tells_groups,
    )
    stock = take_stock(shelves)
    reserve_places(stock, shelves)
    questions = Questions(classes, index.census.asking_specs, snapshot.daemonsets)
    market = open_market(shelves, stock, questions)
    market = limit_attachments(volumes, index, dimensions, stock, market)
    topology = build_topology(snapshot, index, classes, foreseen)
    market = settle_residents(topology, shelves, stock, market)
    ordered = _ordered(classes, market)
    layout = Layout(
        candidates=ground.candidates,
        shelves=shelves,
        classes=ordered,
        stock=stock,
        market=market,
        housing=Housing(stock, topology, questions),
        buyer=Buyer(market, dimensions, snapshot.policy, topology),
        menus=ground.menus,
        virtual=virtual,
    )
    layout.housing.fill(ordered)
    _buy(layout, ordered)
    return layout


def _buy(layout: Layout, ordered: Sequence[PodClass]) -> None:
    """Buy for those without a place; whoever waited for one of them may find room that was there all along."""
    homeless = _homeless(ordered, layout.housed)
    left = {id(one): len(pods) for one, pods in homeless}
    while True:
        left = layout.buyer.buy([(one, left[id(one)]) for one, _ in homeless if left.get(id(one))]).left
        waiting = [(one, pods[-left[id(one)] :]) for one, pods in homeless if one.bound and left.get(id(one))]
        before = len(layout.housed)
        if waiting:
            layout.housing.fill_again(waiting)
        if len(layout.housed) == before:
            break
        for one, pods in waiting:
            left[id(one)] -= sum(pod.uid in layout.housed for pod in pods)
        homeless = _homeless(ordered, layout.housed)
    layout.wanted = homeless


def _homeless(ordered: Sequence[PodClass], housed: Housed) -> Wanted:
    if not housed:
        return [(one, one.pods) for one in ordered]
    return [(one, pods) for one in ordered if (pods := [pod for pod in one.pods if pod.uid not in housed])]


def _ordered(classes: Sequence[PodClass], market: Market) -> list[PodClass]:
    size = len(classes[0].request) if classes else 0
    largest = tuple(max((offer.free[position] for offer in market.offers), default=0) for position in range(size))
    return in_buying_order(classes, largest)
