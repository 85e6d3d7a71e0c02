"""Claims that wait for their first consumer, where pods of one plan meet over them.

The first pod on a node decides for a claim: it gets a free volume there, which
is nobody else's then, or one is made in the node's zone. Whoever shares the
claim must be where that volume is. Kept as a tally, so that what was tried can
be taken back; `demands` knows what a pod could have if it were alone.
Source: AssumePodVolumes in kubernetes/pkg/scheduler/framework/plugins/volumebinding/binder.go
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import ZONE_LABEL, NodeName
from autoscaler.core.scheduling.demands import Binding, Spot, Wanted, allows, spots_of
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.rules import Marks, Rules
from autoscaler.core.scheduling.tally import Deed, Tally
from autoscaler.core.storage import AttachLimits, ClaimKey

Waiting = tuple[tuple[ClaimKey, Wanted], ...]


class Fate(NamedTuple):
    """What a claim got: a free volume, or one that is made in a zone ("": nobody knows in which)."""

    claim: ClaimKey
    volume: str | None
    zone: str


class Ledger(Tally):
    """Counts pods by what their claims got."""

    __slots__ = ("_fates", "_known", "_nodes")

    def __init__(self, journal: list[Deed], nodes: Mapping[NodeName, AttachLimits]) -> None:
        super().__init__(ZONE_LABEL, journal)
        self._nodes = nodes
        self._known: dict[str, Fate] = {}
        self._fates: dict[ClaimKey, Fate] = {}

    def match(self, waiting: Waiting, node: NodeView) -> tuple[Fate, ...] | None:
        """What the claims of a pod would get on the node now; None when the pod cannot be there."""
        zone = node.labels.get(ZONE_LABEL, "")
        kept = [self._fates.get(key) for key, _ in waiting]
        spots = spots_of(node, self._nodes)
        for fate, (_, one) in zip(kept, waiting, strict=True):
            if fate is not None and not _is_there(fate, one, zone, spots[0]):
                return None
        used = {fate.volume for fate in self._fates.values() if fate.volume is not None}
        left = [row for row, fate in zip(waiting, kept, strict=True) if fate is None]
        found = Binding(tuple(one for _, one in left)).bind(spots[0], used)
        if isinstance(found, Objection):
            return None
        new = [Fate(key, volume, zone) for (key, _), volume in zip(left, found, strict=True)]
        return (*(fate for fate in kept if fate is not None), *new)

    def note(self, waiting: Waiting, node: NodeView, pods: int) -> None:
        """So many more pods on the node."""
        for fate in self.match(waiting, node) or ():
            text = f"{fate.claim}={fate.volume or ''}@{fate.zone}"
            self._known[text] = fate
            self.count(text, pods)

    def _shift(self, domain: str, pods: int) -> None:
        super()._shift(domain, pods)
        fate = self._known[domain]
        if self.counts[domain] > 0:
            self._fates[fate.claim] = fate
        else:
            self._fates.pop(fate.claim, None)


def _is_there(fate: Fate, one: Wanted, zone: str, spot: Spot) -> bool:
    """Whether the node can use what the claim has got."""
    if fate.volume is None:
        return fate.zone == zone
    return any(allows(each.terms, spot.labels) for each in one.free if each.volume == fate.volume)


@dataclass(slots=True, eq=False, kw_only=True)
class BindingRules(Rules):
    """The rules of a class whose claims other pods could take volumes from, or follow."""

    ledger: Ledger
    waiting: Waiting

    def __post_init__(self) -> None:
        Rules.__post_init__(self)
        self.is_bound = True

    def room_on_node(self, node: NodeView, marks: Marks = None, *, is_new: bool = False) -> int:
        room = Rules.room_on_node(self, node, marks, is_new=is_new)
        return room if room and self.ledger.match(self.waiting, node) is not None else 0

    def place(self, node: NodeView, pods: int) -> None:
        Rules.place(self, node, pods)
        self.ledger.note(self.waiting, node, pods)

    def place_on_new(self, node: NodeView, nodes: int, pods: int, marks: Marks) -> Marks:
        self.ledger.note(self.waiting, node, nodes * pods)
        return Rules.place_on_new(self, node, nodes, pods, marks)

    def is_alike(self, left: NodeView, right: NodeView) -> bool:
        if left is not right and any(one.free for _, one in self.waiting):
            return False  # a volume that is reached from one node need not be from another
        return left.labels.get(ZONE_LABEL) == right.labels.get(ZONE_LABEL) and Rules.is_alike(self, left, right)

    def objections(self, node: NodeView, marks: Marks = None) -> Iterator[Objection]:
        yield from Rules.objections(self, node, marks)
        if self.ledger.match(self.waiting, node) is None:
            yield Objection(Why.VOLUME, "other pods of this plan decide where its claims get their volumes")
