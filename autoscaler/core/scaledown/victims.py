"""In which order nodes are tried: the dearest tier first, and from the fullest zone of a family.

Balance breaks ties and never vetoes: a zone whose nodes cannot go is passed
over. Then the emptiest node goes first, and names decide last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from autoscaler.core.model import GroupName, Zone
from autoscaler.core.scaledown.cases import Case
from autoscaler.core.scaleup.families import Family

Key = tuple[object, ...]


@dataclass(slots=True)
class Balance:
    """Which family a group belongs to, and how many nodes each family has in each zone."""

    family_of: dict[GroupName, str] = field(default_factory=dict)
    nodes: dict[str, Counter[Zone]] = field(default_factory=dict)

    @classmethod
    def of(cls, families: Iterable[Family]) -> Balance:
        """Take the families as they are, their live instances counted."""
        found = cls()
        for family in families:
            found.family_of.update({offer.group.name: family.name for offer in family.offers})
            found.nodes[family.name] = Counter(family.nodes)
        return found

    def family(self, case: Case) -> str:
        return self.family_of.get(case.group.name, case.group.name)

    def count(self, case: Case) -> int:
        return self.nodes.setdefault(self.family(case), Counter())[case.instance.zone]

    def remove(self, case: Case) -> None:
        """The node goes."""
        self.nodes.setdefault(self.family(case), Counter())[case.instance.zone] -= 1


def fullness(case: Case) -> float:
    return case.utilization.share if case.utilization is not None else 0.0


def by_balance(cases: Iterable[Case], balance: Balance, tiers: Mapping[GroupName, int | None],
               first: Callable[[Case], object]) -> Iterator[Case]:  # fmt: skip
    """Yield the cases; whoever takes one tells the balance before asking for the next.

    `first` ranks before everything but the tier.
    """
    families: dict[tuple[bool, int, str], dict[Zone, list[Case]]] = {}
    for case in cases:
        tier = tiers.get(case.group.name)
        key = (tier is not None, tier or 0, balance.family(case))
        families.setdefault(key, {}).setdefault(case.instance.zone, []).append(case)
    for _, zones in sorted(families.items(), key=lambda item: item[0]):
        for members in zones.values():
            members.sort(key=lambda case: (first(case), fullness(case), case.name), reverse=True)
        while zones:
            zone = min(zones, key=lambda name: _rank(zones[name][-1], balance, first))
            case = zones[zone].pop()
            if not zones[zone]:
                del zones[zone]
            yield case


def _rank(case: Case, balance: Balance, first: Callable[[Case], object]) -> Key:
    return first(case), -balance.count(case), fullness(case), case.name
