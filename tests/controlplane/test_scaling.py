"""A running controller between a real scheduler and the emulated AWS: pending pods become bound pods."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.child import ChildController
from tests.controlplane.client import wait_for
from tests.controlplane.cluster import NAMESPACE, Cluster, node_of
from tests.controlplane.hollow import joined

pytestmark = pytest.mark.controlplane

TAG = "k8s.io/cluster-autoscaler/enabled"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


@contextmanager
def controller(cluster: Cluster, aws: AwsEmulator, *flags: str) -> Iterator[ChildController]:
    environment = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": aws.config.region,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_EC2_METADATA_DISABLED": "true",
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    common = [f"--node-group-auto-discovery=asg:tag={TAG}", f"--namespace={NAMESPACE}"]
    with ChildController.start([*common, *flags], environment) as child:
        child.wait_ready()
        yield child
        assert not [line for line in child.noise if "Traceback" in line], child.tail()
        assert not child.events("pass.failed"), child.tail()


def deploy(cluster: Cluster, name: str, replicas: int, **spec: object) -> None:
    labels = {"app": name}
    container = {"name": "main", "image": "example", "resources": {"requests": {"cpu": "3", "memory": "4Gi"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], **spec}}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    cluster.client.create(DEPLOYMENTS, {"metadata": {"name": name}, "spec": body})


def bound(cluster: Cluster, app: str) -> list[str]:
    return [node for each in cluster.pods(f"app={app}") if (node := node_of(each))]


def kubectl(cluster: Cluster, *words: str) -> str:
    binary = Path(sys.executable).parent / "kubectl"
    line = [str(binary), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={NAMESPACE}", *words]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def aws(own: Cluster) -> Iterator[AwsEmulator]:
    with joined(own) as running:
        yield running


def group(aws: AwsEmulator, name: str, market: str) -> None:
    aws.create_group(name=name, market=market, instance_types=["m5.xlarge"], tags={TAG: "true"})


def test_pending_pods_become_bound_pods_and_kubectl_tells_why(own: Cluster, aws: AwsEmulator) -> None:
    group(aws, "spot-a", "spot")
    deploy(own, "web", 5)
    # A pod that is refused later may take the place bought for another, and is told nothing of it.
    wait_for(lambda: len(own.wait_judged()) == 5, "all to be refused")
    with controller(own, aws) as child:
        wait_for(lambda: len(bound(own, "web")) == 5, "five bound pods")
        assert len(set(bound(own, "web"))) == 5, "each needs a node of its own"
        wait_for(lambda: len(own.events("TriggeredScaleUp")) == 5, "an event for each pod")
        assert len(aws.instances()) == 5, "one node each, and not one more"
        told = kubectl(own, "get", "events", "--field-selector=reason=TriggeredScaleUp", "--no-headers")
        assert told.count("spot-a 0->5 (max: 10)") == 5
        name = own.pods("app=web")[0]["metadata"]["name"]
        assert "cluster-autoscaler  pod triggered scale-up" in kubectl(own, "describe", "pod", name)
        assert "cluster-autoscaler" in kubectl(own, "get", "leases")
        assert not child.events("pass.bought_twice")


def test_dry_groups_are_passed_over_before_the_scheduler_asks_again(own: Cluster, aws: AwsEmulator) -> None:
    for name in ("spot-a", "spot-b"):
        group(aws, name, "spot")
    group(aws, "od-a", "on-demand")
    aws.set_pool(market="spot", free=0)
    tiers = {"priorities": "20: ['^spot-']\n10: ['^od-']\n"}
    maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    own.client.create(maps, {"metadata": {"name": "cluster-autoscaler-priority-expander"}, "data": tiers})
    with controller(own, aws):
        spread = {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }
        deploy(own, "web", 3, topologySpreadConstraints=[spread])
        wait_for(lambda: len(bound(own, "web")) == 3, "three bound pods")
        assert {one.group for one in aws.instances() if one.is_live} == {"od-a"}
        assert len({one.zone for one in aws.instances() if one.is_live}) == 3, "the spread names three zones"
