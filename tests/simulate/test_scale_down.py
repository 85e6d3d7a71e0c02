"""Scale-down and the return to spot as `autoscaler simulate` tells them: whole processes, files in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.simulate.files import Case, asg, priorities

AT = "--at=2026-01-01T12:00:00Z"
OLD = "2026-01-01T06:00:00Z"


def instance(name: str, zone: str = "a") -> dict[str, Any]:
    return {
        "InstanceId": f"i-{name}",
        "InstanceType": "m5.xlarge",
        "AvailabilityZone": f"eu-west-3{zone}",
        "LifecycleState": "InService",
        "HealthStatus": "Healthy",
    }


def node(name: str, zone: str = "a", created: str = OLD, **fields: Any) -> dict[str, Any]:
    amounts = {"cpu": "4", "memory": "16Gi", "pods": "58"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"node-{name}",
            "creationTimestamp": created,
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"eu-west-3{zone}"},
            "annotations": fields.pop("annotations", {}),
        },
        "spec": {"providerID": f"aws:///eu-west-3{zone}/i-{name}", **fields.pop("spec", {})},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": fields.pop(
                "conditions", [{"type": "Ready", "status": "True", "lastTransitionTime": created}]
            ),
        },
    }


def running(name: str, on: str, cpu: str = "500m", **fields: Any) -> dict[str, Any]:
    """A running pod of a ReplicaSet."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs-web", "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": OLD,
            "labels": {"app": "web"},
            "ownerReferences": [owner],
            **fields,
        },
        "spec": {"nodeName": on, "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": "Running"},
    }


def replica_set(name: str = "web") -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "shop"}, "spec": {}}


def pdb(allowed: int) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2},
    }


@pytest.fixture
def two_markets(tmp_path: Path) -> Case:
    """An on-demand node with two pods, a busy spot node, and spot above on-demand."""
    case = Case(tmp_path)
    case.cluster(
        node("od"), node("spot"), running("web-1", "od", "1500m"), running("web-2", "od", "1500m"),
        running("web-3", "spot", "3"), priorities("20: [spot]\n10: [od]\n"), replica_set(),
    )  # fmt: skip
    case.asgs(
        asg("spot-a", Instances=[instance("spot")], DesiredCapacity=1),
        asg("od-a", spot=False, Instances=[instance("od")], DesiredCapacity=1),
    )
    return case


def test_the_replacement_of_an_on_demand_node_is_launched_first(two_markets: Case) -> None:
    decided = two_markets.decide(AT)
    assert decided["drains"] == []
    assert decided["kept"] == {"od": ["WaitingForReplacement"], "spot": ["NotUnderutilized"]}
    assert decided["launches"] == [
        {
            "group": "spot-a",
            "zone": "eu-west-3b",
            "count": 1,
            "cause": "ReturnToSpot",
            "pods": ["shop/web-1", "shop/web-2"],
        }
    ]


def test_the_node_is_drained_once_its_pods_fit_on_spot(two_markets: Case) -> None:
    two_markets.cluster(node("fresh", "b", "2026-01-01T11:58:00Z"), name="more.json")
    two_markets.asgs(
        asg("spot-a", Instances=[instance("spot"), instance("fresh", "b")], DesiredCapacity=2),
        asg("od-a", spot=False, Instances=[instance("od")], DesiredCapacity=1),
    )
    done = two_markets.run(AT, cluster=("cluster.yaml", "more.json"))
    assert '{"node": "od", "cause": "ReturnToSpot", "pods": ["shop/web-1", "shop/web-2"]}' in done.stdout
    assert '"launches": []' in done.stdout


def test_a_dry_spot_group_leaves_the_node_alone(two_markets: Case) -> None:
    decided = two_markets.decide(AT, "--ice=spot-a")
    assert decided["launches"] == decided["drains"] == []
    assert "InBackoff" in decided["kept"]["od"]


def test_a_young_node_waits(two_markets: Case) -> None:
    assert "TooYoung" in two_markets.decide(AT, "--on-demand-min-age=7h")["kept"]["od"]
    assert "OptedOut" in two_markets.decide(AT, "--on-demand-min-age=never")["kept"]["od"]


def test_idle_nodes_go_within_the_limits(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.cluster(
        node("empty"), node("idle"), node("busy"), node("stranger", spec={"providerID": ""}),
        running("web-1", "idle"), running("web-2", "busy", "3"), pdb(1),
    )  # fmt: skip
    names = ("empty", "idle", "busy")
    case.asgs(asg("od-a", spot=False, Instances=[instance(name) for name in names], DesiredCapacity=3))
    decided = case.decide(AT)
    assert decided["drains"] == [
        {"node": "empty", "cause": "Empty", "pods": []},
        {"node": "idle", "cause": "Unneeded", "pods": ["shop/web-1"]},
    ]
    assert decided["kept"] == {"busy": ["NotUnderutilized"], "stranger": ["NotAutoscaled"]}
    assert case.decide(AT, "--max-scale-down-parallelism=1")["kept"]["idle"] == ["DisruptionBudget"]
    assert case.decide(AT, "--scale-down-unneeded-time=7h")["kept"]["empty"] == ["NotUnneededLongEnough"]
    assert case.decide(AT, "--nodes=3:9:od-a")["kept"]["empty"] == ["NodeGroupMinSizeReached"]
    assert case.decide(AT, "--paused")["drains"] == []


def test_a_pdb_that_allows_nothing_and_a_missing_owner_are_named(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.cluster(node("idle"), node("busy"), running("web-1", "idle"), running("web-2", "busy", "3"), pdb(0))
    case.asgs(asg("od-a", spot=False, Instances=[instance("idle"), instance("busy")], DesiredCapacity=2))
    assert case.decide(AT)["kept"]["idle"] == ["BlockedByPod", "NotEnoughPdb"]
    case.cluster(
        node("idle"), node("busy"), running("web-1", "idle"), running("web-2", "busy", "3"), replica_set("other")
    )
    assert case.decide(AT)["kept"]["idle"] == ["BlockedByPod", "ControllerNotFound"]


def test_the_policy_file_bounds_and_pauses(two_markets: Case) -> None:
    policy = two_markets.folder / "policy.yaml"
    policy.write_text("paused: true\n")
    assert "Paused" in two_markets.decide(AT, "--policy=policy.yaml")["kept"]["od"]
    policy.write_text("disruption: {windows: ['Sat 01:00-02:00 Europe/Paris']}\n")
    assert "OutsideWindow" in two_markets.decide(AT, "--policy=policy.yaml")["kept"]["od"]
    policy.write_text("disruption: {cluster: 10 %, perGroup: x}\n")
    done = two_markets.run(AT, "--policy=policy.yaml")
    assert done.returncode == 2
    assert "policy.yaml: disruption.cluster: " in done.stderr
    assert "disruption.perGroup: " in done.stderr


def test_a_condition_of_the_node_problem_detector_has_a_node_drained(two_markets: Case) -> None:
    dead = {"type": "KernelDeadlock", "status": "True", "lastTransitionTime": "2026-01-01T11:45:00Z"}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": OLD}
    two_markets.cluster(node("od", conditions=[ready, dead]), node("spot"), running("web-1", "od", "3"))
    decided = two_markets.decide(AT, "--drain-node-conditions=KernelDeadlock=True,10m")
    assert decided["drains"] == [{"node": "od", "cause": "Unready", "pods": ["shop/web-1"]}]
    assert two_markets.decide(AT, "--drain-node-conditions=KernelDeadlock=True,20m")["drains"] != decided["drains"]


def test_bad_input_is_named_and_stops_nothing(tmp_path: Path) -> None:
    """One good node goes; a loose pod, two budgets on one, a lost instance and a node without providerID are named."""
    case = Case(tmp_path)
    loose = running("loose", "bare")
    del loose["metadata"]["ownerReferences"], loose["metadata"]["labels"]
    doubled = pdb(1)
    doubled["metadata"]["name"] = "again"
    nothing, nobody = pdb(0), pdb(0)
    nothing["metadata"]["name"], nothing["spec"]["selector"] = "nothing", {"matchLabels": {"app": "nobody"}}
    nobody["metadata"]["name"], nobody["status"] = "nobody", {}
    del nobody["spec"]["selector"]
    other = {"labels": {"app": "other"}}
    case.cluster(
        node("good"), node("bare"), node("pair"), node("lost"), node("stranger", spec={"providerID": ""}),
        node("busy"), running("good-1", "good", **other), loose, running("pair-1", "pair"),
        running("lost-1", "lost", **other), running("busy-1", "busy", "3", **other),
        pdb(1), doubled, nothing, nobody, replica_set(),
    )  # fmt: skip
    ours = [instance(name) for name in ("good", "bare", "pair", "busy")]
    case.asgs(asg("od-a", spot=False, Instances=ours, DesiredCapacity=4))
    decided = case.decide(AT, "--max-drain-parallelism=9")
    assert decided["drains"] == [{"node": "good", "cause": "Unneeded", "pods": ["shop/good-1"]}]
    assert decided["kept"] == {
        "bare": ["BlockedByPod", "NotReplicated"],
        "busy": ["NotUnderutilized"],
        "lost": ["NotAutoscaled"],
        "pair": ["BlockedByPod", "NotEnoughPdb"],
        "stranger": ["NotAutoscaled"],
    }
    told = case.run(AT, "--max-drain-parallelism=9", "--output=text").stdout
    for name in ("shop/loose", "shop/pair-1", "i-lost", "providerID"):
        assert name in told
