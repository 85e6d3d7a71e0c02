"""Opening new nodes of one family, as many as pods of a class need, in the zones where they may be.

Without rules the zones of the family are kept even and each node is filled
up. Pods with rules are placed by the shelf, pod by pod as far as the rules
ask; nodes that turn out not to be needed are given back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autoscaler.core.model import Zone
from autoscaler.core.scaleup.families import Family, spread_over_zones, water_fill
from autoscaler.core.scaleup.offers import Caps, Offer
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.packing import Packing
from autoscaler.core.scheduling.place import MANY, Run
from autoscaler.core.scheduling.rules import Rules
from autoscaler.core.scheduling.shelf import RunShelf
from autoscaler.core.scheduling.tally import NO_LIMIT, Deed
from autoscaler.core.scheduling.topology import Topology

Hosts = Sequence[tuple[Offer, int]]  # offers that take pods of a class, and how many an empty node takes


@dataclass(slots=True)
class Opening:
    """New nodes of one family on trial: what they hold, what they use up, and what the tallies saw.

    `planned` are the nodes that this pass has chosen before, which pods with
    rules may still fill up as others come.
    """

    family: Family
    caps: Caps
    zones: Counter[Zone]
    topology: Topology
    planned: Packing = field(default_factory=Packing)
    packing: Packing = field(default_factory=Packing)
    deeds: list[Deed] = field(default_factory=list)

    @property
    def nodes(self) -> int:
        """How many are new."""
        return self.packing.nodes

    def place(self, one: PodClass, count: int, hosts: Hosts) -> int:
        """Place up to `count` pods of the class; return how many found a place."""
        rules = one.bound
        if rules is not None:
            return self._place_bound(one, rules, count, hosts)
        placed = self.packing.fill(one, count)
        return placed + self._open_full(one, hosts, count - placed) if placed < count else placed

    def _open_full(self, one: PodClass, hosts: Hosts, count: int) -> int:
        """Open new nodes for pods that found no room; return how many pods they take."""
        per_node = {id(offer): copies for offer, copies in hosts}
        left = count
        while left > 0:
            needed = -(-left // max(per_node.values()))
            chosen = spread_over_zones([offer for offer, _ in hosts], needed, self.zones, self.caps)
            if not chosen:
                break
            for offer, nodes in chosen:
                left -= self._put_on_new(offer, one, (nodes, per_node[id(offer)], left))
        return count - left

    def _put_on_new(self, offer: Offer, one: PodClass, amounts: tuple[int, int, int]) -> int:
        nodes, per_node, left = amounts
        full = min(nodes, left // per_node)
        rest = min(left - full * per_node, per_node) if full < nodes else 0
        for count, pods in ((full, per_node), (1 if rest else 0, rest)):
            if count:
                run = self._open(offer, count)
                run.take(one, pods)
                self.packing.add(run)
        return full * per_node + rest

    def _open(self, offer: Offer, nodes: int) -> Run:
        marks = self.topology.open(offer.view, nodes)
        return Run(offer.offering, offer.view, nodes, offer.free, ports=offer.ports, marks=marks)

    def _place_bound(self, one: PodClass, rules: Rules, count: int, hosts: Hosts) -> int:
        left = count - RunShelf(one, rules, (self.planned, self.packing)).put(count)
        while left > 0:
            opened: list[tuple[Offer, Run]] = []
            most = rules.missing_hosts or MANY  # once there are enough, each may take more than one
            for offers, pods in self._shares(rules, hosts, left):
                needed = min(most, -(-pods // max(per_node for _, per_node in offers)))
                for offer, nodes in spread_over_zones([o for o, _ in offers], needed, self.zones, self.caps):
                    opened.append((offer, self._open(offer, nodes)))
                    self.packing.add(opened[-1][1])
                    most -= nodes
            placed = RunShelf(one, rules, (self.planned, self.packing)).put(left)
            self._give_back(opened)
            if not placed:
                break
            left -= placed
        return count - left

    def _shares(self, rules: Rules, hosts: Hosts, left: int) -> list[tuple[list[tuple[Offer, int]], int]]:
        """Divide pods over the offers that may take them now: lists of offers with equal domains, and pods for each."""
        able: dict[tuple[str | None, ...], list[tuple[Offer, int]]] = {}
        for offer, copies in hosts:
            per_node = min(copies, room_on_new(rules, offer, self.topology)) if self.caps.room(offer) else 0
            if per_node:
                able.setdefault(rules.domains_of(offer.view), []).append((offer, per_node))
        parts = list(able.values())
        if len(parts) < 2 and not rules.wide.tallies:
            return [(offers, left) for offers in parts]
        rooms = [rules.room_in_domain(offers[0][0].view) for offers in parts]
        capacities = [sum(per_node * self.caps.room(offer) for offer, per_node in offers) for offers in parts]
        if rules.starts_group:
            # The whole group follows the first pod: where most of it fits, and the family has the fewest nodes.
            order = sorted(range(len(parts)), key=lambda n: (-min(capacities[n], left), self._crowd(parts[n]), n))
            return [(parts[n], min(left, rooms[n])) for n in order[:1]]
        if rules.wide.spreads:
            levels = [rules.level_of(offers[0][0].view) for offers in parts]
            limit = _highest(rules, [offers[0][0] for offers in parts])
            tops = [max(0, limit - level) if limit < NO_LIMIT else left for level in levels]
            most = [max(min(top, have), 1) for top, have in zip(tops, capacities, strict=True)]
            shares = water_fill(levels, most, left) if most else []
            return [(offers, share) for offers, share in zip(parts, shares, strict=True) if share]
        order = sorted(range(len(parts)), key=lambda n: (self._crowd(parts[n]), n))
        shares = _in_turn([min(rooms[n], capacities[n]) for n in order], left)
        return [(parts[n], share) for n, share in zip(order, shares, strict=True) if share]

    def _crowd(self, offers: Sequence[tuple[Offer, int]]) -> int:
        return min(sum(self.zones[zone] for zone in offer.zones) for offer, _ in offers)

    def _give_back(self, opened: Iterable[tuple[Offer, Run]]) -> None:
        """Do without the nodes that nothing lies on."""
        for offer, run in opened:
            if not run.contents:
                self.packing.remove(run)
                self.caps.use(offer, -run.nodes)
                if offer.offering.zone is not None:
                    self.zones[offer.offering.zone] -= run.nodes
                self.topology.close(run.view, run.nodes)


def room_on_new(rules: Rules, offer: Offer, topology: Topology) -> int:
    """How many pods with these rules a new node may take, as far as the rules go."""
    if not rules.room_in_domain(offer.view):
        return 0
    return rules.room_on_node(offer.view, topology.marks_of(offer.view), is_new=True)


def _highest(rules: Rules, offers: Sequence[Offer]) -> int:
    """Up to which count the domains of the offers may be filled together; NO_LIMIT when nothing holds them back."""
    if len(rules.wide.spreads) > 1:
        return 0
    spread = rules.wide.spreads[0]
    tally, mine = spread.tally, {spread.tally.domain_of(offer.view) for offer in offers}
    if not spread.counts_self:
        return NO_LIMIT
    others = [count for domain, count in tally.counts.items() if domain not in mine]
    if len(others) + len(mine) < spread.min_domains:
        return spread.max_skew
    return min(others) + spread.max_skew if others else NO_LIMIT


def _in_turn(rooms: Sequence[int], amount: int) -> list[int]:
    shares = []
    for room in rooms:
        share = min(room, amount)
        shares.append(share)
        amount -= share
    return shares
