"""Annotations of applications, changed while a real controller runs: obeyed at once, and told where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from autoscaler.emulator.child import ChildController
from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3
pytestmark = pytest.mark.emulator("played there by tests/controlplane/test_applications.py")
PREFIX = "priority-autoscaler/"
KINDS = {"deployments": "default", "namespaces": "", "priorityclasses": ""}


def annotate(stage: Stage, plural: str, name: str, **values: str | None) -> None:
    """As `kubectl annotate`: underscores stand for dashes, None takes a value away."""

    def change(value: dict[str, Any]) -> None:
        found = value["metadata"].setdefault("annotations", {})
        for key, text in values.items():
            own = PREFIX + key.replace("_", "-")
            found.pop(own, None)
            found |= {} if text is None else {own: text}

    stage.change(plural, KINDS[plural], name, change)


def groups_of(stage: Stage) -> set[str]:
    return {one.group for one in stage.instances()}


@contextmanager
def spot_and_od(*flags: str) -> Iterator[tuple[Stage, ChildController]]:
    """A spot group above an on-demand group."""
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        with stage.controller(*flags) as child:
            yield stage, child


def test_a_pending_pod_is_bought_a_node_once_its_deployment_allows_one() -> None:
    with spot_and_od() as (stage, child):
        stage.deploy("web", 0)
        annotate(stage, "deployments", "web", groups="gpu-.*")
        stage.deploy("web", 1)
        wait_for(lambda: stage.events("NotTriggerScaleUp"), "the refusal")
        assert "NotAllowed (od-a, spot-a)" in stage.messages("NotTriggerScaleUp")
        annotate(stage, "deployments", "web", groups="od-.*")
        wait_for(lambda: stage.running("web"), "the pod to run")
        assert groups_of(stage) == {"od-a"}
        assert not child.events("annotation.invalid")


def test_the_wish_of_a_namespace_and_of_a_class_reach_pods_that_wait() -> None:
    with spot_and_od() as (stage, _):
        stage.aws.set_pool(market="spot", free=0)
        stage.create("priorityclasses", {"metadata": {"name": "batch"}, "value": -5})
        annotate(stage, "priorityclasses", "batch", on_demand="never")
        annotate(stage, "namespaces", "default", max_wait="never")
        stage.deploy("batch", 1, priorityClassName="batch", priority=-5)
        stage.deploy("web", 1)
        wait_for(lambda: len(stage.events("NotTriggerScaleUp")) >= 2, "both to be refused")
        assert not stage.instances()
        annotate(stage, "namespaces", "default", max_wait=None)
        wait_for(lambda: stage.running("web"), "the pod that may buy on-demand")
        pause(0.5)
        assert not stage.running("batch")
        assert len(stage.instances()) == 1
        annotate(stage, "priorityclasses", "batch", on_demand="allow")
        wait_for(lambda: stage.running("batch"), "the other one")
        assert groups_of(stage) == {"od-a"}


def test_a_pod_waits_for_spot_as_long_as_it_says_and_probes_it_meanwhile() -> None:
    with spot_and_od("--capacity-backoff=500ms,500ms") as (stage, _):
        stage.aws.set_pool(market="spot", free=0)
        for name, bound in (("short", "4s"), ("long", "1h")):
            stage.deploy(name, 0)
            annotate(stage, "deployments", name, max_wait=bound)
        stage.deploy("short", 1)
        wait_for(lambda: len(stage.launches("spot-a")) >= 4, "spot to be asked again and again")
        assert not stage.launches("od-a")
        wait_for(lambda: stage.running("short"), "the bound to pass")
        assert groups_of(stage) == {"od-a"}
        asked = len(stage.launches("spot-a"))
        stage.deploy("long", 1)
        wait_for(lambda: len(stage.launches("spot-a")) >= asked + 3, "spot to be asked for the other")
        assert len(stage.instances()) == 1
        stage.aws.set_pool(market="spot", free=10)
        wait_for(lambda: stage.running("long"), "spot to be back")
        assert groups_of(stage) == {"od-a", "spot-a"}


def test_what_cannot_be_read_leaves_the_last_good_value_and_is_told_on_the_object() -> None:
    with spot_and_od() as (stage, child):
        stage.deploy("web", 0)
        annotate(stage, "deployments", "web", on_demand="only")
        annotate(stage, "deployments", "web", on_demand="onyl")
        wait_for(lambda: child.events("annotation.invalid"), "it to be noticed")
        stage.deploy("web", 1)
        wait_for(lambda: stage.running("web"), "the pod to run")
        assert groups_of(stage) == {"od-a"}
        (told,) = wait_for(lambda: stage.events("InvalidAnnotation"), "the event")
        about = told["involvedObject"]
        assert (about["kind"], about["namespace"], about["name"]) == ("Deployment", "default", "web")
        assert about["apiVersion"] == "apps/v1"
        assert told["type"] == "Warning"
        assert "expected one of allow, never, only; only stays in force" in told["message"]
        assert metric(child, "priority_autoscaler_config_faults_total", kind="annotation") == 1
        annotate(stage, "deployments", "web", on_demand=None)
        stage.deploy("web", 2)
        wait_for(lambda: stage.running("web") == 2, "the second pod")
        assert groups_of(stage) == {"od-a", "spot-a"}


def test_never_evicted_means_never_until_it_is_allowed() -> None:
    times = ("unneeded-time=500ms", "delay-after-add=0s", "utilization-threshold=0.95")
    quick = [f"--scale-down-{one}" for one in times]
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("large", instance_types=["m5.4xlarge"])
        for name, groups in (("web", "spot-a"), ("big", "large")):
            stage.deploy(name, 0)
            annotate(stage, "deployments", name, groups=groups, disruption="never")
        with stage.controller(*quick, "--node-delete-delay-after-taint=0s") as child:
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "two nodes")
            stage.deploy("big", 1, cpu="8")
            wait_for(lambda: stage.running("big"), "a large node with room for all")
            pause(2)
            assert len(stage.instances("spot-a")) == 2
            annotate(stage, "deployments", "web", disruption="allow")
            wait_for(lambda: not stage.instances("spot-a"), "both nodes to go")
            wait_for(lambda: stage.running("web") == 2, "the pods to run on the large one")
            assert not child.events("annotation.invalid")
