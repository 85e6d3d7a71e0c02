"""Aisles: sites that all pods of a pass see alike, but for the host's name and what is still free.

A thousand nodes are a handful of aisles, as few labels are ever asked about;
what an aisle is to a class, and in which domains it lies, is worked out once.
Within an aisle sites stand in blocks, each with the most that any of its
sites has free, so that full ones are passed over together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import le
from typing import Generic, Protocol, TypeVar

from autoscaler.core.model import HOSTNAME_LABEL, GroupName, Labels
from autoscaler.core.podspec import PodSpec
from autoscaler.core.scheduling.classes import PodClass, Vector
from autoscaler.core.scheduling.fit import Fitting, NodeView
from autoscaler.core.snapshot import DaemonSet

BLOCK = 48  # sites of a new block; one that has grown to twice as many is parted
NOTHING = (-1,)  # less than any request
ANY_HOST = "(any)"  # the host name of an aisle, where its sites have one


class Site(Protocol):
    """A place or a run of new nodes."""

    free: Vector

    @property
    def view(self) -> NodeView: ...


S = TypeVar("S", bound=Site)


class Block(Generic[S]):
    """Some sites of an aisle, and at least the most that any of them has free."""

    __slots__ = ("is_stale", "sites", "top")

    def __init__(self, sites: list[S]) -> None:
        self.sites = sites
        self.top: Vector = ()
        self.is_stale = True  # something was taken since `top` was worked out
        self.measure()

    def measure(self) -> None:
        """Work out anew what is free at most; room only shrinks, so that this is due when nothing was found."""
        if not self.is_stale:
            return
        self.is_stale = False
        self.top = tuple(map(max, zip(*[site.free for site in self.sites], strict=True))) if self.sites else NOTHING

    def may_take(self, request: Vector) -> bool:
        return all(map(le, request, self.top))

    def with_room(self, request: Vector) -> Iterator[S]:
        """Yield the sites that hold the request when they are looked at; they may be changed meanwhile."""
        first, second = request[:2]  # every pass counts cpu and memory; most sites are full, so look there first
        for site in self.sites.copy():
            free = site.free
            if first <= free[0] and second <= free[1] and all(map(le, request, free)):
                yield site


class Aisle(Generic[S]):
    """Sites of one kind; `view` is what all of them look like, a host's name aside."""

    __slots__ = ("blocks", "view")

    def __init__(self, view: NodeView, sites: Sequence[S] = ()) -> None:
        self.view = view
        self.blocks = [Block(list(sites[at : at + BLOCK])) for at in range(0, len(sites), BLOCK)]

    def __iter__(self) -> Iterator[S]:
        return (site for block in self.blocks for site in block.sites)

    def add(self, site: S) -> None:
        """Put a site at the end."""
        if self.blocks and len(self.blocks[-1].sites) < BLOCK:
            last = self.blocks[-1]
            last.top = tuple(map(max, last.top, site.free)) if last.sites else site.free
            last.sites.append(site)
        else:
            self.blocks.append(Block([site]))

    def part(self, block: Block[S]) -> None:
        """Part a block that has grown too long."""
        sites = block.sites
        if len(sites) > 2 * BLOCK:
            at = self.blocks.index(block)
            self.blocks[at : at + 1] = [Block(sites[:BLOCK]), Block(sites[BLOCK:])]

    def with_room(self, request: Vector) -> Iterator[S]:
        """Yield the sites whose free amounts hold the request now."""
        for block in self.blocks:
            if block.may_take(request):
                yield from block.with_room(request)


class Questions:
    """What the pods of a pass ask of nodes: labels that none of them asks about make no difference."""

    def __init__(self, classes: Iterable[PodClass], others: Iterable[PodSpec], daemonsets: Iterable[DaemonSet]) -> None:
        found: set[str] = set()
        seen: set[int] = set()
        named: set[GroupName] = set()
        self.tells_groups = False
        for one in classes:
            if id(one.fitting) not in seen:
                seen.add(id(one.fitting))
                found.update(one.fitting.keys)
                self.tells_groups = self.tells_groups or bool(one.fitting.against)
                named.update(one.menu.ranks if one.menu is not None else ())
            if id(one.spec) not in seen:
                seen.add(id(one.spec))
                found.update(_keys_of(one.spec))
        for spec in others:
            found.update(_keys_of(spec))
        for each in daemonsets:
            found.update((*Fitting(each.spec).keys, *_keys_of(each.spec)))
        self.keys = tuple(sorted(found - {HOSTNAME_LABEL}))
        self.named = frozenset(named)  # groups on some menu, whatever the priority ConfigMap says

    def kind(self, labels: Labels) -> tuple[object, ...]:
        """What nodes must agree in to be of one kind; the presence of a host name counts, the name does not."""
        return (HOSTNAME_LABEL in labels, *map(labels.get, self.keys))

    def view(self, node: NodeView) -> NodeView:
        """A node without its name, with the labels that are asked about."""
        labels = {key: node.labels[key] for key in self.keys if key in node.labels}
        if HOSTNAME_LABEL in node.labels:
            labels[HOSTNAME_LABEL] = ANY_HOST
        return NodeView(labels, node.taints, None, node.zones)


def in_aisles(sites: Iterable[S], questions: Questions) -> list[Aisle[S]]:
    """Sort sites into aisles, each in the order given."""
    found: dict[tuple[object, ...], list[S]] = {}
    for site in sites:
        view = site.view
        found.setdefault((questions.kind(view.labels), view.taints, view.zones), []).append(site)
    return [Aisle(questions.view(members[0].view), members) for members in found.values()]


def _keys_of(spec: PodSpec) -> Iterator[str]:
    """The labels of nodes by which a pod's rules and wishes tell domains, selectors of nodes aside."""
    for term in (*spec.affinity, *spec.anti_affinity):
        yield term.topology_key
    for wish in (*spec.preferred_affinity, *spec.preferred_anti_affinity):
        yield wish.term.topology_key
    for spread in spec.spread:
        yield spread.topology_key
    for preferred in spec.preferred_node_terms:
        yield from (one.key for one in preferred.term.expressions)
