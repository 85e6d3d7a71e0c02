"""Result: the figures of one bench, and the floors below which it fails.

A floor is the worst acceptable figure: the highest one, as less is better
everywhere, except for names listed in `higher_is_better`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench.machine import describe_machine


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one bench measured; `left_out` says what the figures do not cover."""

    bench: str
    figures: Mapping[str, float]
    floors: Mapping[str, float] = field(default_factory=dict)
    higher_is_better: frozenset[str] = frozenset()
    seed: int = 1
    left_out: str = ""
    machine: str = field(default_factory=describe_machine)

    def holds(self, name: str) -> bool:
        """Whether the figure is at least as good as its floor; one without a floor is."""
        if name not in self.floors:
            return True
        figure, floor = self.figures[name], self.floors[name]
        return figure >= floor if name in self.higher_is_better else figure <= floor

    @property
    def ok(self) -> bool:
        """Whether every floor has its figure, and none is missed."""
        return all(name in self.figures and self.holds(name) for name in self.floors)

    def to_json(self) -> dict[str, object]:
        return {
            "bench": self.bench,
            "machine": self.machine,
            "seed": self.seed,
            "figures": dict(self.figures),
            "floors": dict(self.floors),
            "ok": self.ok,
        }

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        yield f"{self.bench}: {'ok' if self.ok else 'FAILED'} (seed {self.seed}; {self.machine})"
        for name, figure in self.figures.items():
            sign = ">=" if name in self.higher_is_better else "<="
            floor = f"  (floor {sign} {self.floors[name]:g})" if name in self.floors else ""
            yield f"  {name:<28} {figure:>12.6g}{floor}{'' if self.holds(name) else '  MISSED'}"
        for name in self.floors.keys() - self.figures.keys():
            yield f"  {name:<28} not measured  MISSED"
        if self.left_out:
            yield f"  left out: {self.left_out}"
