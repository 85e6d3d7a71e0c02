"""What becomes of each pending pod, and which groups object to it.

Every group that cannot or may not host the pod says why, all its reasons at
once; the chosen one never objects. Reasons are worked out once per class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from autoscaler.core.decision import Objection, Outcome, Verdict, Why
from autoscaler.core.model import GroupName
from autoscaler.core.scaleup.buy import Buyer
from autoscaler.core.scaleup.offers import PASSING, Caps, Market, Offer
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.place import Place

Fate = Place | Offer | None  # where a pod goes
Objections = dict[GroupName, tuple[Objection, ...]]
Standing = dict[Offer, tuple[Objection, ...]]
RulesAgainst = dict[int, tuple[Objection, ...]]  # by identity of the view


class Judge:
    """Verdicts of one wave.

    What stands against an empty node is worked out once for all classes that
    ask the same of one, whatever their wishes, and what a group has against
    everybody once in all.
    """

    def __init__(self, market: Market, buyer: Buyer) -> None:
        self._offers: dict[GroupName, list[Offer]] = {}
        for offer in market.offers:
            self._offers.setdefault(offer.group.name, []).append(offer)
        self._closed = market.closed
        self._topology = buyer.topology
        self._withheld = buyer.withheld
        self._at_start = _standing(market.offers, market.caps)
        self._at_end = _standing(market.offers, buyer.caps)
        self._unfit: dict[int, dict[int, tuple[Objection, ...]]] = {}  # by the base of the fitting, then by offer
        self._of_base: dict[tuple[int, int, GroupName], tuple[Objection, ...]] = {}  # by base, standing and group
        self._plain: dict[int, Objections] = {}  # by fitting: as things stood, rules aside
        self._highest = max((offer.tier for offer in market.offers), default=0)
        self._beside: dict[tuple[int, int, GroupName], Objections] = {}

    def verdicts(self, one: PodClass, housed: Mapping[str, Place], bought: Mapping[str, Offer]) -> Iterator[Verdict]:
        """The verdicts of a class's pods, in their order; pods of equal fate share one."""
        uids = [pod.uid for pod in one.pods]
        fates: list[Fate] = list(map(bought.get, uids))
        if housed:
            fates = [housed.get(uid) or fate for uid, fate in zip(uids, fates, strict=True)]
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
            return Verdict(outcome=outcome, node=fate.node, objections=self._objections_at_start(one))
        if fate is not None:
            return Verdict(outcome=Outcome.LAUNCH, group=fate.group.name, objections=self._objections_beside(one, fate))
        rules = self._rules_against(one)
        could = any(self._could(one, offer, rules) for offers in self._offers.values() for offer in offers)
        return Verdict(
            outcome=Outcome.WAITING if could else Outcome.UNSCHEDULABLE,
            objections=self._with_withheld(one, self._objections(one, self._at_end, rules)),
            reasons=one.refusals,
        )

    def against(self, one: PodClass) -> Objections:
        """What every group has against the class as the plan leaves it."""
        return self._objections(one, self._at_end, self._rules_against(one))

    def _with_withheld(self, one: PodClass, found: Objections) -> Objections:
        """Add what keeps pods that wait for a better tier off the lower ones."""
        names = self._withheld(one)
        if not names or one.menu is None or one.menu.wait is None:
            return found
        reason = Objection(Why.LOWER_TIER, f"not yet: {one.menu.wait}")
        return {name: (*found.get(name, ()), *((reason,) if name in names else ()))
                for name in sorted(found.keys() | names)}  # fmt: skip

    def _objections_at_start(self, one: PodClass) -> Objections:
        found = self._plain.get(id(one.fitting))
        if found is None:
            found = self._plain[id(one.fitting)] = self._objections(one, self._at_start, {})
        return found

    def _objections(self, one: PodClass, standing: Standing, rules: RulesAgainst) -> Objections:
        found = {group: self._of_group(one, group, standing, rules) for group in self._offers}
        found |= {group: (*one.refusals, *closed) for group, closed in self._closed.items()}
        for group, reasons in one.fitting.against.items():
            found[group] = (*found.get(group, ()), *reasons)
        return {group: found[group] for group in sorted(found) if found[group]}

    def _objections_beside(self, one: PodClass, chosen: Offer) -> Objections:
        """The other groups' reasons: a higher tier was passed over as this plan leaves it, the rest as it was."""
        key = id(one.fitting), id(one.menu), chosen.group.name
        tier = _tier(one, chosen)
        if key in self._beside and (one.bound is None or (one.menu is None and tier == self._highest)):
            return self._beside[key]
        found = dict(self._objections_at_start(one))
        rules: RulesAgainst | None = None
        for group, offers in self._offers.items():
            its = _tier(one, offers[0])
            if its > tier:
                rules = self._rules_against(one) if rules is None else rules
                found[group] = self._of_group(one, group, self._at_end, rules)
            elif its < tier and group not in found:
                detail = f"{chosen.group.name} is of a higher tier and takes the pod"
                found[group] = (Objection(Why.LOWER_TIER, detail),)
        found.pop(chosen.group.name, None)
        found = {group: found[group] for group in sorted(found) if found[group]}
        if rules is None or one.bound is None:
            self._beside[key] = found
        return found

    def _could(self, one: PodClass, offer: Offer, rules: RulesAgainst) -> bool:
        """Tell whether the offering could host the pod at another time, or by another plan."""
        if offer.group.name in one.fitting.against:
            return False
        unfit = (*self._unfit_for(one, offer), *rules.get(id(offer.view), ()))
        return all(reason.why in PASSING for reason in (*unfit, *self._at_end[offer]))

    def _of_group(
        self, one: PodClass, group: GroupName, standing: Standing, rules: RulesAgainst
    ) -> tuple[Objection, ...]:
        """Return the reasons of the offerings that could hold the pod, or of all when none could.

        There is none when one of them takes it. What the pod's rules say is
        told as the plan leaves it; what its own wishes say stands beside.
        """
        key = id(one.fitting.base), id(standing), group
        if not rules and key in self._of_base:
            return self._of_base[key]
        able: dict[Objection, None] = {}
        unable: dict[Objection, None] = {}
        for offer in self._offers[group]:
            unfit = (*self._unfit_for(one, offer), *rules.get(id(offer.view), ()))
            reasons = (*unfit, *standing[offer])
            if not reasons:
                able.clear()
                unable.clear()
                break
            (unable if unfit else able).update(dict.fromkeys(reasons))
        found = tuple(able or unable)
        if not rules:
            self._of_base[key] = found
        return found

    def _unfit_for(self, one: PodClass, offer: Offer) -> tuple[Objection, ...]:
        """What stands against the class on an empty node of the offering."""
        known = self._unfit.setdefault(id(one.fitting.base), {})
        found = known.get(id(offer))
        if found is None:
            found = known[id(offer)] = () if offer.per_node(one) else tuple(offer.host(one))
        return found

    def _rules_against(self, one: PodClass) -> RulesAgainst:
        """What the pod's rules have against an empty node of each kind beside all that is planned."""
        rules, found = one.bound, dict[int, tuple[Objection, ...]]()
        for offers in self._offers.values() if rules is not None else ():
            for offer in offers:
                if rules is not None and id(offer.view) not in found:
                    marks = self._topology.marks_of(offer.view)
                    found[id(offer.view)] = tuple(rules.objections(offer.view, marks))
        return found


def _standing(offers: Iterable[Offer], caps: Caps) -> Standing:
    """What each offering has against everybody."""
    return {offer: (*offer.objections, *caps.objections(offer)) for offer in offers}


def _tier(one: PodClass, offer: Offer) -> int:
    """The tier of a group as the class has it; one that is on no menu of its own is below all."""
    return offer.tier if one.menu is None else one.menu.ranks.get(offer.group.name, 0)


def _kind(fate: Fate) -> object:
    """What must be equal for pods of a class to share a verdict."""
    if isinstance(fate, Place):
        return fate.node, fate.is_upcoming
    return fate.group.name if fate is not None else None
