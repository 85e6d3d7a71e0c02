"""A kube-scheduler with a configuration of its own, and we with the same file, take the same nodes for a pod."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler import clock
from autoscaler.core.policy import Policy
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.offline import read_cluster
from autoscaler.kubernetes.scheduler_config import read_scheduler_config
from tests.controlplane import build
from tests.controlplane.client import Json, wait_for
from tests.controlplane.cluster import NAMESPACE, ZONE_LABEL, Cluster, hollow, pod, pods_path
from tests.controlplane.comparison import fitting_nodes
from tests.controlplane.oracle import PIN, PROBE, SCHEDULER, Oracle

pytestmark = pytest.mark.controlplane

REPLICA_SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
POOL = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["batch"]}]}
ZONAL = {"topologyKey": ZONE_LABEL, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
PLUGINS: dict[str, Json] = {
    "NodeAffinity": {
        "addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [POOL]}}
    },
    "PodTopologySpread": {"defaultingType": "List", "defaultConstraints": [ZONAL]},
    "NodeResourcesFit": {"ignoredResources": ["example.com/tool"], "ignoredResourceGroups": ["ignored.example.com"]},
}
WEB, WEB_1, WEB_2 = {"app": "web"}, {"app": "web", "hash": "1"}, {"app": "web", "hash": "2"}
SKEWED, FULL = {"app": "skewed"}, {"app": "full"}
RESIDENTS = (
    *(("a1", WEB_1), ("b1", WEB_1), ("c1", WEB_2), ("d1", WEB_2)),
    ("a1", SKEWED),
    *((node, FULL) for node in ("a1", "b1", "c1")),
)
OWN = {**ZONAL, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": SKEWED}}
EVERYWHERE = {"a1", "b1", "c1"}  # but d1, which is of another pool
PENDING: dict[str, tuple[Json, set[str]]] = {
    "plain": (pod("plain"), EVERYWHERE),
    "of-service": (pod("of-service", labels=WEB), EVERYWHERE),
    "of-skewed": (pod("of-skewed", labels=SKEWED), {"b1", "c1"}),
    "of-full": (pod("of-full", labels=FULL), set()),  # the added affinity does not take d's zone out of the domains
    "own-constraint": (pod("own-constraint", labels=SKEWED, topologySpreadConstraints=[OWN]), EVERYWHERE),
    "asks-tool": (pod("asks-tool", requests={"example.com/tool": "1"}), EVERYWHERE),
    "asks-group": (pod("asks-group", requests={"ignored.example.com/x": "1"}), EVERYWHERE),
    "asks-other": (pod("asks-other", requests={"example.com/other": "1"}), set()),
    "wants-d1": (pod("wants-d1", nodeSelector={"kubernetes.io/hostname": "d1"}), set()),
}


@pytest.fixture
def world(own: Cluster) -> Iterator[Cluster]:
    """Four nodes, of which one is of another pool; Services, and pods behind them."""
    services = [("web", WEB), ("skewed", SKEWED), ("full", FULL)]
    own.add_nodes(
        hollow(f"{zone}1", zone=f"eu-west-3{zone}", labels={"pool": "other" if zone == "d" else "batch"})
        for zone in "abcd"
    )
    for name, selector in services:
        spec = {"clusterIP": "None", "selector": selector}
        own.client.create(SERVICES, {"metadata": {"name": name}, "spec": spec})
    own.add_pods(pod(f"resident-{n}", labels=labels, node=node) for n, (node, labels) in enumerate(RESIDENTS))
    yield own
    for name, _ in services:
        own.client.delete(f"{SERVICES}/{name}")


def ours(cluster: Cluster, file: Path) -> dict[str, set[str]]:
    """The nodes that take each pending pod by our plan, with the scheduler's own file."""
    paths = ("/api/v1/nodes", pods_path(), "/api/v1/services", REPLICA_SETS)
    found = read_cluster([("the API server", cluster.client.at_once(cluster.client.get, paths))])
    snapshot = Snapshot(
        at=clock.now(),
        pods=found.pods,
        nodes=found.nodes,
        policy=Policy(await_scheduler=False),
        schedulers=read_scheduler_config(file).schedulers.knowing(found.services, found.workloads),
    )
    return {each.name: set(fitting_nodes(snapshot, each)) for each in snapshot.pods if each.node is None}


def make_replica(cluster: Cluster) -> str:
    """A ReplicaSet adopts the residents of its selector and makes one pod more; return its name."""
    template = {
        "metadata": {"labels": WEB_1, "annotations": {PIN: PROBE}},
        "spec": {"schedulerName": SCHEDULER, "containers": [{"name": "main", "image": "example"}]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": {"hash": "1"}}, "template": template}
    cluster.client.create(REPLICA_SETS, {"metadata": {"name": "set"}, "spec": spec})
    return replica_of(cluster)


def replica_of(cluster: Cluster, but: str = "") -> str:
    def found() -> Any:
        names = [each["metadata"]["name"] for each in cluster.pods()]
        return [name for name in names if name.startswith("set-") and name != but]

    return str(wait_for(found, "the ReplicaSet to make a pod")[0])


def test_the_same_file_means_the_same_nodes(world: Cluster, tmp_path: Path) -> None:
    with Oracle.start(world, build.folder(), tmp_path, PLUGINS) as oracle:
        oracle.wait_for_nodes(["a1", "b1", "c1", "d1"])
        expected = {name: nodes for name, (_, nodes) in PENDING.items()}
        theirs = oracle.ask(each for each, _ in PENDING.values())
        mine = ours(world, tmp_path / "oracle.yaml")
        assert {name: set(nodes) for name, nodes in theirs.items()} == expected
        assert {name: mine[name] for name in PENDING} == expected

        replica = make_replica(world)
        if set(oracle.judgement([replica])[replica]) != {"c1"}:  # it may have been asked before it knew the ReplicaSet
            world.client.delete(pods_path(replica))
            replica = replica_of(world, but=replica)
        assert set(oracle.judgement([replica])[replica]) == {"c1"}
        assert ours(world, tmp_path / "oracle.yaml")[replica] == {"c1"}
