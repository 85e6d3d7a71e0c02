"""`autoscaler simulate` with the objects of storage that kubectl prints: each pod with a volume gets its verdict."""

from __future__ import annotations

from typing import Any

import yaml

from tests.simulate.files import Case, asg, pod

EBS, LVM = "ebs.csi.aws.com", "lvm.example.com"
ZONE = "topology.kubernetes.io/zone"
STORAGE = f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: gp3}}
provisioner: {EBS}
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: lvm}}
provisioner: {LVM}
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: {EBS}}}
spec: {{attachRequired: true, storageCapacity: false}}
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: {LVM}}}
spec: {{attachRequired: false, storageCapacity: true}}
---
apiVersion: storage.k8s.io/v1
kind: CSIStorageCapacity
metadata: {{name: csi-c, namespace: kube-system}}
storageClassName: lvm
nodeTopology: {{matchLabels: {{{ZONE}: eu-west-3c}}}}
capacity: 100Gi
maximumVolumeSize: 20Gi
---
apiVersion: storage.k8s.io/v1
kind: CSINode
metadata: {{name: node-1}}
spec: {{drivers: [{{name: {EBS}, nodeID: i-1, topologyKeys: [{ZONE}], allocatable: {{count: 1}}}}]}}
---
apiVersion: v1
kind: Node
metadata:
  name: node-1
  creationTimestamp: "2026-01-01T08:00:00Z"
  labels: {{{ZONE}: eu-west-3a, kubernetes.io/hostname: node-1, node.kubernetes.io/instance-type: m5.xlarge}}
status:
  allocatable: {{cpu: "4", memory: 15Gi, pods: "58"}}
  capacity: {{cpu: "4", memory: 15Gi, pods: "58"}}
  conditions: [{{type: Ready, status: "True"}}]
"""


def claim(name: str, kind: str = "gp3", size: str = "10Gi", **spec: Any) -> dict[str, Any]:
    asked = {"storageClassName": kind, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    meta = {"name": name, "namespace": "shop", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {**asked, **spec}}


def volume(name: str, zone: str) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}
    spec = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "gp3",
        "csi": {"driver": EBS, "volumeHandle": f"vol-of-{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def user(name: str, of: str, **spec: Any) -> dict[str, Any]:
    return pod(name, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": of}}], **spec)


def verdicts(case: Case, *objects: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return by pod the outcome, and the zone of the launch."""
    case.cluster(*yaml.safe_load_all(STORAGE), *objects)
    case.asgs(asg("spot-a"))
    decided = case.decide()
    zones = {name: str(each["zone"]) for each in decided["launches"] for name in each["pods"]}
    return {
        name.removeprefix("shop/"): (each["outcome"], zones.get(name, "")) for name, each in decided["verdicts"].items()
    }


def test_volumes_say_where_their_pods_may_be(case: Case) -> None:
    objects = [
        *(claim("at-b", volumeName="pv-b"), volume("pv-b", "eu-west-3b"), user("follows", "at-b")),
        *(claim("lost", volumeName="pv-gone"), user("lost", "lost")),
        *(claim("small", "lvm", "15Gi"), user("room", "small")),
        *(claim("large", "lvm", "50Gi"), user("no-room", "large")),
        user("vain", "nothing"),
    ]
    assert verdicts(case, *objects) == {
        "follows": ("launch", "eu-west-3b"),
        "room": ("launch", "eu-west-3c"),
        "lost": ("unschedulable", ""),
        "no-room": ("unschedulable", ""),
        "vain": ("unschedulable", ""),
    }


def test_a_node_attaches_a_shared_volume_once(case: Case) -> None:
    objects = [claim("shared", volumeName="pv-a"), volume("pv-a", "eu-west-3a"), claim("other")]
    users = [user("one", "shared"), user("two", "shared"), user("three", "other")]
    assert verdicts(case, *objects, *users) == {
        "one": ("fits-existing", ""),
        "two": ("fits-existing", ""),
        "three": ("launch", "eu-west-3a"),
    }
