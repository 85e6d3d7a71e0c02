"""Families: groups whose nodes are as good as each other's, apart from the zone.

New nodes of a family are spread so that its zones stay even, counting live,
upcoming and planned ones together; a dozen groups balance as if they were
one. Source of the labels that do not count: cluster-autoscaler's AWS
comparator (`lifecycle` does count here, or spot would balance on-demand).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from autoscaler.core.model import GroupName, Labels, Market, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.resources import Resources
from autoscaler.core.scaleup.offers import Caps, Offer
from autoscaler.core.scaleup.template import OF_ONE_NODE, REGION_LABELS
from autoscaler.core.virtual import GROUP_LABEL

IGNORED_LABELS = OF_ONE_NODE.union(
    REGION_LABELS,
    (
        "beta.kubernetes.io/fluentd-ds-ready",
        "kops.k8s.io/instancegroup",
        "alpha.eksctl.io/nodegroup-name",
        "eks.amazonaws.com/nodegroup",
        "k8s.amazonaws.com/eniConfig",
        "nodegroup-name",  # what the tag eks:nodegroup-name becomes
        "cluster-autoscaler.kubernetes.io/template-node",
        GROUP_LABEL,
    ),
)
MEMORY_TOLERANCE = 0.015  # cluster-autoscaler's --memory-difference-ratio: hypervisors differ a little


@dataclass(slots=True, eq=False)
class Family:
    """Offers of one family by name; `nodes` counts the family's nodes by zone."""

    offers: list[Offer]
    nodes: Counter[Zone] = field(default_factory=Counter)
    open: list[Offer] = field(default_factory=list)  # those of the offers against which nothing stands

    @property
    def name(self) -> str:
        return self.offers[0].offering.group

    @property
    def tier(self) -> int:
        return self.offers[0].tier

    def part(self, names: Collection[GroupName]) -> Family:
        """Some groups of the family, which count its zones together with the others; itself when they are all."""
        offers = [one for one in self.offers if one.offering.group in names]
        if len(offers) == len(self.offers):
            return self
        return Family(offers, self.nodes, [one for one in self.open if one.offering.group in names])

    def skew(self) -> int:
        """Nodes between the fullest and the emptiest zone."""
        counts = [self.nodes[zone] for zone in {zone for offer in self.offers for zone in offer.zones}]
        return max(counts, default=0) - min(counts, default=0)


def build_families(offers: Sequence[Offer], policy: Policy) -> list[Family]:
    """Sort offers into families, in name order."""
    families: list[tuple[Kinship, Family]] = []
    by_trait: dict[object, list[int]] = {}  # numbers of families
    of_group: dict[GroupName, Family] = {}
    for offer in offers:
        family = of_group.get(offer.group.name)
        if family is None:
            kinship = Kinship.of(offer, policy)
            likely = sorted({number for trait in kinship.traits for number in by_trait.get(trait, ())})
            known = (families[number] for number in likely)
            family = next((one for other, one in known if policy.balance_similar and kinship.is_of(other)), None)
            if family is None:
                family = Family([])
                for trait in kinship.traits:
                    by_trait.setdefault(trait, []).append(len(families))
                families.append((kinship, family))
            of_group[offer.group.name] = family
            for instance in offer.group.live:
                family.nodes[instance.zone] += 1
        family.offers.append(offer)
        if not offer.objections:
            family.open.append(offer)
    return [family for _, family in families]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """What makes a group one of a family.

    `seen` is what a node looks like, `declared` what the group says it will:
    a live node carries labels and amounts that nothing tells beforehand, so an
    empty group could never be the sibling of one with nodes by `seen` alone.
    """

    rank: tuple[int, Market]
    seen: object
    declared: object
    is_live: bool
    amounts: Resources | None  # None: they do not count
    stands_alone: bool  # its own zones come first: AWS would even them out by terminating nodes

    @classmethod
    def of(cls, offer: Offer, policy: Policy) -> Kinship:
        template, group, rank = offer.template, offer.group, (offer.tier, offer.group.market)
        alone = group.rebalances and not group.can_be_protected
        if policy.balancing_labels:
            named = tuple((key, template.labels.get(key)) for key in policy.balancing_labels)
            return cls(rank=rank, seen=named, declared=None, is_live=template.is_live, amounts=None, stands_alone=alone)
        types = tuple((shape.instance_type, shape.weight) for shape in group.shapes)
        names = tuple(name for name, _ in template.allocatable.items())
        return cls(
            rank=rank,
            seen=(tuple(sorted(template.taints)), _counted(template.labels, policy), names),
            declared=(types, tuple(sorted(group.taints)), _counted(group.labels, policy)) if types else None,
            is_live=template.is_live,
            amounts=offer.empty,
            stands_alone=alone,
        )

    @property
    def traits(self) -> tuple[object, ...]:
        """Siblings have one in common: so few need be compared."""
        return (0, self.rank, self.seen), (1, self.rank, self.declared)

    def is_of(self, other: Kinship) -> bool:
        """Tell whether both are as good as each other, the zone aside."""
        if self.rank != other.rank or self.stands_alone or other.stands_alone:
            return False
        if self.seen == other.seen and _alike(self.amounts, other.amounts):
            return True
        both_live = self.is_live and other.is_live
        return not both_live and self.declared is not None and self.declared == other.declared


def _counted(labels: Labels, policy: Policy) -> tuple[tuple[str, str], ...]:
    ignored = policy.balancing_ignore_labels
    return tuple(
        sorted((key, value) for key, value in labels.items() if key not in IGNORED_LABELS and key not in ignored)
    )


def _alike(left: Resources | None, right: Resources | None) -> bool:
    if left is None or right is None:
        return True
    for name, amount in left.items():
        other = right[name]
        tolerance = MEMORY_TOLERANCE if name in ("memory", "ephemeral-storage") else 0.0
        if abs(amount - other) > tolerance * max(amount, other):
            return False
    return True


def spread_over_zones(
    offers: Iterable[Offer], nodes: int, counts: Counter[Zone], caps: Caps
) -> list[tuple[Offer, int]]:
    """Divide new nodes over offers so that the zones end as even as the caps allow.

    Uses the caps up and raises the counts. Fewer nodes come back when the caps
    are reached. An offer without a zone (AWS picks) counts as one more zone.
    """
    by_zone: dict[Zone | None, list[Offer]] = {}
    room: dict[Zone | None, int] = {}
    rooms = [(offer, caps.room(offer)) for offer in offers]
    for offer, most in rooms:
        zone = offer.offering.zone
        by_zone.setdefault(zone, []).append(offer)
        room[zone] = room.get(zone, 0) + most
    zones = sorted(by_zone, key=lambda zone: zone or "")
    found: dict[int, int] = {}
    known = {id(offer): offer for offer, _ in rooms}
    nodes = min(nodes, _joint_room(rooms, caps))
    while nodes > 0:
        shares = water_fill([counts[zone] if zone else 0 for zone in zones], [room[zone] for zone in zones], nodes)
        if not any(shares):
            break
        for zone, share in zip(zones, shares, strict=True):
            nodes -= _draw(by_zone[zone], share, zone, (counts, caps, found))
        if nodes > 0:
            room = {zone: sum(caps.room(offer) for offer in by_zone[zone]) for zone in zones}
    return [(known[key], count) for key, count in found.items()]


def _joint_room(rooms: Sequence[tuple[Offer, int]], caps: Caps) -> int:
    """How many nodes offers take together: zones of one group share its cap, all share the cluster's."""
    by_group: dict[GroupName, int] = {}
    for offer, most in rooms:
        name = offer.group.name
        by_group[name] = min(by_group.get(name, 0) + most, caps.groups[name])
    templates = {id(offer.template): offer.template for offer, _ in rooms}
    return min(sum(by_group.values()), max(map(caps.in_cluster, templates.values()), default=0))


def _draw(offers: list[Offer], share: int, zone: Zone | None, books: tuple[Counter[Zone], Caps, dict[int, int]]) -> int:
    """Take a zone's share from its offers in name order; several zones may share one group's cap."""
    counts, caps, found = books
    drawn = 0
    for offer in offers:
        take = min(share - drawn, caps.room(offer))
        if take > 0:
            caps.use(offer, take)
            found[id(offer)] = found.get(id(offer), 0) + take
            drawn += take
            if zone is not None:
                counts[zone] += take
    return drawn


def water_fill(levels: Sequence[int], caps: Sequence[int], amount: int) -> list[int]:
    """Pour `amount` into vessels so that the lowest rise first; ties go to the first.

    Returns what each vessel got, never more than its cap.
    """
    if sum(caps) <= amount:
        return list(caps)
    low, high = min(levels), min(levels) + amount
    while low < high:  # the highest level that the amount reaches everywhere
        middle = (low + high + 1) // 2
        if sum(min(cap, max(0, middle - level)) for level, cap in zip(levels, caps, strict=True)) <= amount:
            low = middle
        else:
            high = middle - 1
    shares = [min(cap, max(0, low - level)) for level, cap in zip(levels, caps, strict=True)]
    rest = amount - sum(shares)
    for position, (level, cap) in enumerate(zip(levels, caps, strict=True)):
        if rest and level <= low and shares[position] < cap:
            shares[position] += 1
            rest -= 1
    return shares
