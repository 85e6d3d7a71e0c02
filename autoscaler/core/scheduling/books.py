"""The tallies of a pass by what they count, each once whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from autoscaler.core.model import Labels
from autoscaler.core.podspec import PodSpec
from autoscaler.core.scheduling.binding import Waiting
from autoscaler.core.scheduling.selectors import PodQuery, query_of
from autoscaler.core.scheduling.tally import Deed, Scope, SpreadTally, Tally
from autoscaler.core.storage import ClaimKey

SpreadKey = tuple[PodQuery, str, Scope]
BookKey = tuple[str, object]  # which book, and the tally's key there
Repulsion = tuple[PodQuery, str]  # an anti-affinity term: what it keeps away, and the topology key


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What rules see of a pod."""

    spec: PodSpec
    labels: Labels
    namespace: str
    exclusive: tuple[ClaimKey, ...] = ()  # ReadWriteOncePod claims
    waiting: Waiting = ()  # claims that pods of one plan meet over

    @property
    def repulsions(self) -> list[Repulsion]:
        terms = self.spec.anti_affinity
        return [(query_of(term, self.namespace, self.labels), term.topology_key) for term in terms]


@dataclass(slots=True, eq=False)
class Books:
    """Tallies by what they count; pods that match all queries of a key, or that carry a repulsion."""

    journal: list[Deed] = field(default_factory=list)
    spreads: dict[SpreadKey, SpreadTally] = field(default_factory=dict)
    matching: dict[tuple[tuple[PodQuery, ...], str], Tally] = field(default_factory=dict)
    carrying: dict[Repulsion, Tally] = field(default_factory=dict)
    exclusive: dict[ClaimKey, Tally] = field(default_factory=dict)  # by use anywhere in the cluster

    @property
    def all(self) -> Iterator[Tally]:
        for books in (self.spreads, self.matching, self.carrying, self.exclusive):
            yield from books.values()

    @property
    def keyed(self) -> Iterator[tuple[BookKey, Tally]]:
        """Every tally with a key that means the same in another layout of the same world."""
        for name, book in (("spread", self.spreads), ("matching", self.matching), ("carrying", self.carrying)):
            yield from (((name, key), tally) for key, tally in book.items())

    def matching_all(self, queries: tuple[PodQuery, ...], key: str) -> Tally:
        found = self.matching.get((queries, key))
        if found is None:
            found = self.matching[queries, key] = Tally(key, self.journal)
        return found

    def carrying_one(self, repulsion: Repulsion) -> Tally:
        found = self.carrying.get(repulsion)
        if found is None:
            found = self.carrying[repulsion] = Tally(repulsion[1], self.journal)
        return found


@dataclass(slots=True)
class Openings:
    """What a plan's new nodes bring, to be counted from the start when all is laid out anew.

    `domains` by spread constraint, with how many new hosts; `residents`, the
    pods of DaemonSets, by tally and domain.
    """

    domains: dict[BookKey, dict[str, int]] = field(default_factory=dict)
    residents: dict[BookKey, dict[str, int]] = field(default_factory=dict)

    def covers(self, other: Openings) -> bool:
        pairs = ((self.domains, other.domains), (self.residents, other.residents))
        return all(
            count <= mine.get(key, {}).get(domain, 0)
            for mine, theirs in pairs
            for key, found in theirs.items()
            for domain, count in found.items()
        )

    def add(self, other: Openings) -> None:
        """Take in what the other has more."""
        for mine, theirs in ((self.domains, other.domains), (self.residents, other.residents)):
            for key, found in theirs.items():
                known = mine.setdefault(key, {})
                for domain, count in found.items():
                    known[domain] = max(count, known.get(domain, 0))
