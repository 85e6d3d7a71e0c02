"""Objections of many groups, gathered so that a person can read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autoscaler.core.decision import Objection, Verdict, Why
from autoscaler.core.model import GroupName


def join_some(words: Sequence[str], most: int) -> str:
    """The first few, and how many more there are: `a, b +3`."""
    shown = ", ".join(words[:most])
    return f"{shown} +{len(words) - most}" if len(words) > most else shown


def groups_by_reason(verdict: Verdict) -> list[tuple[Why, list[GroupName]]]:
    """The groups' reasons, most frequent first, each with its groups in order of name.

    What every group says because it concerns the pod itself is left out.
    """
    found: dict[Why, set[GroupName]] = {}
    for group, raised in verdict.objections.items():
        for objection in raised:
            if objection not in verdict.reasons:
                found.setdefault(objection.why, set()).add(group)
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(why, sorted(groups)) for why, groups in ranked]


def groups_by_objection(verdict: Verdict) -> list[tuple[Objection, list[GroupName]]]:
    """The same with details: one entry for each different objection."""
    found: dict[Objection, set[GroupName]] = {}
    for group, raised in verdict.objections.items():
        for objection in raised:
            if objection not in verdict.reasons:
                found.setdefault(objection, set()).add(group)
    ranked = sorted(found.items(), key=lambda item: (item[0].why, -len(item[1]), item[0].detail))
    return [(objection, sorted(groups)) for objection, groups in ranked]


def whys(objections: Iterable[Objection]) -> list[str]:
    """The plain reasons, each once, in order."""
    return sorted({str(objection.why) for objection in objections})


def identity(verdict: Verdict) -> object:
    """Equal for verdicts told in the same words, while their decision lives: pods of a class share their parts."""
    return verdict.outcome, id(verdict.objections), verdict.reasons, verdict.node, verdict.unmet
