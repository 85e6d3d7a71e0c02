"""Shrinks a world in which we and the scheduler differ to a small one that still shows it.

What is left out is tried on both again; it stays out while a difference of
the same kind remains. Bounded in time: what is found by then is handed out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Protocol

from autoscaler import clock
from tests.controlplane.client import Json, Refused
from tests.controlplane.cluster import OF_EVERY_NODE
from tests.controlplane.comparison import Comparison, Kind
from tests.controlplane.worlds import World, name_of

PARTS = ("pending", "groups", "daemonsets", "residents", "storage", "nodes")
SECONDS = 120.0
_AT_THE_END = (Kind.NOT_BOUND, Kind.BOUND, Kind.VAIN)
# What an API server asks for anyway, and what every node has.
_KEPT = {"containers", "nodeName", "name", "image", "resources", "topologyKey", "operator", *OF_EVERY_NODE}


class Compare(Protocol):
    """How a world is tried."""

    def __call__(self, world: World, *, to_the_end: bool = True) -> Comparison: ...


def minimise(world: World, found: Comparison, compare: Compare, seconds: float = SECONDS) -> tuple[World, Comparison]:
    """Return the smallest world found, and what both said of it; the world itself where the difference is gone."""
    shrinker = _Shrinker(world, found, compare, clock.monotonic() + seconds)
    pod = found.differences[0].pod
    if shrinker.is_of_nodes:  # one pod alone was asked: all others are likely noise
        shrinker.keeps(replace(world, groups=[], pending=[each for each in world.pending if name_of(each) == pod]))
    before = -1
    while before != shrinker.shrunk:
        before = shrinker.shrunk
        for part in PARTS:
            shrinker.drop_items(part)
        for part in ("pending", "residents", "nodes", "daemonsets"):
            shrinker.drop_fields(part)
    return shrinker.world, shrinker.found


class _Shrinker:
    def __init__(self, world: World, found: Comparison, compare: Compare, deadline: float) -> None:
        self.world = world
        self.found = found
        self.shrunk = 0
        self._compare = compare
        self._deadline = deadline
        self._kind = found.differences[0].kind
        self.is_of_nodes = self._kind not in _AT_THE_END

    def keeps(self, smaller: World) -> bool:
        """Whether the difference remains in a smaller world, which then takes the place of the world."""
        if clock.monotonic() > self._deadline:
            return False
        try:
            found = self._compare(smaller, to_the_end=not self.is_of_nodes)
        except (Refused, AssertionError, KeyError):  # no world that an API server takes, or that comes to rest
            return False
        if all(each.kind is not self._kind for each in found.differences):
            return False
        self.world, self.found = smaller, found
        self.shrunk += 1
        return True

    def drop_items(self, part: str) -> None:
        """Leave out half of a part's items, then a quarter of them, down to single ones."""
        size = len(getattr(self.world, part))
        while size:
            start = 0
            while start < len(items := getattr(self.world, part)):
                smaller = _without(self.world, part, items[start : start + size])
                start += 0 if self.keeps(smaller) else size
            size //= 2

    def drop_fields(self, part: str) -> None:
        """Leave out fields and list items of each manifest, the outermost first."""
        for number in range(len(getattr(self.world, part))):
            tried: set[tuple[str | int, ...]] = set()
            while path := next((one for one in _paths(self._item(part, number)) if one not in tried), None):
                tried.add(path)
                items = list(getattr(self.world, part))
                items[number] = _cut(items[number], path)
                if self.keeps(_with(self.world, part, items)):
                    tried.clear()

    def _item(self, part: str, number: int) -> Json:
        found: Json = getattr(self.world, part)[number]
        return found


def _with(world: World, part: str, items: list[Json]) -> World:
    made = replace(world)
    setattr(made, part, items)
    return made


def _without(world: World, part: str, items: Sequence[Json]) -> World:
    """The world without some items, and without what was on these nodes."""
    smaller = _with(world, part, [each for each in getattr(world, part) if not any(each is one for one in items)])
    if part == "nodes":
        gone = {name_of(node) for node in items}
        smaller.residents = [pod for pod in world.residents if pod["spec"]["nodeName"] not in gone]
        smaller.storage = [each for each in world.storage if each["kind"] != "CSINode" or name_of(each) not in gone]
    return smaller


def _paths(manifest: Json) -> Iterator[tuple[str | int, ...]]:
    """The fields that may be left out, the outermost first."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [(("spec",), manifest["spec"])]
    waiting.append((("metadata", "labels"), manifest["metadata"].get("labels", {})))
    while waiting:
        path, value = waiting.pop(0)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, below in inner:
            if key not in _KEPT and not (key == 0 and path[-1] == "containers"):
                yield (*path, key)
            waiting.append(((*path, key), below))


def _cut(manifest: Json, path: Sequence[str | int]) -> Json:
    made = deepcopy(manifest)
    found: Any = made
    for key in path[:-1]:
        found = found[key]
    del found[path[-1]]
    return made
