"""The real kubectl, as a client that knows nothing of us."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from autoscaler.emulator.kubernetes import KubernetesEmulator
from tests.emulator.kubernetes_client import QUICK, Kubectl, machine, until

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers: [{name: c, image: x, resources: {requests: {cpu: 100m}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-autoscaler-priority-expander, namespace: kube-system}
data: {priorities: "10: [.*]"}
"""


@pytest.fixture
def cluster() -> Iterator[KubernetesEmulator]:
    with KubernetesEmulator.start(QUICK) as running:
        for number in (1, 2, 3):
            running.call(running.kubelet.launch, machine(number))
        yield running


@pytest.fixture
def kubectl(cluster: KubernetesEmulator, tmp_path: Path) -> Kubectl:
    client = Kubectl(cluster, tmp_path)
    eventually(lambda: client("get", "nodes", "--no-headers").count(" Ready ") == 3)
    return client


def eventually(holds: Callable[[], object]) -> None:
    anyio.run(until, holds)


def running_pods(kubectl: Kubectl, count: int) -> Callable[[], bool]:
    return lambda: kubectl("get", "pods", "--no-headers").count("Running") == count


def test_it_lists_and_describes(kubectl: Kubectl) -> None:
    assert "Server Version: v1.36" in kubectl("version")
    assert "deployments" in kubectl("api-resources")
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=5")
    eventually(running_pods(kubectl, 5))
    listed = kubectl("get", "pods", "-A", "--chunk-size=2", "-o", "wide")
    assert listed.splitlines()[0].split()[:5] == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS"]
    assert len(listed.splitlines()) == 6
    name = kubectl("get", "pods", "-o", "name").split()[0]
    described = kubectl("describe", name)
    assert "Successfully assigned default/" in described
    assert "Controlled By:  ReplicaSet/web-" in described
    assert "web-" in kubectl("describe", "node", "node-1") + kubectl("describe", "node", "node-2")
    assert "replicaset.apps/web-" in kubectl("get", "all")
    assert "Scheduled" in kubectl("events")


def test_it_applies_patches_scales_and_deletes(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest = tmp_path / "app.yaml"
    manifest.write_text(MANIFESTS)
    assert "deployment.apps/app created" in kubectl("apply", "-f", str(manifest))
    assert "unchanged" in kubectl("apply", "-f", str(manifest))
    assert "AlreadyExists" in kubectl("create", "-f", str(manifest), fails=True)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest))
    kubectl("scale", "deployment", "app", "--replicas=4")
    kubectl("rollout", "status", "deployment/app", "--timeout=10s")
    kubectl("annotate", "deployment", "app", "priority-autoscaler/max-wait=0s")
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"c","resources":{"requests":{"memory":"1Mi"}}}]}}}}'
    kubectl("patch", "deployment", "app", "-p", patch)
    found = json.loads(kubectl("get", "deployment", "app", "-o", "json"))
    assert found["metadata"]["annotations"]["priority-autoscaler/max-wait"] == "0s"
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "x"
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "1Mi"}
    kubectl("wait", "--for=condition=Available", "deployment/app", "--timeout=5s")
    kubectl("delete", "deployment", "app")
    eventually(lambda: "No resources found" in kubectl("get", "pods"))


def test_it_cordons_taints_and_drains_under_a_budget(kubectl: Kubectl) -> None:
    for node in ("node-2", "node-3"):
        kubectl("cordon", node)
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2")
    eventually(running_pods(kubectl, 2))
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=2")
    kubectl("uncordon", "node-2")
    kubectl("taint", "node", "node-3", "pool=x:NoSchedule")
    assert "SchedulingDisabled" in kubectl("get", "node", "node-3")
    refused = kubectl("drain", "node-1", "--timeout=1s", fails=True)
    assert "would violate the pod's disruption budget" in refused
    kubectl("patch", "pdb", "web", "-p", '{"spec":{"minAvailable":0}}')
    eventually(lambda: kubectl("get", "pdb", "web", "--no-headers").split()[3] == "2")
    kubectl("drain", "node-1", "--timeout=10s")
    eventually(running_pods(kubectl, 2))
    assert kubectl("get", "pods", "-o", "wide").count("node-2") == 2


def test_it_watches(cluster: KubernetesEmulator, kubectl: Kubectl) -> None:
    watching = subprocess.Popen(
        [kubectl.binary, "get", "pods", "-w", "--no-headers"],
        env=kubectl.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        eventually(lambda: cluster.call(cluster.faults.seen, "pods.*watch=true"))
        kubectl("run", "one", "--image=x")
        states = []
        for line in watching.stdout:
            states.append(line.split()[2])
            if states[-1] == "Running":
                break
        watching.terminate()
    assert states[0] == "Pending"


def test_a_wrong_token_is_refused(tmp_path: Path) -> None:
    with KubernetesEmulator.start(QUICK) as open_cluster:
        client = Kubectl(open_cluster, tmp_path)
        rule = {"path": "^/api", "status": 401}
        open_cluster.call(open_cluster.faults.add, rule)
        assert "You must be logged in" in client("get", "nodes", fails=True)
