"""What would a pod rather have, and does a place honour it?

Preferred node affinity, PreferNoSchedule taints, preferred pod affinity and
anti-affinity, ScheduleAnyway spread. None of them ever keeps a pod off; all
judge a place by the same list of what it does not honour, so that what breaks
a tie is what is told. Holds no plan: `Gathering` tells who is where.

Left out are the terms of other pods, and the scheduler's built-in spread
(host name maxSkew 3, zone maxSkew 5, for pods of a service or a workload):
nobody wrote it, it only ranks nodes and has no point at which it is broken,
so that it would stand in nearly every verdict and tell nothing.
Source: kubernetes/pkg/scheduler/framework/plugins/{nodeaffinity,tainttoleration}, and
{interpodaffinity,podtopologyspread}/scoring.go; weights: apis/config/v1/default_plugins.go
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import ZONE_LABELS, Pod
from autoscaler.core.podspec import Effect, NodeTerm, PodSpec, Taint
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView, matches_term, tolerates
from autoscaler.core.scheduling.gathering import Gathering, Heads, Spot

FULL = 100  # what the best node gets from one of the scheduler's plugins, and the highest weight of a term
TAINT_WEIGHT = 3  # of the plugin; the others have 2
WEIGHT = 2


class Unmet(NamedTuple):
    """A preference that a place does not honour, and how much it is worth to the scheduler."""

    weight: int
    objection: Objection


def score(one: PodClass | Pod, spot: Spot, gathering: Gathering) -> int:
    """How well a place honours the preferences of a pod: 0 is all of them, and less is worse."""
    return -sum(found.weight for found in unmet(one, spot, gathering))


def unmet(one: PodClass | Pod, spot: Spot, gathering: Gathering) -> Iterator[Unmet]:
    """Yield every preference that the place does not honour, or may not: where AWS picks the zone, nobody knows."""
    spec, node = one.spec, spot.view
    for taint in disliked(spec, node):
        yield Unmet(TAINT_WEIGHT * FULL, Objection(Why.PREFER_NO_SCHEDULE, str(taint)))
    for weight, term in spec.preferred_node_terms:
        if weight and not _is_empty(term) and not _surely_matches(term, node):
            yield Unmet(WEIGHT * weight, Objection(Why.PREFERRED_NODE_AFFINITY, f"would rather have {_told(term)}"))
    wishes = gathering.wishes_of(one)
    for near in wishes.near:
        if not _has_company(near.heads, gathering, spot, counts_self=near.counts_self):
            detail = f"no pod that it would rather be near is in this {near.heads.key}"
            yield Unmet(WEIGHT * near.weight, Objection(Why.PREFERRED_POD_AFFINITY, detail))
    for apart in wishes.apart:
        unsure = _is_unsure(apart.heads, node) and gathering.everywhere(apart.heads, counts_self=apart.counts_self)
        if unsure or gathering.others(apart.heads, spot, counts_self=apart.counts_self):
            detail = f"a pod that it would rather avoid is in this {apart.heads.key}"
            yield Unmet(WEIGHT * apart.weight, Objection(Why.PREFERRED_POD_ANTI_AFFINITY, detail))
    for spread in wishes.spreads:
        heads = spread.heads
        if heads.domain_of(node) is None:
            detail = f"AWS picks the {heads.key}" if _is_unsure(heads, node) else f"the node is in no {heads.key}"
            yield Unmet(WEIGHT * FULL, Objection(Why.SCHEDULE_ANYWAY, detail))
            continue
        here = gathering.others(heads, spot, counts_self=spread.counts_self) + spread.counts_self
        least = min(here, gathering.least(heads))
        if here - least > spread.max_skew:
            detail = f"{heads.key}: {here} pods here, {least} in the least domain, maxSkew {spread.max_skew}"
            yield Unmet(WEIGHT * FULL, Objection(Why.SCHEDULE_ANYWAY, detail))


def disliked(spec: PodSpec, node: NodeView) -> Iterator[Taint]:
    """Yield the PreferNoSchedule taints that the pod does not tolerate."""
    for taint in node.taints:
        if taint.effect is Effect.PREFER_NO_SCHEDULE and not any(tolerates(one, taint) for one in spec.tolerations):
            yield taint


def has_soft_taint(node: NodeView) -> bool:
    return any(taint.effect is Effect.PREFER_NO_SCHEDULE for taint in node.taints)


def has_preferences(spec: PodSpec) -> bool:
    """Whether the pod itself asks for anything softly."""
    return bool(spec.preferred_node_terms) or looks_at_pods(spec)


def looks_at_pods(spec: PodSpec) -> bool:
    """Whether any of that depends on where other pods are."""
    if spec.preferred_affinity or spec.preferred_anti_affinity:
        return True
    return bool(spec.spread) and not all(one.hard for one in spec.spread)


def _has_company(heads: Heads, gathering: Gathering, spot: Spot, *, counts_self: bool) -> bool:
    """Whether a pod that it names is here; the first of a group that names itself has nobody to be near to."""
    if gathering.others(heads, spot, counts_self=counts_self):
        return True
    return counts_self and not gathering.everywhere(heads, counts_self=True)


def _is_unsure(heads: Heads, node: NodeView) -> bool:
    return bool(node.zones) and heads.key in ZONE_LABELS


def _is_empty(term: NodeTerm) -> bool:
    """An empty preferred term asks for nothing, unlike a required one, which matches nothing."""
    return not term.expressions and not term.fields


def _surely_matches(term: NodeTerm, node: NodeView) -> bool:
    """Whether the node matches, in whichever zone AWS puts it. An operator that we do not know matches nothing."""
    if not node.zones:
        return matches_term(term, node.labels, node.name)
    return all(
        matches_term(term, {**node.labels, **dict.fromkeys(ZONE_LABELS, str(zone))}, node.name) for zone in node.zones
    )


def _told(term: NodeTerm) -> str:
    parts = (*term.expressions, *term.fields)
    return ", ".join(" ".join((one.key, one.operator, ",".join(one.values))).rstrip() for one in parts)
