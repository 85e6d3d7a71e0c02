"""Room that is kept spare by a running controller: bought before anybody waits, given to whoever comes, and let go."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.emulator.child import ChildController
from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3
pytestmark = pytest.mark.emulator("about AWS alone, but for a ConfigMap that is read")
QUICK = ("--scale-down-unneeded-time=500ms", "--scale-down-delay-after-add=0s", "--node-delete-delay-after-taint=0s")
POD = {"cpu": "3", "memory": "4Gi"}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "kube-system"}, "data": data}


def write(stage: Stage, name: str, **data: str) -> None:
    stage.change("configmaps", "kube-system", name, lambda value: value.update(data=data))


def causes(child: ChildController) -> list[str]:
    return [line["cause"] for line in child.events("scale_up.launched")]


def test_a_pod_finds_room_at_once_and_the_room_is_bought_again() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.create("configmaps", config_map("priority-autoscaler", policy=f"headroom: [{{replicas: 1, pod: {POD}}}]"))
        with stage.controller(*QUICK) as child:
            wait_for(lambda: len(stage.instances()) == 1, "a node for nobody")
            wait_for(lambda: len(stage.objects("nodes")) == 1, "it to join")
            pause(1.5)
            assert len(stage.instances()) == 1, "it stays, and no other comes"
            stage.deploy("web", 1)
            wait_for(lambda: stage.running("web"), "the pod to run")
            assert not stage.events("TriggeredScaleUp"), "it had room, and caused nothing"
            wait_for(lambda: len(stage.instances()) == 2, "the room to be bought again")
            wait_for(lambda: causes(child) == ["Headroom", "Headroom"], "both to be told")
            write(stage, "priority-autoscaler", policy="floors: [{groups: nothing, nodes: 1}]")
            (told,) = wait_for(lambda: child.events("spare_room.not_served"), "what is not to be had to be told")
            assert told["detail"].startswith("floors[0]: 1 wanted, 0 present, 0 bought; 1 not to be had")
            wait_for(lambda: len(stage.instances()) == 1, "the spare node to go")
            assert stage.running("web")


def test_what_cannot_be_read_leaves_the_last_good_headroom() -> None:
    data = {"ladder": '{"nodesToReplicas": [[0, 1], [5, 2]]}', "pod": "{cpu: 3, memory: 1Gi}"}
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.create("configmaps", config_map("priority-autoscaler-headroom", **data))
        with stage.controller(*QUICK) as child:
            wait_for(lambda: len(stage.instances()) == 1, "a node for nobody")
            write(stage, "priority-autoscaler-headroom", **{**data, "ladder": "["})
            wait_for(lambda: stage.events("HeadroomConfigMapInvalid"), "it to be told")
            assert "ladder: no JSON" in stage.messages("HeadroomConfigMapInvalid")
            assert "the last good one stays" in stage.messages("HeadroomConfigMapInvalid")
            pause(1.5)
            assert len(stage.instances()) == 1
            assert metric(child, "priority_autoscaler_config_faults_total", kind="headroom") == 1
            stage.delete("configmaps", "kube-system", "priority-autoscaler-headroom")
            wait_for(lambda: not stage.instances(), "the spare node to go")


def test_a_floor_holds_nodes_and_another_market_is_no_help() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand", min=1, desired=1)
        stage.create("configmaps", config_map("priority-autoscaler", policy='floors: [{groups: "^spot-", nodes: 2}]'))
        with stage.controller(*QUICK) as child:
            wait_for(lambda: len(stage.instances("spot-a")) == 2, "the floor")
            pause(1.5)
            assert len(stage.instances("spot-a")) == 2
            assert set(causes(child)) == {"Floor"}
            assert metric(child, "priority_autoscaler_spare_room", cause="Floor", state="present") == 2
            assert not child.events("spare_room.not_served")
            stage.deploy("web", 3)
            wait_for(lambda: stage.running("web") == 3, "the pods to run")
            assert len(stage.instances()) == 3, "nodes of the floor are there to be used"
