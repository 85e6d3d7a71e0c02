"""Amounts of resources, as pods ask for them and nodes have them.

Cpu in millicores, everything else in base units: bytes of memory, pieces of
pods and devices. How a quantity is written is `quantity`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autoscaler.core.quantity import format_amount


class Resources:
    """Amounts by resource name; immutable. A resource that is not named is 0."""

    __slots__ = ("_amounts", "_hash")

    def __init__(self, amounts: Mapping[str, int]) -> None:
        self._amounts = {name: amounts[name] for name in sorted(amounts)}
        self._hash: int | None = None

    def __getitem__(self, name: str) -> int:
        return self._amounts.get(name, 0)

    def __iter__(self) -> Iterator[str]:
        return iter(self._amounts)

    def __contains__(self, name: object) -> bool:
        return name in self._amounts

    def items(self) -> Iterator[tuple[str, int]]:
        return iter(self._amounts.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self._amounts == other._amounts

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(tuple(self._amounts.items()))
        return self._hash

    def __add__(self, other: Resources) -> Resources:
        names = self._amounts | other._amounts
        return Resources({name: self[name] + other[name] for name in names})

    def __sub__(self, other: Resources) -> Resources:
        names = self._amounts | other._amounts
        return Resources({name: self[name] - other[name] for name in names})

    def fits_in(self, room: Resources) -> bool:
        return all(amount <= room[name] for name, amount in self._amounts.items() if amount > 0)

    def with_amounts(self, amounts: Mapping[str, int]) -> Resources:
        """Return these amounts, replaced where `amounts` names a resource."""
        return Resources(self._amounts | dict(amounts))

    def least(self, other: Resources) -> Resources:
        """Return the smaller amount of each resource; one that either lacks is 0."""
        return Resources({name: min(self[name], other[name]) for name in self._amounts | other._amounts})

    def __repr__(self) -> str:
        return f"Resources({self._amounts})"

    def __str__(self) -> str:
        return ", ".join(f"{format_amount(name, amount)} {name}" for name, amount in self._amounts.items())


NO_RESOURCES = Resources({})
