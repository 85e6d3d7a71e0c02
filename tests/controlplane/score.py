"""What a run compared, in figures: worlds, placements, disagreements, and how often each rule decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.controlplane.client import Json
from tests.controlplane.cluster import UNSCHEDULABLE, ZONE_LABEL
from tests.controlplane.comparison import Comparison, fitting_nodes, to_snapshot
from tests.controlplane.features import FEATURES, features_of
from tests.controlplane.scenery import namespaces, priorities
from tests.controlplane.worlds import World, name_of

NODE_TAINTS = {
    "on cordoned nodes": {UNSCHEDULABLE["key"]},
    "on tainted nodes": {"dedicated", "gpu"},
    "on nodes with PreferNoSchedule": {"soft"},
}
NO_ZONE = "on nodes without a zone"


@dataclass
class Row:
    """Of one rule: compared placements of pods that have it, and those that would end otherwise without it."""

    fit: int = 0
    unfit: int = 0
    decided: int = 0

    def add(self, *, fits: bool, decided: bool = False) -> None:
        self.fit += fits
        self.unfit += not fits
        self.decided += decided


@dataclass
class Score:
    """What was compared, and where we differ: lines that name world, pod and node."""

    worlds: int = 0
    buying: int = 0  # worlds whose plan bought nodes
    placements: int = 0  # pairs of a kind of pending pod and an existing node
    fits: int = 0  # of these, where both say that it fits
    promised: int = 0
    refused: int = 0
    nodes_bought: int = 0
    left_free: int = 0
    second_pass: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    def add(self, world: World, found: Comparison) -> None:
        """Count one world in."""
        self.worlds += 1
        for _, _, fits, passes in found.placements():
            self.placements += 1
            self.fits += fits and passes
        if found.promises is not None:
            places, bought = found.promises.places, len(found.promises.nodes)
            self.promised += len(places)
            self.refused += len(found.bound.keys() - places.keys())
            self.nodes_bought += bought
            self.buying += bought > 0
            self.left_free += found.left_free
            self.second_pass += found.second_pass
        self._count_rows(world, found)
        self.disagreements += [f"{world.name}: {each}" for each in found.differences]

    def _count_rows(self, world: World, found: Comparison) -> None:
        pods = {name_of(pod): pod for pod in world.pending}
        traits = {name_of(node): list(_traits(node)) for node in world.nodes}
        compared: dict[str, dict[str, bool]] = {}
        for name, node, fits, _ in found.placements():
            compared.setdefault(name, {})[node.name] = fits
            for trait in traits[node.name]:
                self._row(trait).add(fits=fits)
        for name, answers in compared.items():
            for feature, without in features_of(pods[name]):
                [other] = to_snapshot([*namespaces(), *priorities(), {"apiVersion": "v1", **without}]).pods
                alone = replace(found.snapshot, pods=[each for each in found.snapshot.pods if each.node is not None])
                nodes = set(fitting_nodes(alone, other))
                for node_name, fits in answers.items():
                    self._row(feature).add(fits=fits, decided=fits != (node_name in nodes))

    def _row(self, name: str) -> Row:
        return self.rows.setdefault(name, Row())

    def table(self) -> Iterator[str]:
        """Every rule with its figures; one that never decided shows as 0."""
        yield f"{'placements of pods with':32}{'fit':>8}{'unfit':>8}{'decided':>9}"
        for name in [feature.name for feature in FEATURES] + [*NODE_TAINTS, NO_ZONE]:
            row = self.rows.get(name, Row())
            decided = row.decided if not name.startswith("on ") else "-"
            yield f"{name:32}{row.fit:8}{row.unfit:8}{decided:>9}"

    def __str__(self) -> str:
        return (
            f"{self.worlds} worlds, {self.placements} placements compared ({self.fits} fit); "
            f"end to end {self.buying} worlds that bought {self.nodes_bought} nodes, {self.promised} pods promised, "
            f"{self.refused} refused (unpinned, {self.second_pass} of {self.left_free} need a second pass); "
            f"{len(self.disagreements)} disagreements"
        )


def _traits(node: Json) -> Iterator[str]:
    keys = {taint["key"] for taint in node["spec"]["taints"]}
    yield from (name for name, meant in NODE_TAINTS.items() if keys & meant)
    if ZONE_LABEL not in node["metadata"]["labels"]:
        yield NO_ZONE
