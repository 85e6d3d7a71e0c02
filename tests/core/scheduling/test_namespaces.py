"""Namespace selectors where no namespace is known: nothing is promised, and nobody is held up more than need be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from autoscaler.core.decision import Decision
from autoscaler.core.model import HOSTNAME_LABEL, NodeName, Pod
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, PodTerm, PreferredPodTerm, Requirement
from tests.builders import group, node, pod, snapshot

WEB = {"app": "web"}
WEB_PODS = LabelSelector((Requirement("app", "In", ("web",)),))
BY_TEAM = LabelSelector((Requirement("team", "In", ("blue",)),))
BY_NAME = LabelSelector((Requirement("kubernetes.io/metadata.name", "In", ("shop",)),))
BY_BOTH = LabelSelector((*BY_NAME.requirements, *BY_TEAM.requirements))
ANY = LabelSelector(())
KNOWN = {"shop": {"team": "red"}, "bank": {"team": "blue"}}


def term(selector: LabelSelector) -> PodTerm:
    return PodTerm(HOSTNAME_LABEL, WEB_PODS, namespace_selector=selector)


def decide(*pods: Pod, namespaces: Mapping[str, Mapping[str, str]] | None = None) -> Decision:
    nodes = (node("n1"),) if any(each.node for each in pods) else ()
    return plan(snapshot(nodes=nodes, groups=(group("spot-a"),), pods=pods, namespaces=namespaces or {}))


def outcome(decision: Decision, name: str) -> tuple[str, set[str]]:
    [verdict] = (found for key, found in decision.verdicts.items() if key.name == name)
    return verdict.outcome, {one.why for reasons in verdict.objections.values() for one in reasons}


@pytest.mark.parametrize("field", ["affinity", "anti_affinity"])
@pytest.mark.parametrize(
    ("selector", "is_doubtful"), [(BY_TEAM, True), (BY_BOTH, True), (BY_NAME, False), (ANY, False)]
)
def test_who_asks_for_labels_of_namespaces_is_refused(field: str, selector: LabelSelector, is_doubtful: bool) -> None:
    asks: dict[str, Any] = {field: (term(selector),)}
    decision = decide(pod("asking", labels=WEB, namespace="shop", **asks), pod("plain"))
    assert outcome(decision, "plain") == ("launch", set())
    expected = ("unschedulable", {"UnknownConstraint"}) if is_doubtful else ("launch", set())
    assert outcome(decision, "asking") == expected


def test_with_namespaces_it_is_judged() -> None:
    asking = pod("asking", labels=WEB, namespace="shop", anti_affinity=(term(BY_TEAM),))
    assert outcome(decide(asking, namespaces=KNOWN), "asking") == ("launch", set())


def test_a_preference_keeps_no_pod_away() -> None:
    asking = pod("asking", labels=WEB, preferred_anti_affinity=(PreferredPodTerm(1, term(BY_TEAM)),))
    assert outcome(decide(asking), "asking") == ("launch", set())


@pytest.mark.parametrize(
    ("selector", "namespaces", "expected"),
    [
        (BY_TEAM, None, "launch"),  # it may mean the pod, which therefore goes elsewhere
        (BY_TEAM, KNOWN, "fits-existing"),
        (BY_NAME, None, "launch"),
        (BY_BOTH, None, "launch"),
        (LabelSelector((Requirement("kubernetes.io/metadata.name", "In", ("bank",)), *BY_TEAM.requirements)), None,
         "fits-existing"),  # by its name it does not mean the pod, whatever the labels
    ],
)  # fmt: skip
def test_who_runs_keeps_away_whom_it_may_mean(selector: LabelSelector, namespaces: Any, expected: str) -> None:
    resident = pod("resident", node=NodeName("n1"), cpu="10m", labels={"app": "db"}, anti_affinity=(term(selector),))
    coming = pod("coming", labels=WEB, namespace="shop", cpu="100m")
    assert outcome(decide(resident, coming, namespaces=namespaces), "coming")[0] == expected
