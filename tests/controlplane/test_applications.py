"""Annotations on a real Deployment, set by a real kubectl, reach pods that the real scheduler has refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscaler.emulator.aws import AwsEmulator
from tests.controlplane.client import Refused, wait_for
from tests.controlplane.cluster import NAMESPACE, Cluster
from tests.controlplane.hollow import joined
from tests.controlplane.test_scaling import DEPLOYMENTS, bound, controller, deploy, group, kubectl

pytestmark = pytest.mark.controlplane
GROUPS = "priority-autoscaler/groups"


@pytest.fixture
def aws(own: Cluster) -> Iterator[AwsEmulator]:
    with joined(own) as running:
        yield running


def test_kubectl_annotate_changes_what_is_bought(own: Cluster, aws: AwsEmulator) -> None:
    group(aws, "spot-a", "spot")
    group(aws, "od-a", "on-demand")
    tiers = {"priorities": "20: ['^spot-']\n10: ['^od-']\n"}
    maps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
    own.client.create(maps, {"metadata": {"name": "cluster-autoscaler-priority-expander"}, "data": tiers})
    with controller(own, aws) as child:
        deploy(own, "web", 0)
        kubectl(own, "annotate", "deployment", "web", "priority-autoscaler/groups=gpu-.*")
        kubectl(own, "scale", "deployment", "web", "--replicas=1")
        wait_for(lambda: own.events("NotTriggerScaleUp"), "the refusal")
        assert not aws.calls("LaunchInstances")
        kubectl(own, "annotate", "deployment", "web", "--overwrite", "priority-autoscaler/groups=od-.*")
        wait_for(lambda: bound(own, "web"), "the pod to be bound")
        assert {call.group for call in aws.calls("LaunchInstances")} == {"od-a"}
        kubectl(own, "annotate", "deployment", "web", "--overwrite", "priority-autoscaler/groups=od-(")
        wait_for(lambda: own.events("InvalidAnnotation"), "the fault")
        (told,) = own.events("InvalidAnnotation")
        assert told["involvedObject"]["uid"] == own.client.get(f"{DEPLOYMENTS}/web")["metadata"]["uid"]
        assert "od-.* stays in force" in told["message"]
        kubectl(own, "scale", "deployment", "web", "--replicas=2")
        wait_for(lambda: len(bound(own, "web")) == 2, "another pod by the last good value")
        assert {call.group for call in aws.calls("LaunchInstances")} == {"od-a"}
        assert len(child.events("annotation.invalid")) == 1, "on the Deployment, not on the copy on its ReplicaSet"
        kubectl(own, "annotate", "deployment", "web", "priority-autoscaler/groups-")
        kubectl(own, "scale", "deployment", "web", "--replicas=3")
        wait_for(lambda: len(bound(own, "web")) == 3, "the third pod")
        assert aws.calls("LaunchInstances")[-1].group == "spot-a", "what was taken away counts no more"


ROLLOUTS = "/apis/example.com/v1/namespaces/{}/rollouts"
CRD = {
    "metadata": {"name": "rollouts.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Rollout", "plural": "rollouts", "singular": "rollout", "listKind": "RolloutList"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
        ],
    },
}  # fmt: skip


@pytest.fixture
def rollouts(own: Cluster) -> Iterator[str]:
    """A kind that nobody knew beforehand; the path of its objects."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    own.client.create(definitions, {**CRD, "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"})
    path = ROLLOUTS.format(NAMESPACE)
    wait_for(lambda: is_served(own, path), "the kind to be served")
    yield path
    own.client.delete(f"{definitions}/rollouts.example.com")


def is_served(cluster: Cluster, path: str) -> bool:
    try:
        cluster.client.get(path)
    except Refused:
        return False
    return True


def test_an_owner_of_any_kind_is_followed(own: Cluster, aws: AwsEmulator, rollouts: str) -> None:
    group(aws, "spot-a", "spot")
    group(aws, "od-a", "on-demand")
    body = {"apiVersion": "example.com/v1", "kind": "Rollout", "metadata": {"name": "web"}}
    made = own.client.create(rollouts, body | {"metadata": {"name": "web", "annotations": {GROUPS: "gpu-.*"}}})
    owner = {"apiVersion": "example.com/v1", "kind": "Rollout", "name": "web", "uid": made["metadata"]["uid"]}
    labels = {"app": "web"}
    container = {"name": "main", "image": "example", "resources": {"requests": {"cpu": "3"}}}
    replicas = {
        "metadata": {"name": "web-1", "ownerReferences": [{**owner, "controller": True}]},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    with controller(own, aws) as child:
        own.client.create(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets", replicas)
        wait_for(lambda: child.events("owners.followed"), "the kind to be found")
        kubectl(own, "scale", "replicaset", "web-1", "--replicas=1")
        wait_for(lambda: own.events("NotTriggerScaleUp"), "the refusal")
        own.client.patch(f"{rollouts}/web", {"metadata": {"annotations": {GROUPS: "od-.*"}}})
        wait_for(lambda: bound(own, "web"), "the pod to be bound")
        assert {call.group for call in aws.calls("LaunchInstances")} == {"od-a"}
