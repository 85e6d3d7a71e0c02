"""Where pods with rules go: into the emptiest domain first, and there onto the first node that takes them.

A shelf sorts the nodes that may hold pods of one class into buckets of equal
domains. Filling a bucket is as quick as without rules; between buckets each
step asks the rules anew, so that the order of the steps is one in which
kube-scheduler could have placed the pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Generic, TypeVar

from autoscaler.core.scheduling.aisles import Aisle, Block
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.packing import Packing, take_part
from autoscaler.core.scheduling.place import Place, Run, room_beside
from autoscaler.core.scheduling.rules import Rules

S = TypeVar("S", Place, Run)


@dataclass(slots=True, eq=False)
class Bucket(Generic[S]):
    """Nodes of equal domains."""

    view: NodeView
    aisles: list[Aisle[S]] = field(default_factory=list)
    is_stuck: bool = False  # takes none, as things stand
    # Of a shelf that is kept: places seen that may still take some, where to go on, and those not looked at yet.
    places: list[Place] = field(default_factory=list)
    at: int = 0
    more: Iterator[Place] | None = None


class Shelf(Generic[S]):
    """The buckets of one class."""

    __slots__ = ("buckets", "one", "rules")

    def __init__(self, one: PodClass, rules: Rules, aisles: Iterable[Aisle[S]]) -> None:
        self.one = one
        self.rules = rules
        found: dict[tuple[str | None, ...], Bucket[S]] = {}
        for aisle in aisles:
            if not one.fitting.objections(aisle.view):
                domains = rules.domains_of(aisle.view)
                bucket = found.get(domains)
                if bucket is None:
                    bucket = found[domains] = Bucket(aisle.view)
                bucket.aisles.append(aisle)
        self.buckets: list[Bucket[S]] = [] if one.refusals else list(found.values())

    def next(self) -> tuple[Bucket[S], int] | None:
        """Choose the bucket that takes the next pods, and how many of them."""
        rules = self.rules
        able = []
        for number, bucket in enumerate(self.buckets):
            if not bucket.is_stuck:
                room = rules.room_in_domain(bucket.view)
                if room:
                    able.append((rules.level_of(bucket.view), number, bucket, room))
        if not able:
            return None
        if len(able) == 1:
            return able[0][2], able[0][3]
        if rules.wide.affinity and rules.starts_group:
            # The whole group will have to follow the first pod.
            able.sort(key=lambda row: (-self._capacity(row[2]), row[1]))
            return able[0][2], able[0][3]
        able.sort(key=lambda row: row[:2])
        level, _, bucket, room = able[0]
        if rules.wide.spreads:
            room = min(room, max(1, able[1][0] - level))
        return bucket, room

    def unstick(self) -> None:
        """Something was placed: a node that took none before may take some now."""
        if self.rules.moves_on:
            for bucket in self.buckets:
                bucket.is_stuck = False

    def _capacity(self, bucket: Bucket[S]) -> int:
        one = self.one
        sites = (site for aisle in bucket.aisles for site in aisle.with_room(one.request))
        return sum(room_beside(site, one) * (site.nodes if isinstance(site, Run) else 1) for site in sites)


class PlaceShelf(Shelf[Place]):
    """Existing or upcoming nodes; kept while a stage of filling lasts, as room only shrinks then."""

    __slots__ = ()

    def put(self, count: int) -> list[tuple[Place, int]]:
        """Place up to `count` pods; return where how many went."""
        found: list[tuple[Place, int]] = []
        self.unstick()
        left = count
        while left and (chosen := self.next()) is not None:
            bucket, room = chosen
            placed = self._fill(bucket, min(left, room), found)
            left -= placed
            if placed:
                self.unstick()
            else:
                bucket.is_stuck = True
        return found

    def _fill(self, bucket: Bucket[Place], count: int, found: list[tuple[Place, int]]) -> int:
        one, rules = self.one, self.rules
        if bucket.more is None:
            bucket.more = _by_turns([aisle.with_room(one.request) for aisle in bucket.aisles])
        places = bucket.places
        left, tried = count, 0
        while left:
            if tried >= len(places) or bucket.at >= len(places):
                drawn = next(bucket.more, None)
                if drawn is not None:
                    places.append(drawn)
                elif tried >= len(places):
                    break
                bucket.at = len(places) - 1 if drawn is not None else 0
            place = places[bucket.at]
            copies = room_beside(place, one)
            allowed = min(copies, rules.room_on_node(place.view)) if copies else 0
            if allowed:
                pods = min(allowed, left)
                place.take(one, pods)
                found.append((place, pods))
                left -= pods
                tried = 0
            elif not copies or not rules.moves_on:
                del places[bucket.at]
            else:
                bucket.at += 1
                tried += 1
        return count - left


def _by_turns(aisles: Sequence[Iterator[Place]]) -> Iterator[Place]:
    """One place of each aisle in turn, as new nodes are opened: one aisle after the other would fill zone by zone."""
    return (place for row in zip_longest(*aisles) for place in row if place is not None)


class RunShelf(Shelf[Run]):
    """New nodes of one or several packings, which are changed."""

    __slots__ = ("_nodes",)

    def __init__(self, one: PodClass, rules: Rules, packings: Sequence[Packing]) -> None:
        super().__init__(one, rules, [aisle for packing in packings for aisle in packing.aisles])
        self._nodes = sum(packing.nodes for packing in packings)

    def put(self, count: int) -> int:
        """Place up to `count` pods; return how many found a place."""
        if any(tally.taken_new >= self._nodes for tally in self.rules.lonely):
            return 0
        left = count
        while left and (chosen := self.next()) is not None:
            bucket, room = chosen
            placed = self._fill(bucket, min(left, room))
            left -= placed
            if placed:
                self.unstick()
            else:
                bucket.is_stuck = True
        return count - left

    def _fill(self, bucket: Bucket[Run], count: int) -> int:
        """One round over the bucket: each node takes what it may at this moment."""
        left = count
        for aisle, block in _open_blocks(bucket, self.one):
            left = self._fill_block(block, left)
            aisle.part(block)
            if not left:
                break
        return count - left

    def _fill_block(self, block: Block[Run], count: int) -> int:
        one, rules = self.one, self.rules
        left, tried = count, False
        for run in block.with_room(one.request):
            tried = True
            copies = 1 if left == 1 and one.asks_amounts_alone else room_beside(run, one)
            allowed = min(copies, rules.room_on_node(run.view, run.marks)) if copies else 0
            if allowed:
                block.is_stale = True
                most = 1 if rules.per_node.affinity and rules.starts_group else None
                left -= sum(part.nodes * pods for part, pods in take_part(block, run, one, (allowed, left), most))
                if not left:
                    return 0
        if not tried:
            block.measure()
        return left


def _open_blocks(bucket: Bucket[Run], one: PodClass) -> Iterator[tuple[Aisle[Run], Block[Run]]]:
    for aisle in bucket.aisles:
        for block in aisle.blocks.copy():
            if block.may_take(one.request):
                yield aisle, block
