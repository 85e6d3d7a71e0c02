"""The chart on a real control plane: its objects are taken, and its roles are enough and not too much."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from autoscaler import clock
from autoscaler.core.model import InstanceId
from autoscaler.emulator.aws.server import AwsEmulator
from autoscaler.emulator.child import ChildController
from autoscaler.kubernetes.state import SavedState, StateStore
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.controlplane.client import Json, Refused, wait_for
from tests.controlplane.cluster import NAMESPACE, Cluster, hollow, node_of, pod, pods_path
from tests.controlplane.hollow import joined
from tests.controlplane.installation import denied, installed, path_of, rights_given, rights_used, unused, user_of
from tests.deploy.chart import VALUES, Rendering, render

pytestmark = pytest.mark.controlplane

FILES = sorted(VALUES.glob("*.yaml"))
FOREIGN_KINDS = {"ServiceMonitor", "PrometheusRule"}  # of the Prometheus Operator, which is not there
GROUP = "spot-a"
SOON = {
    "scale-down-unneeded-time": "1s",
    "scale-down-delay-after-add": "0s",
    "scale-down-utilization-threshold": 0.9,
    "node-delete-delay-after-taint": "200ms",
    "max-graceful-termination-sec": 2,
}
# Rights that the story of one node does not take; the whole of tests/e2e does (`make e2e`, test_rights.py there).
NOT_IN_THIS_STORY = {
    ("", "events", "patch", ""),  # an event that repeats
    ("", "configmaps", "get", "cluster-autoscaler-status"),  # a status that was there before
    ("coordination.k8s.io", "leases", "watch", "cluster-autoscaler"),  # a standby
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_api_server_takes_every_rendering(controlplane: Cluster, file: Path) -> None:
    for manifest in render(file=file, namespace=NAMESPACE).objects:
        if manifest["kind"] not in FOREIGN_KINDS:
            manifest["metadata"].setdefault("namespace", NAMESPACE if manifest["kind"] == "ConfigMap" else None)
            path = path_of(manifest)
            manifest["metadata"] = {key: value for key, value in manifest["metadata"].items() if value is not None}
            controlplane.client.create(f"{path}?dryRun=All&fieldValidation=Strict", manifest)


def test_the_pod_is_admitted_as_restricted(own: Cluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    own.client.patch(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": labels}})
    try:
        spec = render(namespace=NAMESPACE).pod | {"serviceAccountName": "default"}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "autoscaler"}, "spec": spec}
        own.client.create(f"{pods_path()}?dryRun=All", manifest)
        manifest["spec"] = {**spec, "securityContext": {}}
        with pytest.raises(Refused, match="violates PodSecurity"):
            own.client.create(f"{pods_path()}?dryRun=All", manifest)
    finally:
        own.client.patch(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": dict.fromkeys(labels)}})


@contextmanager
def an_account(cluster: Cluster) -> Iterator[AwsEmulator]:
    """An AWS with one group, whose instances become hollow nodes."""
    with joined(cluster) as aws:
        tags = {"k8s.io/cluster-autoscaler/enabled": "true", "k8s.io/cluster-autoscaler/prod": "owned"}
        aws.create_group(name=GROUP, market="spot", tags=tags, instance_types=["m5.xlarge"])
        yield aws


@contextmanager
def running(cluster: Cluster, rendering: Rendering, aws: AwsEmulator, folder: Path) -> Iterator[ChildController]:
    """The controller as the chart starts it, under the chart's ServiceAccount."""
    with installed(cluster, rendering) as account:
        environment = {
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_REGION": aws.config.region,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_EC2_METADATA_DISABLED": "true",
            "KUBECONFIG": str(account.write_kubeconfig(folder / "kubeconfig")),
        }
        with ChildController.start(rendering.container["args"][1:], environment) as child:
            child.wait_ready()
            yield child


def requests(cluster: Cluster, rendering: Rendering) -> list[Json]:
    """What the ServiceAccount has asked, by the audit log."""
    assert cluster.audit is not None
    return [row for row in cluster.audit.entries() if row["user"]["username"] == user_of(rendering)]


def deploy(cluster: Cluster, name: str, **spec: Any) -> None:
    """A Deployment of one pod, which a controller of the cluster makes and makes again."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod(name, **spec)["spec"]}
    body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    cluster.client.create(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", body)


def all_placed(cluster: Cluster) -> bool:
    pods = cluster.pods()
    return bool(pods) and all(node_of(each) for each in pods)


def test_a_node_is_bought_and_given_back_under_the_charts_roles(own: Cluster, tmp_path: Path) -> None:
    values = {"autoDiscovery": {"clusterName": "prod"}, "expanderPriorities": {"10": [".*"]}, "extraArgs": SOON}
    rendering = render(values, namespace=NAMESPACE)
    with an_account(own) as aws, running(own, rendering, aws, tmp_path):
        deploy(own, "web", cpu="3")
        wait_for(lambda: all_placed(own), "the pod to be placed on a bought node")
        wait_for(lambda: own.events("TriggeredScaleUp"), "its event")
        own.add_nodes([hollow("base")])
        wait_for(lambda: all_placed(own) and not live(aws), "the node to be drained and given back")
        assert [node_of(each) for each in own.pods()] == ["base"]
        wait_for(lambda: own.events("ScaleDown"), "its event")
        wait_for(lambda: "autoscalerStatus: Running" in status(own), "the status")
        anyio.run(save_again, tmp_path / "kubeconfig")
    rows = requests(own, rendering)
    assert not denied(rows)
    assert unused(rights_given(rendering), rights_used(rows)) <= NOT_IN_THIS_STORY


async def save_again(kubeconfig: Path) -> None:
    """Write the state under the same account, once to have it there and once more."""
    async with connect(KubernetesSettings(kubeconfig=str(kubeconfig))) as api:
        store = StateStore(api, NAMESPACE)
        for name in ("i-1", "i-2"):
            assert await store.save(SavedState(first_seen={InstanceId(name): clock.now()}))


def status(cluster: Cluster) -> str:
    """What stands in the status ConfigMap."""
    found = cluster.client.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/cluster-autoscaler-status")
    return str(found["data"]["status"])


def live(aws: AwsEmulator) -> list[str]:
    return [one.id for one in aws.instances(GROUP) if one.is_live]


def test_a_dry_run_asks_for_nothing_but_reading(own: Cluster, tmp_path: Path) -> None:
    rendering = render(file=VALUES / "shadow.yaml", namespace=NAMESPACE)
    with an_account(own) as aws, running(own, rendering, aws, tmp_path) as child:
        own.add_pods([pod("web", cpu="3")])
        child.wait(lambda: child.events("scale_up.planned"), 60, "a decision")
        assert not aws.calls("LaunchInstances")
    rows = requests(own, rendering)
    assert not denied(rows)
    assert {verb for _, _, verb, _ in rights_used(rows)} <= {"get", "list", "watch"}
