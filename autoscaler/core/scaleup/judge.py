"""What becomes of each pending pod, and which groups object to it.

Every group that cannot or may not host the pod says why, all its reasons at
once; the chosen one never objects. Reasons are worked out once per class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from autoscaler.core.decision import Objection, Outcome, Verdict, Why
from autoscaler.core.model import GroupName
from autoscaler.core.scaleup.buy import Buyer
from autoscaler.core.scaleup.offers import Caps, Market, Offer
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.place import Place

# With nothing worse than these, the group could host the pod at another time.
PASSING = frozenset(
    (
        Why.LOWER_TIER,
        Why.IN_BACKOFF,
        Why.MISCONFIGURED,
        Why.MAX_SIZE_REACHED,
        Why.QUOTA_EXCEEDED,
        Why.NO_FREE_ADDRESSES,
        Why.MAX_NODES_TOTAL,
        Why.MAX_NODES_PER_SCALE_UP,
        Why.CORES_TOTAL,
        Why.MEMORY_TOTAL,
    )
)

Fate = Place | Offer | None  # where a pod goes
Objections = dict[GroupName, tuple[Objection, ...]]


class Judge:
    """Verdicts of one wave."""

    def __init__(self, market: Market, buyer: Buyer) -> None:
        self._offers: dict[GroupName, list[Offer]] = {}
        for offer in market.offers:
            self._offers.setdefault(offer.group.name, []).append(offer)
        self._closed = market.closed
        self._at_start = market.caps
        self._at_end = buyer.caps
        self._topology = buyer.topology

    def verdicts(self, one: PodClass, housed: Mapping[str, Place], bought: Mapping[str, Offer]) -> Iterator[Verdict]:
        """The verdicts of a class's pods, in their order; pods of equal fate share one."""
        fates: list[Fate] = [housed.get(pod.uid) or bought.get(pod.uid) for pod in one.pods]
        shared: dict[object, Verdict] = {}
        verdict_of: dict[Fate, Verdict] = {}
        for fate in dict.fromkeys(fates):
            kind = _kind(fate)
            if kind not in shared:
                shared[kind] = self._verdict(one, fate)
            verdict_of[fate] = shared[kind]
        return map(verdict_of.__getitem__, fates)

    def _verdict(self, one: PodClass, fate: Fate) -> Verdict:
        if isinstance(fate, Place):
            outcome = Outcome.FITS_UPCOMING if fate.is_upcoming else Outcome.FITS_EXISTING
            return Verdict(outcome=outcome, node=fate.node, objections=self._objections(one, self._at_start))
        if fate is not None:
            return Verdict(outcome=Outcome.LAUNCH, group=fate.group.name, objections=self._objections_beside(one, fate))
        could = any(self._could(one, offer) for offers in self._offers.values() for offer in offers)
        return Verdict(
            outcome=Outcome.WAITING if could else Outcome.UNSCHEDULABLE,
            objections=self._objections(one, self._at_end),
            reasons=one.refusals,
        )

    def _objections(self, one: PodClass, caps: Caps) -> Objections:
        found = {group: self._of_group(one, offers, caps) for group, offers in self._offers.items()}
        found |= {group: (*one.refusals, *closed) for group, closed in self._closed.items()}
        return {group: found[group] for group in sorted(found) if found[group]}

    def _objections_beside(self, one: PodClass, chosen: Offer) -> Objections:
        """The other groups' reasons: a higher tier was passed over as this plan leaves it, the rest as it was."""
        found = self._objections(one, self._at_start)
        for group, offers in self._offers.items():
            if offers[0].tier > chosen.tier:
                found[group] = self._of_group(one, offers, self._at_end)
            elif offers[0].tier < chosen.tier and group not in found:
                detail = f"{chosen.group.name} is of a higher tier and takes the pod"
                found[group] = (Objection(Why.LOWER_TIER, detail),)
        found.pop(chosen.group.name, None)
        return {group: found[group] for group in sorted(found) if found[group]}

    def _could(self, one: PodClass, offer: Offer) -> bool:
        """Tell whether the offering could host the pod at another time, or by another plan."""
        unfit = (*offer.host(one), *self._rules_against(one, offer))
        reasons = (*unfit, *offer.objections, *self._at_end.objections(offer))
        return all(reason.why in PASSING for reason in reasons)

    def _of_group(self, one: PodClass, offers: Sequence[Offer], caps: Caps) -> tuple[Objection, ...]:
        """Return the reasons of the offerings that could hold the pod, or of all when none could.

        There is none when one of them takes it. What the pod's rules say is told as the plan leaves it.
        """
        able: dict[Objection, None] = {}
        unable: dict[Objection, None] = {}
        for offer in offers:
            rules = self._rules_against(one, offer) if caps is self._at_end else ()
            unfit = (*offer.host(one), *rules)
            found = (*unfit, *offer.objections, *caps.objections(offer))
            if not found:
                return ()
            (unable if unfit else able).update(dict.fromkeys(found))
        return tuple(able or unable)

    def _rules_against(self, one: PodClass, offer: Offer) -> Iterable[Objection]:
        """What the pod's rules have against an empty node of the offering beside all that is planned."""
        rules = one.bound
        return () if rules is None else rules.objections(offer.view, self._topology.marks_of(offer.view))


def _kind(fate: Fate) -> object:
    """What must be equal for pods of a class to share a verdict."""
    if isinstance(fate, Place):
        return fate.node, fate.is_upcoming
    return fate.group.name if fate is not None else None
