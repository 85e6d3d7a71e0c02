"""From a plan to the calls of one wave: wider after each refusal, and repeatable.

The first wave asks exactly what is wanted. Once AWS has refused, a wave may
ask more offerings of the same tier than the plan names, the wanted nodes
spread over them, and for a small demand a few nodes more than wanted; what
turns out to be surplus is given back by the next plan (DESIGN 5.5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.decision import Cause, Launch, LaunchResult, RefusalKind
from autoscaler.core.model import LaunchMethod, NodeGroup, Offering, Pod, PodKey, in_key_order
from autoscaler.core.scaleup.buy import Buyer
from autoscaler.core.scaleup.families import water_fill
from autoscaler.core.scaleup.offers import Caps, Offer, method_of
from autoscaler.core.scheduling.packing import Packing
from autoscaler.core.scheduling.place import Run, after_taking, copies_of
from autoscaler.core.snapshot import Snapshot, Wave

GROWTH = 3  # offerings asked by the next wave, times those asked by the refused one


def widen(buyer: Buyer, width: int, max_surplus: int) -> dict[Offering, int]:
    """Spread the purchase over up to `width` offerings a tier; return the surplus nodes by offering.

    Moves nodes of the purchase's runs to other offerings that can hold the
    same pods, and takes surplus from the caps. Nothing to do at width 0.
    """
    surplus: dict[Offering, int] = {}
    if not width:
        return surplus
    purchase = buyer.purchase
    by_tier: dict[int, list[Run]] = {}
    for run in purchase.packing.runs:
        by_tier.setdefault(purchase.offers[run.offering].tier, []).append(run)
    placed: list[Run] = []
    for _, runs in sorted(by_tier.items(), key=lambda item: -item[0]):
        targets = _targets(buyer, runs, width)
        asked = dict.fromkeys((offer.offering for offer in targets), 0)
        for run in runs:
            placed += _spread(run, targets, asked, buyer.caps, purchase.offers)
        is_spare = all(one.is_virtual for run in runs for one, _ in run.contents)  # for which nobody waits
        for offer in [one for one in targets if not asked[one.offering]][: 0 if is_spare else max_surplus]:
            if buyer.caps.room(offer) and any(_can_hold(offer, run) for run in runs):
                buyer.caps.use(offer, 1)
                surplus[offer.offering] = 1
    purchase.packing = Packing(placed)
    return surplus


def _targets(buyer: Buyer, runs: Sequence[Run], width: int) -> list[Offer]:
    """The offerings of this wave: those of the plan, then their family's, then the tier's others."""
    offers = buyer.purchase.offers
    targets = list(dict.fromkeys(offers[run.offering] for run in runs))
    tier = targets[0].tier
    mine = [family for family in buyer.families if any(offer in family.offers for offer in targets)]
    others = [family for family in buyer.families if family.tier == tier and family not in mine]
    for family in (*mine, *others):
        for offer in _by_turns(family.offers):
            if len(targets) >= width:
                return targets
            if offer not in targets and not offer.objections and any(_can_hold(offer, run) for run in runs):
                targets.append(offer)
    return targets


def _by_turns(offers: Iterable[Offer]) -> list[Offer]:
    """One offer a zone in turn, so that a wider wave stays even over the zones."""
    seen: dict[object, int] = {}
    ranked = []
    for offer in offers:
        turn = seen.get(offer.offering.zone, 0)
        seen[offer.offering.zone] = turn + 1
        ranked.append((turn, offer.offering.zone or "", offer.offering.group, offer))
    return [offer for *_, offer in sorted(ranked, key=lambda row: row[:3])]


def _can_hold(offer: Offer, run: Run) -> bool:
    """Whether a node of the offer holds what lies on each node of the run."""
    free, home = offer.free, run.offering.group
    for one, count in run.contents:
        if not one.is_as_good(offer.group.name, home):
            return False
        if not offer.per_node(one) or (one.rules is not None and not one.rules.is_alike(run.view, offer.view)):
            return False
        if copies_of(free, one) < count:
            return False
        free = after_taking(free, one, count)
    return True


def _spread(run: Run, targets: Sequence[Offer], asked: dict[Offering, int], caps: Caps,
            offers: dict[Offering, Offer]) -> list[Run]:  # fmt: skip
    """Divide a run's nodes over the targets that can hold them, the least asked first."""
    home = offers[run.offering]
    caps.use(home, -run.nodes)
    able = [offer for offer in targets if offer is home or _can_hold(offer, run)]
    parts: list[Run] = []
    while run.nodes:
        shares = water_fill([asked[o.offering] for o in able], [min(caps.room(o), run.nodes) for o in able], run.nodes)
        if not any(shares):
            break
        for offer, share in zip(able, shares, strict=True):
            share = min(share, caps.room(offer))  # noqa: PLW2901 - zones of one group share its cap
            if share:
                part = run.split(share)
                part.offering, part.view = offer.offering, offer.view
                asked[offer.offering] += share
                caps.use(offer, share)
                parts.append(part)
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one offering is asked for, before it becomes a Launch."""

    offer: Offer
    nodes: int
    surplus: int
    pods: tuple[Pod, ...]  # those that cause it; none where it is for headroom or a floor
    cause: Cause = Cause.PENDING


def to_launch(order: Order, snapshot: Snapshot, keys: Mapping[str, PodKey]) -> Launch:
    """Turn an order into a call with a token that an equal wish in an equal world repeats; `keys` are by uid."""
    group, zone = order.offer.group, order.offer.offering.zone
    pods = in_key_order(order.pods)
    launch = Launch(
        group=group.name,
        zone=zone,
        count=order.nodes,
        units=order.nodes * group.weight,
        cause=order.cause,
        method=method_of(group, snapshot),
        pods=tuple([keys[pod.uid] for pod in pods]),
        surplus=order.surplus,
    )
    if launch.method is LaunchMethod.DESIRED:
        return launch
    return replace(launch, token=_token(launch, group, pods, snapshot))


def _token(launch: Launch, group: NodeGroup, pods: Sequence[Pod], snapshot: Snapshot) -> str:
    """Hash what makes this wish the same one: 64 characters at most, as the API takes them."""
    parts = [
        launch.group,
        launch.zone or "",
        str(launch.units),
        str(snapshot.memory.refusal_number(group, launch.zone)),
        *[pod.uid for pod in pods],
        *([str(launch.cause)] if launch.cause is not Cause.PENDING and not pods else []),
        "instances",
        *sorted(instance.id for instance in group.instances),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:64]


def note_asked(snapshot: Snapshot, launches: Sequence[Launch]) -> Snapshot:
    """Remember, before the calls go out, which offerings are being asked."""
    groups = {group.name: group for group in snapshot.groups}
    memory = snapshot.memory
    for launch in launches:
        memory = memory.with_asked(groups[launch.group], launch.zone, snapshot.at)
    return replace(snapshot, memory=memory)


def fold_results(snapshot: Snapshot, results: Sequence[LaunchResult], jitter: float) -> Snapshot:
    """Return the world after a wave: what was launched is upcoming, what was refused is remembered.

    `jitter` in [0, 1) shortens the backoffs. After a refusal for capacity the
    next wave is wider.
    """
    groups = {group.name: group for group in snapshot.groups}
    memory, launched = snapshot.memory, set(snapshot.wave.launched)
    refused = False
    for result in results:
        group = groups[result.launch.group]
        memory = memory.learn(result, group, snapshot.policy, jitter)
        refused |= any(refusal.kind is RefusalKind.NO_CAPACITY for refusal in result.refusals)
        groups[group.name] = _grown(group, result)
        launched.update(instance.id for instance in result.launched)
    width = snapshot.wave.width
    if refused:
        width = GROWTH * max(width, len({(result.launch.group, result.launch.zone) for result in results}))
    wave = Wave(width=width, launched=frozenset(launched))
    return replace(snapshot, groups=tuple(groups.values()), memory=memory, wave=wave)


def _grown(group: NodeGroup, result: LaunchResult) -> NodeGroup:
    known = {instance.id for instance in group.instances}
    new = tuple(instance for instance in result.launched if instance.id not in known)
    if result.launch.method is LaunchMethod.DESIRED and not result.refusals:
        return replace(group, instances=group.instances + new, desired=group.desired + result.launch.units)
    return replace(group, instances=group.instances + new, desired=group.desired + sum(one.weight for one in new))
