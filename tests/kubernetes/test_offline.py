"""Clusters from files: YAML or JSON, single documents or lists, with faults that name the file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from autoscaler.kubernetes.convert import MalformedObjectError
from autoscaler.kubernetes.offline import read_cluster, read_objects

LIST = """
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: web-1, namespace: shop, uid: u1, creationTimestamp: "2026-01-01T12:00:00Z"}
  spec: {priorityClassName: high, containers: [{name: c, resources: {requests: {cpu: 500m}}}]}
- apiVersion: v1
  kind: Node
  metadata: {name: n1, creationTimestamp: 2026-01-01T12:00:00Z}
  status: {allocatable: {cpu: "4"}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: kube-system}, data: {priorities: "10: [a]"}}
- apiVersion: apps/v1
  kind: DaemonSet
  metadata: {name: agent, namespace: kube-system}
  spec: {template: {spec: {containers: [{name: c}]}}}
- {apiVersion: management.cattle.io/v3, kind: Node, metadata: {name: another-node}}
- {apiVersion: v1, kind: Secret, metadata: {name: s}}
"""
CLASS = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "high"},
    "value": 1000,
}


def as_json(document: Any) -> bytes:
    return json.dumps(document, default=lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")).encode()


@pytest.mark.parametrize("form", ["yaml", "json", "items"])
def test_reads_what_kubectl_prints(form: str) -> None:
    document = yaml.safe_load(LIST)
    documents = {"yaml": [document, None], "json": [as_json(document)], "items": document["items"]}[form]
    cluster = read_cluster([("a.yaml", documents), ("b.yaml", [CLASS])])
    (pod,) = cluster.pods
    assert (pod.spec.priority, pod.spec.requests["cpu"]) == (1000, 500)
    assert [each.name for each in cluster.nodes] == ["n1"]
    assert cluster.nodes[0].created == pod.created
    assert {name: dict(labels) for name, labels in cluster.namespaces.items()} == {"shop": {"team": "a"}}
    assert [each.name for each in cluster.daemonsets] == ["agent"]
    found = cluster.config_map("kube-system", "c")
    assert found is not None
    assert found.data == {"priorities": "10: [a]"}
    assert cluster.config_map("default", "c") is None


def test_a_typed_list_gives_its_items_their_kind() -> None:
    pods = {"kind": "PodList", "apiVersion": "v1", "items": [
        {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}]}  # fmt: skip
    for document in (pods, as_json(pods)):
        (pod,) = read_objects([document], "f").pods
        assert (pod.namespace, pod.name, pod.uid) == ("default", "a", "Pod//a")
    assert not read_objects(
        [{"kind": "PodList", "items": None}, as_json({"kind": "NodeList", "items": None})], "f"
    ).pods


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"kind": "Pod", "metadata": {"name": "z", "namespace": "q"}}, "f.yaml: Pod q/z: Object missing.*spec"),
        ({"kind": "Pod", "spec": {}}, "f.yaml: Pod"),
        ({"kind": "Pod", "metadata": {"name": "z"}, "spec": {}}, "f.yaml: Pod z: spec.containers"),
        ({"kind": "Node", "metadata": {"name": "z"}, "status": {"allocatable": {"cpu": "4x"}}}, "Node z: .*'4x'"),
        ({"kind": "PodList", "items": [{"metadata": {"name": 5}, "spec": {}}]}, "f.yaml: Pod"),
        ({"metadata": {"name": "z"}}, "f.yaml: document z: kind is missing"),
        (7, "f.yaml: document"),
    ],
)
def test_what_cannot_be_decoded_names_file_object_and_fault(document: Any, told: str) -> None:
    for form in (document, as_json(document)):
        with pytest.raises(MalformedObjectError, match=told):
            read_objects([form], "f.yaml")


def test_the_first_of_many_faults_is_told_whatever_their_order() -> None:
    """What cannot be decoded, what cannot be converted, and what is there twice and differs."""
    bare: dict[str, Any] = {"kind": "Pod", "metadata": {"name": "c"}, "spec": {"containers": [{"name": "c"}]}}
    objects: list[Any] = [
        {"kind": "Pod", "metadata": {"name": "b"}, "spec": {"priority": "high"}},
        {"kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4x"}}},
        {"kind": "PersistentVolume", "metadata": {"name": "p"}, "spec": {"capacity": {"storage": "1X"}}},
        bare, bare | {"spec": {"containers": [{"name": "c"}], "priority": 7}}, 7,
    ]  # fmt: skip
    for documents in (objects, objects[::-1], [as_json(objects)], [as_json({"kind": "List", "items": objects[::-1]})]):
        with pytest.raises(MalformedObjectError) as raised:
            read_objects(documents, "f.yaml")
        assert (
            str(raised.value)
            == "f.yaml: Node n: status.allocatable.cpu: '4x' is no quantity (and 4 more that cannot be used)"
        )


def test_the_path_of_a_wrong_type_comes_first() -> None:
    spread = {"kind": "Pod", "metadata": {"name": "a"}, "spec": {"topologySpreadConstraints": [{"maxSkew": "1"}]}}
    told = re.escape("f.yaml: Pod a: spec.topologySpreadConstraints[0].maxSkew: Expected `int`, got `str`")
    for form in (spread, as_json(spread)):
        with pytest.raises(MalformedObjectError, match=f"^{told}$"):
            read_objects([form], "f.yaml")


def test_what_is_no_json_is_named() -> None:
    with pytest.raises(MalformedObjectError, match=r"f\.json: document"):
        read_objects([b"{"], "f.json")


def test_the_import_stays_light() -> None:
    code = "import sys, autoscaler.kubernetes.offline; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"aiohttp", "anyio", "asyncio", "kubernetes", "pydantic", "structlog"} & set(loaded)


@pytest.mark.parametrize(
    ("kind", "revision", "counts"),
    [("ReplicaSet", True, False), ("ReplicaSet", False, True), ("Deployment", True, True)],
)
def test_copies_of_a_deployments_annotations_count_for_nothing(kind: str, revision: bool, counts: bool) -> None:
    annotations = {"priority-autoscaler/groups": "spot"}
    if revision:
        annotations["deployment.kubernetes.io/revision"] = "1"
    metadata = {"namespace": "shop", "name": "web", "annotations": annotations}
    found = read_objects([{"apiVersion": "apps/v1", "kind": kind, "metadata": metadata}], "f")
    assert ("priority-autoscaler/groups" in found.workloads[0].annotations) is counts
