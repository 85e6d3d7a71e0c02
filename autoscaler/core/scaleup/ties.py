"""Ties: where the plan is as good either way, the pods' preferences decide.

The plan is laid out first, as if nobody had any. Then pods and nodes are
exchanged for equal ones that honour more: a pod moves to another node of the
same kind of room, a new node to an equal offering of its tier. So nobody
loses a place, no node is added and no tier changes, whatever is preferred.
An exchange that a rule could notice is not made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from autoscaler.core.index import Index
from autoscaler.core.model import GroupName, Pod
from autoscaler.core.scaleup.buy import Buyer
from autoscaler.core.scaleup.families import Family
from autoscaler.core.scaleup.housing import Housed
from autoscaler.core.scaleup.offers import Offer
from autoscaler.core.scaleup.stock import Stock
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.gathering import Company, Gathering, Spot
from autoscaler.core.scheduling.packing import Packing
from autoscaler.core.scheduling.place import Place, Run, minus
from autoscaler.core.scheduling.preferences import has_preferences, has_soft_taint, looks_at_pods, score
from autoscaler.core.scheduling.tally import NEW_HOST, SpreadTally
from autoscaler.core.snapshot import Snapshot

TRIALS = 10_000  # places and offerings tried in a pass, about a tenth of a second: a tie is not worth more


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """A plan as laid out, as far as preferences look at it."""

    snapshot: Snapshot
    index: Index
    classes: Sequence[PodClass]  # in an order that ends at a name
    stock: Stock
    buyer: Buyer
    housed: Housed

    def gather(self) -> Gathering | None:
        """Count who is where; None when nobody prefers anything, and no place is to be avoided."""
        nominated = [pod for pod in self.index.census.pending if pod.nominated_node is not None]
        askers: list[PodClass | Pod] = [one for one in self.classes if has_preferences(one.spec)]
        askers += [pod for pod in nominated if has_preferences(pod.spec)]
        if not askers and not any(view.taints and has_soft_taint(view) for view in self._views(nominated)):
            return None
        gathering = Gathering(self.snapshot.namespaces)
        watchers = [one for one in askers if looks_at_pods(one.spec)]
        if not watchers:
            return gathering
        for one in watchers:
            gathering.make_known(one)
        views = {name: NodeView(node.labels, node.taints, name) for name, node in self.index.nodes.items()}
        gathering.survey(views, self.index.census.crowds.values())
        gathering.expect(place.view for place in self.stock.upcoming)
        for one in self.classes:
            if gathering.fed_by(one):
                for place, pods in places_of(one, self.housed):
                    gathering.put(one, place.view, len(pods))
        for run in self.buyer.purchase.packing.runs:
            for one, per_node in run.contents:
                gathering.put(one, run.view, per_node * run.nodes)
        gathering.renew((run.view, run.contents) for run in self.buyer.purchase.packing.runs)
        return gathering

    def _views(self, nominated: Iterable[Pod]) -> Iterator[NodeView]:
        yield from (place.view for places in (self.stock.existing, self.stock.upcoming) for place in places)
        yield from (offer.view for offer in self.buyer.purchase.offers.values())
        nodes = self.index.nodes
        for pod in nominated:
            if pod.nominated_node in nodes:
                node = nodes[pod.nominated_node]
                yield NodeView(node.labels, node.taints, node.name)

    def settle(self, gathering: Gathering) -> None:
        """Exchange places and offerings for equal ones that honour more."""
        trials = _Trials()
        for one in self.classes:
            if one.shared is not None:
                continue  # volumes that pods share are not simply given back
            _Mover(self, gathering, trials, one).move()
        _Swapper(self, gathering, trials).swap_all()


def places_of(one: PodClass, housed: Housed) -> list[tuple[Place, list[Pod]]]:
    """The places of a class's pods, with the pods on each, in their order."""
    found: dict[int, tuple[Place, list[Pod]]] = {}
    for pod in one.pods if housed else ():
        place = housed.get(pod.uid)
        if place is not None:
            found.setdefault(id(place), (place, []))[1].append(pod)
    return list(found.values())


@dataclass(slots=True)
class _Trials:
    left: int = TRIALS

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class _Mover:
    """Pods of one class on nodes that exist or are on their way, to others of the same list that have room left."""

    ties: Ties
    gathering: Gathering
    trials: _Trials
    one: PodClass
    _open: dict[bool, list[Place]] = field(default_factory=dict)  # by whether they are upcoming

    def move(self) -> None:
        one, gathering = self.one, self.gathering
        most = 1 if looks_at_pods(one.spec) else len(one.pods)  # who looks at others is asked one by one
        for place, pods in places_of(one, self.ties.housed):
            while pods and (now := score(one, Spot(place.view, here=place.view), gathering)) < 0:
                count = min(most, len(pods))
                target = self._better(place, now, count)
                if target is None:
                    break
                count = min(count, target.room_for(one))
                target.take(one, count)
                _give_up(place, one, count)
                gathering.put(one, place.view, -count)
                gathering.put(one, target.view, count)
                self.ties.housed.update((pod.uid, target) for pod in pods[-count:])
                del pods[-count:]

    def _better(self, place: Place, now: int, count: int) -> Place | None:
        """The first of the best places, where they are better than this one; a node that nobody needs stays so."""
        one, best = self.one, None
        for target in self._able(upcoming=place.is_upcoming):
            if target is place or (target.is_upcoming and not target.is_used):
                continue
            if not self.trials.spend():
                break
            if not target.room_for(one) or (one.rules is not None and not one.rules.is_alike(place.view, target.view)):
                continue
            found = score(one, Spot(target.view, here=place.view, joining=((one, count),)), self.gathering)
            if found > now:
                best, now = target, found
                if not now:
                    break
        return best

    def _able(self, *, upcoming: bool) -> list[Place]:
        known = self._open.get(upcoming)
        if known is None:
            places = self.ties.stock.upcoming if upcoming else self.ties.stock.existing
            first, second = self.one.request[:2]  # most places are full, so find that out without a call
            known = self._open[upcoming] = [
                place for place in places if (free := place.free)[0] >= first and free[1] >= second
            ]
        return known


def _give_up(place: Place, one: PodClass, count: int) -> None:
    """Take pods of the class off a place. No other pod there holds a port that one of them has."""
    place.free = minus(place.free, one.request, -count)
    place.ports -= frozenset(one.spec.host_ports)
    if one.rules is not None:
        one.rules.place(place.view, -count)


class _Swapper:
    """New nodes, with all that lies on them, to equal offerings of their tier."""

    def __init__(self, ties: Ties, gathering: Gathering, trials: _Trials) -> None:
        self._buyer = ties.buyer
        self._gathering = gathering
        self._trials = trials
        self._families: dict[GroupName, Family] = {
            offer.group.name: family for family in ties.buyer.families for offer in family.offers
        }
        self._spreads = dict.fromkeys(
            spread.tally
            for one in ties.classes
            if one.rules is not None
            for spread in (*one.rules.wide.spreads, *one.rules.per_node.spreads)
        )
        self._equal: dict[int, list[Offer]] = {}

    def swap_all(self) -> None:
        packing = self._buyer.purchase.packing
        found: list[Run] = []
        for run in packing.runs:
            parts = list(self._swap(run))
            found += [run, *parts] if run.nodes else parts
        self._buyer.purchase.packing = Packing(found)
        self._gathering.renew((run.view, run.contents) for run in found)

    def _swap(self, run: Run) -> Iterator[Run]:
        """Yield the nodes of a run that another offering suits better; they are taken out of it."""
        by_one = any(looks_at_pods(one.spec) for one, _ in run.contents)
        while run.nodes and (now := self._score(run, run.view, 1)) < 0:
            nodes = 1 if by_one else run.nodes
            target = self._better(run, now, nodes)
            if target is None:
                return
            yield self._hand_over(run, target, nodes)

    def _score(self, run: Run, view: NodeView, nodes: int) -> int:
        contents = run.contents
        joining = [(one, pods * nodes) for one, pods in contents]
        spot = Spot(view, contents, run.view, joining)
        return sum(pods * score(one, spot, self._gathering) for one, pods in contents)

    def _better(self, run: Run, now: int, nodes: int) -> Offer | None:
        best = None
        for offer in self._equals(self._buyer.purchase.offers[run.offering]):
            if not self._has_room(run, offer) or not self._may_swap(run, offer):
                continue
            if not self._trials.spend():
                break
            found = self._score(run, offer.view, nodes)
            if found > now:
                best, now = offer, found
        return best

    def _equals(self, home: Offer) -> list[Offer]:
        """Offerings of the tier that are as good by all that is compared before preferences are."""
        known = self._equal.get(id(home))
        if known is None:
            known = self._equal[id(home)] = [
                offer
                for offer in self._buyer.purchase.offers.values()
                if offer is not home
                and offer.tier == home.tier
                and not offer.objections
                and offer.limit is None
                and (offer.free, offer.ports) == (home.free, home.ports)
                and offer.template.allocatable == home.template.allocatable
            ]
        return known

    def _has_room(self, run: Run, offer: Offer) -> bool:
        home, caps = self._buyer.purchase.offers[run.offering], self._buyer.caps
        caps.use(home, -1)
        room = caps.room(offer)
        caps.use(home, 1)
        return room > 0

    def _may_swap(self, run: Run, offer: Offer) -> bool:
        """Whether the pods may be there, and no rule of anybody notices."""
        view = offer.view
        for one, _ in run.contents:
            if not one.is_as_good(offer.group.name, run.offering.group):
                return False
            if not offer.per_node(one) or (one.rules is not None and not one.rules.is_alike(run.view, view)):
                return False
        if self._buyer.topology.counts_daemonsets:
            return False  # a rule looks at what DaemonSets put on each node
        return all(_stays_known(tally, run.view, view) for tally in self._spreads)

    def _hand_over(self, run: Run, target: Offer, nodes: int) -> Run:
        caps, home = self._buyer.caps, self._buyer.purchase.offers[run.offering]
        caps.use(home, -nodes)
        count = min(nodes, caps.room(target))
        caps.use(target, count)
        caps.use(home, nodes - count)
        for offer, change in ((home, -count), (target, count)):
            if offer.offering.zone is not None:
                self._families[offer.group.name].nodes[offer.offering.zone] += change
        for tally in self._spreads:
            before, after = tally.domain_of(run.view), tally.domain_of(target.view)
            for domain, change in ((before, -count), (after, count)):
                if domain is not None and before != after:
                    tally.join(domain, change)
        part = run.split(count)
        self._recount(part.contents, run.view, -count)
        part.offering, part.view = target.offering, target.view
        self._recount(part.contents, part.view, count)
        return part

    def _recount(self, contents: Company, view: NodeView, nodes: int) -> None:
        for one, per_node in contents:
            self._gathering.put(one, view, per_node * nodes)


def _stays_known(tally: SpreadTally, before: NodeView, after: NodeView) -> bool:
    """Whether a node may change its domain: into one that is counted already, or into none."""
    domain = tally.domain_of(after)
    return domain is None or domain == tally.domain_of(before) or (domain != NEW_HOST and domain in tally.counts)
