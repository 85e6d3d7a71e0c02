"""Levels: the families of groups that pods may be bought a node of, tier by tier, the best first.

Pods without wishes share the levels of the cluster. A menu has levels of its
own, which are the same objects wherever they hold the same groups, so that
pods buy together as far as their wishes let them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autoscaler.core.menu import Menu
from autoscaler.core.model import GroupName
from autoscaler.core.scaleup.families import Family
from autoscaler.core.scheduling.classes import PodClass


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One tier, as somebody sees it."""

    families: list[Family] = field(default_factory=list)


class Levels:
    """All levels of one wave."""

    def __init__(self, families: Sequence[Family]) -> None:
        tiers = sorted({family.tier for family in families}, reverse=True)
        self.of_cluster = [Level([one for one in families if one.tier == tier]) for tier in tiers]
        self._family_of = {offer.group.name: family for family in families for offer in family.offers}
        self._known = {_names_of(level.families): level for level in self.of_cluster}
        self._parts: dict[tuple[int, frozenset[GroupName]], Family] = {}
        self._by_menu: dict[int, tuple[Menu, list[Level], frozenset[Level]]] = {}  # by identity of the menu
        self._everywhere = frozenset(self.of_cluster)

    def of(self, one: PodClass) -> list[Level]:
        """The levels of a class, the best first."""
        return self.of_cluster if one.menu is None else self._own(one.menu)[1]

    def has(self, one: PodClass, level: Level) -> bool:
        return level in (self._everywhere if one.menu is None else self._own(one.menu)[2])

    def _own(self, menu: Menu) -> tuple[Menu, list[Level], frozenset[Level]]:
        found = self._by_menu.get(id(menu))
        if found is None:
            tiers = [[name for name in tier if name in self._family_of] for tier in menu.tiers]
            levels = [self._level(tier) for tier in tiers if tier]
            found = self._by_menu[id(menu)] = menu, levels, frozenset(levels)
        return found

    def _level(self, names: Iterable[GroupName]) -> Level:
        key = frozenset(names)
        level = self._known.get(key)
        if level is None:
            families = {id(self._family_of[name]): self._family_of[name] for name in sorted(key)}
            level = self._known[key] = Level([self._part(family, key) for family in families.values()])
        return level

    def _part(self, family: Family, names: frozenset[GroupName]) -> Family:
        """The family without the groups that are not wanted; its zones are kept even all the same."""
        mine = frozenset(offer.group.name for offer in family.offers) & names
        found = self._parts.get((id(family), mine))
        if found is None:
            found = self._parts[id(family), mine] = family.part(mine)
        return found


def _names_of(families: Iterable[Family]) -> frozenset[GroupName]:
    return frozenset(offer.group.name for family in families for offer in family.offers)
