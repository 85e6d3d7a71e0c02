"""Capacity pools: how many instances of a type a zone still has in a market.

A pool is unlimited until someone says otherwise. Rules given with "*" hold for
pools that nobody asked yet, too; the latest rule wins. Says nothing of groups.
The world's lock guards it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from autoscaler.core.model import CapacityPool
from autoscaler.emulator.aws.samples import ICE


@dataclass(slots=True)
class Stock:
    """`free` instances are left (None: as many as anyone wants); `refusal` is the code given beyond that."""

    free: int | None = None
    refusal: str = ICE


@dataclass(frozen=True, slots=True)
class Rule:
    """Patterns in shell style for type, zone and market, and what such pools hold."""

    instance_type: str = "*"
    zone: str = "*"
    market: str = "*"
    free: int | None = None
    refusal: str = ICE

    def covers(self, pool: CapacityPool) -> bool:
        return (
            fnmatchcase(pool.instance_type, self.instance_type)
            and fnmatchcase(pool.zone, self.zone)
            and fnmatchcase(pool.market, self.market)
        )


@dataclass(slots=True)
class Pools:
    """All capacity of the region."""

    stocks: dict[CapacityPool, Stock] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    def apply(self, rule: Rule) -> None:
        """Set every pool that the rule covers, asked for already or not."""
        self.rules = [old for old in self.rules if old != rule] + [rule]
        for pool, stock in self.stocks.items():
            if rule.covers(pool):
                stock.free, stock.refusal = rule.free, rule.refusal

    def stock(self, pool: CapacityPool) -> Stock:
        if pool not in self.stocks:
            rule = next((rule for rule in reversed(self.rules) if rule.covers(pool)), Rule())
            self.stocks[pool] = Stock(rule.free, rule.refusal)
        return self.stocks[pool]

    def take(self, pool: CapacityPool, count: int) -> int:
        """Take up to `count` instances; how many there were."""
        stock = self.stock(pool)
        if stock.free is None:
            return count
        taken = min(count, stock.free)
        stock.free -= taken
        return taken

    def give_back(self, pool: CapacityPool) -> None:
        """An instance ended: its pool has room again only where it was counted and not dried out by hand."""
        stock = self.stock(pool)
        if stock.free is not None and stock.free > 0:
            stock.free += 1
