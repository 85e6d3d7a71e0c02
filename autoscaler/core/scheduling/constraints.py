"""Constraints that nothing here can judge: a pod that has one is refused by name.

A promise that ignores a constraint is a guess, and a guess buys a node on
which the pod never lands.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.core.decision import Objection, Why
from autoscaler.core.podspec import PodSpec
from autoscaler.core.scheduling.selectors import Namespaces


def refused_constraints(spec: PodSpec, namespaces: Namespaces) -> Iterator[Objection]:
    """Yield an objection for each constraint of the pod that cannot be promised."""
    for unknown in spec.unknowns:
        yield Objection(Why.UNKNOWN_CONSTRAINT, unknown)
    for name, terms in (("podAffinity", spec.affinity), ("podAntiAffinity", spec.anti_affinity)):
        if any(namespaces.is_doubtful(term) for term in terms):
            detail = f"{name}: namespaceSelector asks for labels of namespaces, of which none is known"
            yield Objection(Why.UNKNOWN_CONSTRAINT, detail)
    if spec.inline_disks:
        yield Objection(Why.VOLUME, "cloud disks named in the pod itself are not simulated")
    if spec.resource_claims:
        yield Objection(Why.RESOURCE_CLAIM, "dynamic resource claims are not simulated")
