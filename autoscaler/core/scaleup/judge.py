"""What becomes of each pending pod, and which groups object to it.

Every group that cannot or may not host the pod says why, all its reasons at
once; the chosen one never objects. Reasons are worked out once per class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autoscaler.core.decision import Objection, Outcome, Verdict, Why
from autoscaler.core.model import GroupName, PodKey
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

    def record(
        self,
        verdicts: dict[PodKey, Verdict],
        one: PodClass,
        housed: Mapping[str, Place],
        bought: Mapping[str, Offer],
    ) -> None:
        """Write the verdicts of all pods of a class; pods of equal fate share one."""
        shared: dict[object, Verdict] = {}
        for pod in one.pods:
            place, offer = housed.get(pod.uid), bought.get(pod.uid)
            fate = (
                (place.node, place.is_upcoming)
                if place is not None
                else offer.group.name
                if offer is not None
                else None
            )
            verdict = shared.get(fate)
            if verdict is None:
                verdict = shared[fate] = self._verdict(one, place, offer)
            verdicts[pod.key] = verdict

    def _verdict(self, one: PodClass, place: Place | None, offer: Offer | None) -> Verdict:
        if place is not None:
            outcome = Outcome.FITS_UPCOMING if place.is_upcoming else Outcome.FITS_EXISTING
            return Verdict(outcome=outcome, node=place.node, objections=self._objections(one, self._at_start, None))
        if offer is not None:
            objections = self._objections(one, self._at_start, offer)
            return Verdict(outcome=Outcome.LAUNCH, group=offer.group.name, objections=objections)
        objections = self._objections(one, self._at_end, None)
        could = any(all(reason.why in PASSING for reason in reasons) for reasons in objections.values())
        could = could or len(objections) < len(self._offers) + len(self._closed)
        return Verdict(
            outcome=Outcome.WAITING if could else Outcome.UNSCHEDULABLE, objections=objections, reasons=one.refusals
        )

    def _objections(self, one: PodClass, caps: Caps, chosen: Offer | None) -> Objections:
        found: Objections = {}
        for group, offers in self._offers.items():
            if chosen is not None and group == chosen.group.name:
                continue
            reasons = list(_of_group(one, offers, caps))
            if not reasons and chosen is not None and offers[0].tier < chosen.tier:
                reasons = [Objection(Why.LOWER_TIER, f"{chosen.group.name} is of a higher tier and takes the pod")]
            if reasons:
                found[group] = tuple(reasons)
        for group, closed in self._closed.items():
            found[group] = (*one.refusals, *closed)
        return dict(sorted(found.items()))


def _of_group(one: PodClass, offers: list[Offer], caps: Caps) -> Iterator[Objection]:
    """Yield the reasons of all a group's offerings, none if one of them takes the pod."""
    reasons: dict[tuple[Why, str], Objection] = {}
    for offer in offers:
        found = [*offer.host(one), *offer.objections, *caps.objections(offer)]
        if not found:
            return
        reasons.update(((objection.why, objection.detail), objection) for objection in found)
    yield from reasons.values()
