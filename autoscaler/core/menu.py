"""Menu: of which groups a pod may be bought a node, in which order, and how long it waits for a better one.

Without a wish of its own a pod has the cluster's tiers, and no menu. An
annotation narrows and reorders them (DESIGN 8): `groups` names tiers of its
own, also of groups that the priority ConfigMap leaves out; `on-demand` keeps
to one market; `max-wait` bars the lower tiers until it has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, cast

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import GroupName, Market, NodeGroup, Pod
from autoscaler.core.tuning import NO_TUNING, GroupTiers, Key, MarketWish, Tuning, Tunings, Wish
from autoscaler.core.virtual import is_virtual

ClusterTiers = Mapping[GroupName, int | None]
Names = tuple[GroupName, ...]
LEFT_OUT = Objection(Why.NOT_IN_PRIORITIES, "no expression of the priority ConfigMap matches the name")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Menu:
    """What a pod may be bought.

    `tiers` hold groups, the best first. `against` says why each other group is
    not among them. `wait` is the wish by which lower tiers wait, if any.
    """

    tiers: tuple[Names, ...]
    against: Mapping[GroupName, tuple[Objection, ...]]
    told: str = ""  # the wishes for groups and market, for people
    wait: Wish | None = None
    ranks: Mapping[GroupName, int] = field(default_factory=dict)  # the better, the higher

    def prefers(self, group: GroupName, other: GroupName) -> bool:
        """Whether the pod would rather be on a node of `group`; one that is not on the menu is the last choice."""
        return self.ranks.get(group, -1) > self.ranks.get(other, -1)


class Terms(NamedTuple):
    """What pods must have in common to be bought together; `menu` None: the cluster's tiers, at once."""

    menu: Menu | None = None
    is_patient: bool = False


PLAIN = Terms()


class Menus:
    """The menus of one pass. `soonest` is when the first pod that waits for a better tier has waited enough."""

    def __init__(self, groups: Sequence[NodeGroup], tiers: ClusterTiers, tunings: Tunings, at: datetime) -> None:
        self.soonest: datetime | None = None
        self._groups = {one.name: one for one in sorted(groups, key=lambda one: one.name)}
        self._names = tuple(self._groups)
        self._tiers = tiers
        self._tunings = tunings
        self._at = at
        self._known: dict[int, tuple[Tuning, Menu | None]] = {}  # by identity of the tuning
        self._alike: dict[object, Menu | None] = {}

    def tuning_of(self, pod: Pod) -> Tuning:
        return self._tunings.of(pod)

    def is_shared(self, pod: Pod, terms: Terms) -> bool:
        """Whether pods that share all else have the same terms: not where each waits, or has a last good value."""
        return (terms.menu is None or terms.menu.wait is None) and not self._tunings.is_alone(pod)

    def of(self, pod: Pod) -> Terms:
        """The terms on which the pod is bought a node."""
        tuning = self._tunings.of(pod)
        if tuning is NO_TUNING:
            return PLAIN
        menu = self._menu(tuning)
        if menu is None or menu.wait is None or pod.node is not None or is_virtual(pod):
            return Terms(menu)  # spare room is made anew in each pass: it would wait for ever
        longest = cast("timedelta | None", menu.wait.value)
        if longest is None:
            return Terms(menu, is_patient=True)
        ends = (pod.unschedulable_since or pod.created) + longest
        if self._at >= ends:
            return Terms(menu)
        self.soonest = min(ends, self.soonest or ends)
        return Terms(menu, is_patient=True)

    def opened_by(self, menus: Iterable[Menu | None]) -> frozenset[GroupName]:
        """The groups that the priority ConfigMap leaves out, and that some menu names all the same."""
        left_out = {name for name, tier in self._tiers.items() if tier is None}
        return frozenset(name for menu in menus if menu is not None for name in left_out & menu.ranks.keys())

    def _menu(self, tuning: Tuning) -> Menu | None:
        known = self._known.get(id(tuning))
        if known is None:
            wishes = (tuning.get(Key.GROUPS), tuning.get(Key.ON_DEMAND), tuning.get(Key.MAX_WAIT))
            if wishes not in self._alike:
                self._alike[wishes] = self._work_out(*wishes)
            known = self._known[id(tuning)] = tuning, self._alike[wishes]
        return known[1]

    def _work_out(self, groups: Wish | None, market: Wish | None, wait: Wish | None) -> Menu | None:
        if wait is not None and wait.value == timedelta(0):
            wait = None
        if market is not None and market.value is MarketWish.ALLOW:
            market = None
        if groups is None and market is None and wait is None:
            return None
        against: dict[GroupName, tuple[Objection, ...]] = {}
        if groups is not None:
            tiers = _matching(cast("GroupTiers", groups.value), self._names)
            named = {name for tier in tiers for name in tier}
            reason = (Objection(Why.NOT_ALLOWED, str(groups)),)
            against = {name: reason for name in self._names if name not in named}
        else:
            tiers = self._of_cluster()
            against = {name: (LEFT_OUT,) for name, tier in self._tiers.items() if tier is None}
        if market is not None:
            other = Objection(Why.NOT_ALLOWED, str(market))
            wrong = [name for name in self._names if not _sells(self._groups[name].market, market)]
            against |= {name: (*against.get(name, ()), other) for name in wrong}
        tiers = tuple(tuple(name for name in tier if name not in against) for tier in tiers)
        tiers = tuple(tier for tier in tiers if tier)
        ranks = {name: len(tiers) - number for number, tier in enumerate(tiers) for name in tier}
        told = "; ".join(str(wish) for wish in (groups, market) if wish is not None)
        return Menu(tiers=tiers, against=against, told=told, wait=wait, ranks=ranks)

    def _of_cluster(self) -> tuple[Names, ...]:
        found: dict[int, list[GroupName]] = {}
        for name in self._names:
            tier = self._tiers[name]
            if tier is not None:
                found.setdefault(tier, []).append(name)
        return tuple(tuple(found[tier]) for tier in sorted(found, reverse=True))


def _sells(market: Market, wish: Wish) -> bool:
    """Whether the group surely sells what the application wants, and nothing else."""
    return market is (Market.SPOT if wish.value is MarketWish.NEVER else Market.ON_DEMAND)


@lru_cache(maxsize=5_000)
def _matching(expressions: GroupTiers, names: Names) -> tuple[Names, ...]:
    """Sort names into the tiers whose expressions match them, the first that does; kept from pass to pass."""
    left = dict.fromkeys(names)
    tiers = []
    for tier in expressions:
        mine = tuple(name for name in left if any(one.search(name) for one in tier))
        for name in mine:
            del left[name]
        tiers.append(mine)
    return tuple(tiers)


def with_left_out(menu: Menu | None, opened: frozenset[GroupName]) -> Mapping[GroupName, tuple[Objection, ...]]:
    """What stands against groups for a class; who has no menu is kept off those that others have opened."""
    return menu.against if menu is not None else dict.fromkeys(sorted(opened), (LEFT_OUT,))
