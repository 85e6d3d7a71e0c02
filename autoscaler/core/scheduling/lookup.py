"""Which of many selectors mean a pod, found by its labels: thousands of applications mostly look at themselves.

A selector that asks for one of some values of a label can only mean pods that
have such a value, so it is filed under these; the others are asked each time.
What is found keeps the order in which it was filed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from autoscaler.core.model import Labels
from autoscaler.core.scheduling.selectors import Namespaces, PodQuery

T = TypeVar("T")


class Lookup(Generic[T]):
    """Things by the queries that must all mean a pod."""

    __slots__ = ("_entries", "_filed", "_namespaces", "_others")

    def __init__(self, namespaces: Namespaces, entries: Iterable[tuple[tuple[PodQuery, ...], T]]) -> None:
        self._namespaces = namespaces
        self._entries = list(entries)
        self._filed: dict[tuple[str, str], list[int]] = {}
        self._others: list[int] = []
        for number, (queries, _) in enumerate(self._entries):
            key, values = _filed_under(queries)
            for value in values:
                self._filed.setdefault((key, value), []).append(number)
            if not values:
                self._others.append(number)

    def meaning(self, labels: Labels, namespace: str) -> Iterator[T]:
        """Yield everything whose queries mean a pod of the namespace with these labels."""
        found = {number for pair in labels.items() for number in self._filed.get(pair, ())}
        for number in sorted(found.union(self._others)):
            queries, thing = self._entries[number]
            if all(self._namespaces.selects(query, namespace, labels) for query in queries):
                yield thing


def _filed_under(queries: Iterable[PodQuery]) -> tuple[str, tuple[str, ...]]:
    """A label and the values of which a pod must have one; none when nothing asks so."""
    for query in queries:
        for one in query.selector.requirements if query.selector is not None else ():
            if one.operator == "In":
                return one.key, one.values
    return "", ()
