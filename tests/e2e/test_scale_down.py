"""Nodes that are not needed go, at the pace of the budgets; what cannot go stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler import clock
from autoscaler.emulator.auditor import Auditor, is_marked
from autoscaler.kubernetes.draining.marks import CANDIDATE, NOT_BALANCED, STAMP
from autoscaler.kubernetes.policy_config import CONFIG_MAP, KEY
from autoscaler.kubernetes.state import STATE_CONFIG_MAP
from tests.e2e.stage import Stage, is_shunned, metric, pause, wait_for

SIDE_BY_SIDE = 3

SOON = (
    "--scale-down-unneeded-time=2s",
    "--scale-down-delay-after-add=0s",
    "--scale-down-delay-after-failure=1s",
    "--unremovable-node-recheck-timeout=3s",
    "--node-delete-delay-after-taint=200ms",
    "--max-graceful-termination-sec=2",
)


def marked(stage: Stage) -> list[str]:
    return [node["metadata"]["name"] for node in stage.objects("nodes") if is_marked(node)]


def policy(text: str) -> dict[str, Any]:
    return {"metadata": {"name": CONFIG_MAP, "namespace": "kube-system"}, "data": {KEY: text}}


def told_of(stage: Stage, reason: str) -> set[str]:
    """The kinds of objects that have an event of this reason."""
    return {event["involvedObject"]["kind"] for event in stage.events(reason)}


def test_empty_nodes_go_in_bulk_once_they_were_unneeded_long_enough() -> None:
    with Stage.open() as stage:
        stage.group("spot-a", min=1)
        with stage.controller(*SOON) as child:
            stage.deploy("web", 5)
            wait_for(lambda: stage.running("web") == 5, "the pods to run")
            audit = Auditor(stage.world)
            stage.deploy("web", 0)
            wait_for(lambda: any(is_shunned(node) for node in stage.objects("nodes")), "the soft taint")
            wait_for(lambda: len(stage.instances("spot-a")) == 1, "all but the minimum to go")
            pause(1)
            assert len(stage.instances("spot-a")) == stage.desired("spot-a") == 1
            assert audit.most_marked >= 2
            assert not audit.lost
            assert not stage.requests("/eviction$")
            wait_for(lambda: not marked(stage), "no marks to be left")
            assert metric(child, "cluster_autoscaler_scaled_down_nodes_total", reason="empty") == 4
            assert metric(child, "cluster_autoscaler_unremovable_nodes_count", reason="NodeGroupMinSizeReached") == 1
            wait_for(lambda: stage.events("ScaleDownEmpty"), "the event")


def underused(stage: Stage) -> None:
    """Two nodes: two replicas of `web` on one, `big` on the other; either would do for all."""
    stage.deploy("full", 1, cpu="3", memory="1Gi")
    stage.deploy("web", 2, cpu="400m", memory="1Gi")
    wait_for(lambda: stage.running("web") == 2 and stage.running("full") == 1, "the first node's pods to run")
    stage.deploy("big", 1, cpu="1500m", memory="1Gi")
    wait_for(lambda: stage.running("big") == 1, "the other's to run")
    assert len(stage.instances()) == 2
    stage.deploy("full", 0)
    wait_for(lambda: not stage.pods("full"), "the first node to be underused")


def test_an_underused_node_is_drained_and_its_budget_kept() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller(*SOON) as child:
            stage.keep("web", 1)
            underused(stage)
            audit = Auditor(stage.world)
            wait_for(lambda: len(stage.instances("spot-a")) == 1, "one node to go")
            wait_for(lambda: stage.running("web") == 2 and stage.running("big") == 1, "the pods to run elsewhere")
            assert audit.clean(), vars(audit)
            assert len(stage.requests("/web-.*/eviction$")) >= 2
            assert metric(child, "cluster_autoscaler_evicted_pods_total", eviction_result="succeeded") == 2
            assert metric(child, "cluster_autoscaler_scaled_down_nodes_total", reason="underutilized") == 1
            wait_for(lambda: not marked(stage), "no marks to be left")
            assert stage.desired("spot-a") == 1
            wait_for(lambda: told_of(stage, "ScaleDown") == {"Pod", "Node", "ConfigMap"}, "all to be told")


@pytest.mark.emulator("refuses evictions")
def test_a_budget_that_allows_nothing_more_has_the_drain_undone_and_told() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        flags = (*SOON, "--max-pod-eviction-time=2s", "--unremovable-node-recheck-timeout=60s")
        with stage.controller(*flags) as child:
            underused(stage)
            stage.break_api(path="/eviction$", status=429, seconds=3600)
            wait_for(lambda: told_of(stage, "ScaleDownFailed") == {"Pod", "Node"}, "the failure to be told")
            wait_for(lambda: not marked(stage), "the marks to be taken off")
            asked = len(stage.requests("/eviction$"))
            pause(5)
            assert len(stage.requests("/eviction$")) == asked <= 8
            assert len(stage.instances("spot-a")) == 2
            assert stage.running("web") == 2
            assert metric(child, "priority_autoscaler_drains_total", cause="Unneeded", result="Failed") == 1
            assert metric(child, "cluster_autoscaler_unremovable_nodes_count", reason="RetryLater") == 1


@pytest.mark.emulator("long, to see nothing happen")
def test_paused_and_foreign_cordons_are_respected() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller(*SOON, "--paused"):
            underused(stage)
            pause(5)
            assert not marked(stage)
            assert len(stage.instances("spot-a")) == 2
        cordoned = {pod["spec"]["nodeName"] for pod in stage.pods("web")}.pop()
        stage.change("nodes", "", cordoned, lambda node: node["spec"].update(unschedulable=True))
        with stage.controller(*SOON):
            pause(6)
            node = stage.node(cordoned)
            assert node["spec"]["unschedulable"] is True
            assert not {STAMP, NOT_BALANCED} & {*node["metadata"].get("annotations", {}), *node["metadata"]["labels"]}
            assert stage.running("web") == 2


def test_the_switch_in_the_config_map_stops_at_once_and_is_told() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller(*SOON, "--max-drain-parallelism=1") as child:
            stage.create("configmaps", policy("paused: true"))
            underused(stage)
            wait_for(lambda: metric(child, "priority_autoscaler_closed_gates", gate="Paused"), "the figure")
            wait_for(lambda: stage.events("ScaleDownHeld"), "the event")
            pause(4)
            assert not marked(stage)
            assert "Paused" in stage.messages("ScaleDownHeld")
            audit = Auditor(stage.world)
            stage.change("configmaps", "kube-system", CONFIG_MAP, lambda stored: stored.update(data={KEY: ""}))
            wait_for(lambda: len(stage.instances("spot-a")) == 1, "a node to go")
            assert audit.clean(), vars(audit)
            wait_for(lambda: not metric(child, "priority_autoscaler_closed_gates", gate="Paused"), "the gate to open")


def test_a_node_with_a_bad_condition_is_replaced_and_drained_however_full_it_is() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        flags = (*SOON, "--scale-down-unneeded-time=10m", "--drain-node-conditions=KernelDeadlock")
        with stage.controller(*flags) as child:
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            bad = stage.pods("web")[0]["spec"]["nodeName"]
            condition = {"type": "KernelDeadlock", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            audit = Auditor(stage.world)
            stage.change("nodes", "", bad, lambda node: node["status"]["conditions"].append(condition))
            wait_for(lambda: audit.nodes_gone == 1, "the node to go")
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            assert bad not in {node["metadata"]["name"] for node in stage.objects("nodes")}
            assert audit.clean(), vars(audit)
            assert metric(child, "cluster_autoscaler_scaled_down_nodes_total", reason="unready") == 1


def test_an_unready_node_goes_although_its_kubelet_ends_no_pod() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        flags = (*SOON, "--scale-down-unneeded-time=10m", "--scale-down-unready-time=2s", "--max-node-startup-time=1s")
        with stage.controller(*flags) as child:
            underused(stage)
            dead = {pod["spec"]["nodeName"] for pod in stage.pods("web")}.pop()
            stage.kubernetes.call(stage.kubernetes.kubelet.set_ready, dead, False)
            wait_for(lambda: len(stage.instances("spot-a")) == 1, "the node to go")
            wait_for(lambda: stage.running("web") == 2, "its pods to run elsewhere")
            assert metric(child, "cluster_autoscaler_scaled_down_nodes_total", reason="unready") == 1


def test_young_soft_taints_keep_the_unneeded_time() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller(*SOON, "--paused"):
            underused(stage)
            wait_for(lambda: any(is_shunned(node) for node in stage.objects("nodes")), "the soft taint")
        since = str(int(clock.now().timestamp()) - 300)
        taint = {"key": CANDIDATE, "value": since, "effect": "PreferNoSchedule"}
        for node in filter(is_shunned, stage.objects("nodes")):
            stage.change("nodes", "", node["metadata"]["name"], lambda node: node["spec"].update(taints=[taint]))
        stage.delete("configmaps", "kube-system", STATE_CONFIG_MAP)
        with stage.controller(*SOON, "--scale-down-unneeded-time=4m", "--node-deletion-candidate-ttl=10m"):
            wait_for(lambda: len(stage.instances("spot-a")) == 1, "the node to go")
