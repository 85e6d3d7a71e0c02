"""What cannot be read is told once, naming the object, and hurts nobody else."""

from typing import Any

import pytest

from tests.e2e.stage import A, Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3

CPU_TAG = "k8s.io/cluster-autoscaler/node-template/resources/cpu"
PENDING = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"}, "spec": spec, "status": PENDING}


def container(cpu: object) -> dict[str, Any]:
    return {"name": "main", "resources": {"requests": {"cpu": cpu}}}


@pytest.mark.emulator("no real API server keeps such objects")
def test_malformed_objects_are_counted_told_once_and_others_served() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        stage.put_raw("pods", "default", "early", pod("early", containers=[container("banana")]))
        with stage.controller() as child:
            stage.put_raw("pods", "default", "unit", pod("unit", containers=[container("1Qi")]))
            stage.put_raw("pods", "default", "shape", pod("shape", containers="none"))
            stage.put_raw("pods", "default", "list", pod("list", containers=[container(["1"])]))
            stage.put_raw("pods", "default", "bare", {"metadata": {"name": "bare", "namespace": "default"}})
            node = {"metadata": {"name": "odd"}, "spec": {}, "status": {"allocatable": {"cpu": "4", "memory": "lots"}}}
            stage.put_raw("nodes", "", "odd", node)
            for _ in range(3):
                stage.put_raw("pods", "default", "list", pod("list", containers=[container(["1"])]))
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "the other pods to run")
            told = child.events("cache.object_malformed")
            assert sorted(line["object"] for line in told if line["object"] != "default/bare") == [
                "default/list", "default/shape", "odd",
            ]  # fmt: skip
            assert all(line["fault"] for line in told)
            refused = {line["example"]: line["own_reasons"][0] for line in child.events("pods.not_served")}
            assert "'banana' is no quantity" in refused["default/early"]
            assert "'1Qi' is no quantity" in refused["default/unit"]
            wait_for(
                lambda: metric(child, "priority_autoscaler_malformed_objects_total", kind="Pod") >= 5, "the counter"
            )
            assert metric(child, "priority_autoscaler_malformed_objects_total", kind="Node") >= 1
            assert len(stage.instances()) == 2
            assert child.get("/readyz")[0] == 200


def test_a_bad_priority_config_map_leaves_the_last_good_tiers() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        with stage.controller() as child:
            stage.world.set_priorities("20: ['^od-']\nten: [")
            wait_for(lambda: child.events("priorities.invalid"), "it to be noticed")
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            assert len(stage.instances("spot-a")) == 2
            wait_for(lambda: stage.events("PriorityConfigMapInvalid"), "the event")
            stage.deploy("more", 1)
            wait_for(lambda: stage.running("more") == 1, "another pod to run")
            [event] = stage.events("PriorityConfigMapInvalid")
            assert event["type"] == "Warning"
            assert event["involvedObject"]["name"] == "cluster-autoscaler-priority-expander"
            assert event.get("count", 1) == 1
            assert len(child.events("priorities.invalid")) == 1
            assert metric(child, "priority_autoscaler_config_faults_total", kind="priorities") == 1
            stage.world.set_priorities("20: ['^od-']\n10: ['^spot-']\n")
            pause(0.5)
            stage.deploy("last", 1)
            wait_for(lambda: stage.running("last") == 1, "a pod by the new order")
            assert len(stage.instances("od-a")) == 1


@pytest.mark.emulator("about AWS alone")
def test_a_bad_tag_is_told_and_the_group_used_all_the_same() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand", tags={CPU_TAG: "many"})
        with stage.controller() as child:
            stage.deploy("web", 2)
            wait_for(lambda: stage.running("web") == 2, "the pods to run")
            wait_for(lambda: CPU_TAG in "".join(one["message"] for one in stage.objects("events")), "the event")
            pause(1.5)
            events = [event for event in stage.objects("events") if CPU_TAG in event["message"]]
            assert len(events) == 1
            assert "od-a" in events[0]["message"]
            assert events[0].get("count", 1) == 1
            assert metric(child, "priority_autoscaler_config_faults_total", kind="tag") == 1


def test_a_pod_that_no_group_can_host_buys_nothing_and_is_told_why() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand", zones=[A])
        with stage.controller():
            stage.deploy("huge", 1, cpu="64")
            stage.deploy("elsewhere", 1, nodeSelector={"topology.kubernetes.io/zone": "eu-west-3b"})
            stage.deploy("odd", 1, nodeSelector={"nobody": "knows"})
            wait_for(lambda: len(stage.events("NotTriggerScaleUp")) == 3, "each to be told")
            told = {event["involvedObject"]["name"].split("-")[0]: event["message"] for event in
                    stage.events("NotTriggerScaleUp")}  # fmt: skip
            assert "TooSmall (od-a)" in told["huge"]
            assert "NodeSelectorMismatch (od-a)" in told["elsewhere"]
            assert "NodeSelectorMismatch (od-a)" in told["odd"]
            assert not stage.launches()
