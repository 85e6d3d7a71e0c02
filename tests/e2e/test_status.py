"""The status ConfigMap of a running controller: in cluster-autoscaler's layout, current, and the leader's alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3

NAME = "cluster-autoscaler-status"


def status(stage: Stage, name: str = NAME) -> dict[str, Any]:
    """What stands in the ConfigMap; empty while there is none."""
    for one in stage.objects("configmaps", "kube-system"):
        if one["metadata"]["name"] == name:
            found: dict[str, Any] = yaml.safe_load(one["data"]["status"])
            return found
    return {}


def of_group(stage: Stage, name: str) -> dict[str, Any]:
    found = [one for one in status(stage).get("nodeGroups", ()) if one["name"] == name]
    return found[0] if found else {}


def test_it_follows_what_happens_and_is_confirmed_when_nothing_does() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand")
        stage.aws.set_pool(market="spot", free=0)
        stage.world.set_priorities("20: ['^spot-']\n10: ['^od-']\n")
        with stage.controller() as child:
            wait_for(lambda: status(stage).get("autoscalerStatus") == "Running", "the first status")
            stage.deploy("web", 2)
            wait_for(lambda: stage.all_pods_run() and stage.pods("web"), "the pods to run")
            wait_for(lambda: of_group(stage, "spot-a").get("scaleUp", {}).get("status") == "Backoff", "the backoff")
            assert of_group(stage, "spot-a")["scaleUp"]["backoffInfo"]["errorCode"] == "placeholder-cannot-be-fulfilled"
            wait_for(lambda: of_group(stage, "od-a")["health"]["nodeCounts"]["registered"]["ready"] == 2, "the nodes")
            assert of_group(stage, "od-a")["health"]["cloudProviderTarget"] == 2
            probed = status(stage)["clusterWide"]["health"]["lastProbeTime"]
            wait_for(lambda: status(stage)["clusterWide"]["health"]["lastProbeTime"] > probed, "its confirmation")
            assert metric(child, "priority_autoscaler_status_writes_total", result="written") >= 3


@pytest.mark.emulator("long, to see nothing happen")
def test_it_is_not_written_in_a_dry_run_or_when_not_wanted() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        for flag in ("--dry-run", "--write-status-configmap=false"):
            with stage.controller(flag):
                pause(3.0)
        assert not status(stage)


@pytest.mark.emulator("refuses writes")
def test_a_refused_write_is_told_once_and_stops_nothing() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.break_api(path="/configmaps", method="POST", status=403)
        with stage.controller() as child:
            stage.deploy("web", 1)
            wait_for(lambda: stage.running("web") == 1, "the pod to run")
            wait_for(lambda: metric(child, "priority_autoscaler_status_writes_total", result="failed") >= 2, "failures")
            assert len(child.events("status.write_failed")) == 1
            assert not status(stage)


def test_a_standby_writes_nothing_until_it_leads() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with stage.controller() as leader:
            wait_for(lambda: status(stage), "the leader's status")
            with stage.controller() as standby:
                pause(3.0)
                assert metric(standby, "priority_autoscaler_status_writes_total") == 0
                leader.stop()
                written = "priority_autoscaler_status_writes_total"
                wait_for(lambda: metric(standby, written, result="written"), "the successor's status")
