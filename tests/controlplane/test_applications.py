"""Annotations on a real Deployment, set by a real kubectl, reach pods that the real scheduler has refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscaler.emulator.aws import AwsEmulator, EmulatorConfig
from tests.controlplane.client import wait_for
from tests.controlplane.cluster import NAMESPACE, Cluster
from tests.controlplane.test_scaling import DEPLOYMENTS, QUICK, Kubelets, bound, controller, deploy, group, kubectl

pytestmark = pytest.mark.controlplane


@pytest.fixture
def aws() -> Iterator[AwsEmulator]:
    with AwsEmulator.start(EmulatorConfig(delays=QUICK)) as running:
        yield running


def test_kubectl_annotate_changes_what_is_bought(own: Cluster, aws: AwsEmulator) -> None:
    Kubelets(own, aws)
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
