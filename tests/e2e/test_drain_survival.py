"""Killed at any step of a drain: the successor finishes it or undoes it, and no pod is lost with its node."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from autoscaler.emulator.auditor import Auditor, is_marked
from autoscaler.kubernetes.draining.marks import STAMP, TO_BE_DELETED
from tests.e2e.stage import Stage, wait_for
from tests.e2e.test_scale_down import SOON, marked, underused
from tests.e2e.test_survival import HASTY

SIDE_BY_SIDE = 3

TERMINATE = "TerminateInstanceInAutoScalingGroup"
FLAGS = (*SOON, *HASTY)
SLOW = (*FLAGS, "--node-delete-delay-after-taint=3s")


def step_of(stage: Stage) -> str:
    """The step that stands on a node, empty where no drain is."""
    for node in stage.objects("nodes"):
        text = node["metadata"].get("annotations", {}).get(STAMP)
        if text:
            return str(json.loads(text)["step"])
    return ""


def at_the_marks(stage: Stage) -> None:
    wait_for(lambda: step_of(stage) == "Marked", "the marks")


def at_the_first_eviction(stage: Stage) -> None:
    stage.break_api(path="/eviction$", status=429, seconds=8)
    wait_for(lambda: stage.requests("/eviction$"), "the first eviction to be asked")


def at_the_call_to_aws(stage: Stage) -> None:
    stage.aws.faults.hold(TERMINATE)
    wait_for(lambda: stage.aws.calls(TERMINATE), "the call to AWS")


def at_the_end(stage: Stage) -> None:
    stage.aws.faults.set_latency(TERMINATE, 0.3)
    wait_for(lambda: stage.aws.calls(TERMINATE), "the call to AWS")


STEPS = (
    pytest.param(at_the_marks, marks=pytest.mark.emulator("long")),
    pytest.param(at_the_first_eviction, marks=pytest.mark.emulator("refuses evictions")),
    at_the_call_to_aws,
    pytest.param(at_the_end, marks=pytest.mark.emulator("as the step before it, 300 ms later")),
)


@pytest.mark.parametrize("reach", STEPS)
def test_the_successor_finishes_what_was_begun(reach: Callable[[Stage], None]) -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.keep("web", 1)
        with stage.controller(*(SLOW if reach is at_the_marks else FLAGS)) as child:
            underused(stage)
            audit = Auditor(stage.world)
            reach(stage)
            child.kill()
        with stage.controller(*FLAGS) as successor:
            stage.aws.faults.release(TERMINATE)
            wait_for(lambda: len(stage.instances("spot-a")) == 1, "the node to go")
            wait_for(lambda: not marked(stage), "no marks to be left")
            wait_for(lambda: stage.running("web") == 2 and stage.running("big") == 1, "all pods to run")
            assert audit.clean(), vars(audit)
            assert stage.desired("spot-a") == 1
            if reach is at_the_first_eviction:
                (line,) = successor.events("drain.adopted")
                assert line["resumed"]


def test_a_successor_that_does_not_want_it_undoes_what_was_only_marked() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller(*SLOW) as child:
            underused(stage)
            at_the_marks(stage)
            child.kill()
        with stage.controller(*FLAGS, "--paused"):
            wait_for(lambda: not marked(stage), "the marks to be taken off")
            assert len(stage.instances("spot-a")) == 2
            assert not stage.requests("/eviction$")
            assert stage.running("web") == 2


def test_what_cluster_autoscaler_left_is_cleaned_up_and_a_foreign_cordon_stays() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller(*FLAGS, "--paused"):
            underused(stage)
        left, foreign = sorted(node["metadata"]["name"] for node in stage.objects("nodes"))
        taint = {"key": TO_BE_DELETED, "value": "1700000000", "effect": "NoSchedule"}
        stage.change("nodes", "", left, lambda node: node["spec"].update(unschedulable=True, taints=[taint]))
        stage.change("nodes", "", foreign, lambda node: node["spec"].update(unschedulable=True))
        with stage.controller(*FLAGS, "--paused"):
            wait_for(lambda: not is_marked(stage.node(left)), "the taint and its cordon to be taken off")
            (event,) = wait_for(lambda: stage.events("ClusterAutoscalerCleanup"), "the event")
            assert event["involvedObject"]["name"] == left
            assert stage.node(foreign)["spec"]["unschedulable"] is True
