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
        self._by_menu: dict[int, tuple[Menu, list[Level]]] = {}  # by identity of the menu
        self._takers: dict[GroupName, list[int]] = {}
        self._may_take: dict[int, tuple[Level | Family, frozenset[int]]] = {}  # by identity of level or family

    def of(self, one: PodClass) -> list[Level]:
        """The levels of a class, the best first."""
        return self.of_cluster if one.menu is None else self._own(one.menu)

    def learn(self, classes: Iterable[PodClass]) -> None:
        """Note who has wishes, so that nobody need be asked about groups that are not on the menu."""
        self._may_take.clear()
        self._takers.clear()
        for one in classes:
            for name in one.menu.ranks if one.menu is not None else ():
                self._takers.setdefault(name, []).append(id(one))

    def may_take(self, what: Level | Family) -> frozenset[int]:
        """The classes with a menu, by identity, that has any of these groups on it."""
        found = self._may_take.get(id(what))
        if found is None:
            families = what.families if isinstance(what, Level) else [what]
            ids = frozenset(one for name in _names_of(families) for one in self._takers.get(name, ()))
            found = self._may_take[id(what)] = what, ids
        return found[1]

    def _own(self, menu: Menu) -> list[Level]:
        found = self._by_menu.get(id(menu))
        if found is None:
            tiers = [[name for name in tier if name in self._family_of] for tier in menu.tiers]
            found = self._by_menu[id(menu)] = menu, [self._level(tier) for tier in tiers if tier]
        return found[1]

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
