"""Where pods with rules go: into the emptiest domain first, and there onto the first node that takes them.

A shelf sorts the nodes that may hold pods of one class into buckets of equal
domains. Filling a bucket is as quick as without rules; between buckets each
step asks the rules anew, so that the order of the steps is one in which
kube-scheduler could have placed the pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import le
from typing import Generic, Protocol, TypeVar

from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.place import Place, Run
from autoscaler.core.scheduling.rules import Rules


class Site(Protocol):
    """A place or a run, as the shelf needs it."""

    @property
    def view(self) -> NodeView: ...

    def room_for(self, one: PodClass) -> int: ...


class Runs(Protocol):
    """A packing, as the shelf needs it."""

    runs: list[Run]


S = TypeVar("S", bound=Site)


@dataclass(slots=True, eq=False)
class Bucket(Generic[S]):
    """Nodes of equal domains; `at` is where to go on."""

    sites: list[S] = field(default_factory=list)
    at: int = 0
    is_stuck: bool = False  # takes none, as things stand

    @property
    def view(self) -> NodeView:
        return self.sites[0].view


class Shelf(Generic[S]):
    """The buckets of one class."""

    def __init__(self, one: PodClass, rules: Rules, sites: Iterable[S]) -> None:
        self.one = one
        self.rules = rules
        found: dict[tuple[str | None, ...], Bucket[S]] = {}
        for site in sites:
            if site.room_for(one):
                found.setdefault(rules.domains_of(site.view), Bucket()).sites.append(site)
        self.buckets = list(found.values())

    def next(self) -> tuple[Bucket[S], int] | None:
        """Choose the bucket that takes the next pods, and how many of them."""
        rules = self.rules
        able = []
        for number, bucket in enumerate(self.buckets):
            if bucket.sites and not bucket.is_stuck:
                room = rules.room_in_domain(bucket.view)
                if room:
                    able.append((rules.level_of(bucket.view), number, bucket, room))
        if not able:
            return None
        if rules.wide.affinity and rules.starts_group and len(able) > 1:
            # The whole group will have to follow the first pod.
            able.sort(key=lambda row: (-self._capacity(row[2]), row[1]))
            return able[0][2], able[0][3]
        able.sort(key=lambda row: row[:2])
        level, _, bucket, room = able[0]
        if rules.wide.spreads and len(able) > 1:
            room = min(room, max(1, able[1][0] - level))
        return bucket, room

    def unstick(self) -> None:
        """Something was placed: a node that took none before may take some now."""
        if self.rules.moves_on:
            for bucket in self.buckets:
                bucket.is_stuck = False

    def _capacity(self, bucket: Bucket[S]) -> int:
        return sum(site.room_for(self.one) * getattr(site, "nodes", 1) for site in bucket.sites)


class PlaceShelf(Shelf[Place]):
    """Existing or upcoming nodes; kept while a stage of filling lasts, as room only shrinks then."""

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
        one, rules, sites = self.one, self.rules, bucket.sites
        left, tried = count, 0
        while left and tried < len(sites):
            bucket.at %= len(sites)
            place = sites[bucket.at]
            copies = place.room_for(one)
            allowed = min(copies, rules.room_on_node(place.view)) if copies else 0
            if allowed:
                pods = min(allowed, left)
                place.take(one, pods)
                found.append((place, pods))
                left -= pods
                tried = 0
            elif not copies or not rules.moves_on:
                del sites[bucket.at]
            else:
                bucket.at += 1
                tried += 1
        return count - left


class RunShelf(Shelf[Run]):
    """New nodes of one or several packings, which are changed."""

    def __init__(self, one: PodClass, rules: Rules, packings: Sequence[Runs]) -> None:
        request = one.request
        first, second = request[:2]  # most runs are full, so find that out without a call
        open_now = [
            run
            for packing in packings
            for run in packing.runs
            if (free := run.free)[0] >= first and free[1] >= second and all(map(le, request, free))
        ]
        super().__init__(one, rules, open_now)
        self._packings = packings
        self._parts: dict[int, list[Run]] = {}  # by id of the run that they were split from

    def put(self, count: int) -> int:
        """Place up to `count` pods; return how many found a place."""
        left = count
        while left and (chosen := self.next()) is not None:
            bucket, room = chosen
            placed = self._fill(bucket, min(left, room))
            left -= placed
            if placed:
                self.unstick()
            else:
                bucket.is_stuck = True
        if left < count:
            for packing in self._packings:
                packing.runs = self._in_parts(packing.runs)
        return count - left

    def _in_parts(self, runs: Iterable[Run]) -> list[Run]:
        """The runs, each behind the parts that were split from it; a run without a node left is gone."""
        found: list[Run] = []
        for run in runs:
            parts = self._parts.pop(id(run), None)
            if parts is not None:
                found += self._in_parts(parts)
            if run.nodes:
                found.append(run)
        return found

    def _fill(self, bucket: Bucket[Run], count: int) -> int:
        """One round over the bucket: each node takes what it may at this moment."""
        one, rules = self.one, self.rules
        left = count
        kept: list[Run] = []
        for position, run in enumerate(bucket.sites):
            if not left:
                kept += bucket.sites[position:]
                break
            copies = run.room_for(one)
            allowed = min(copies, rules.room_on_node(run.view, run.marks)) if copies else 0
            if allowed:
                single = bool(rules.per_node.affinity) and rules.starts_group
                for part, pods in self._take(run, allowed, left, single=single):
                    left -= part.nodes * pods
                    kept.append(part)
            if run.nodes and (allowed or (copies and rules.moves_on)):
                kept.append(run)
        bucket.sites = kept
        return count - left

    def _take(self, run: Run, per_node: int, left: int, *, single: bool) -> list[tuple[Run, int]]:
        """Put pods on nodes of the run, `per_node` on each and what is left over on one more."""
        full = min(1 if single else run.nodes, left // per_node)
        rest = left - full * per_node if not (single and full) and run.nodes > full else 0
        taken: list[tuple[Run, int]] = []
        for nodes, pods in ((full, per_node), (1 if rest else 0, min(rest, per_node))):
            if nodes:
                part = run.split(nodes)
                self._parts.setdefault(id(run), []).append(part)
                part.take(self.one, pods)
                taken.append((part, pods))
        return taken
