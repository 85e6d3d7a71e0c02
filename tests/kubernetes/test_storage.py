"""What objects of storage mean, from YAML as kubectl prints it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from autoscaler.core.podspec import LabelSelector, NodeTerm, Requirement
from autoscaler.core.storage import Capacity, ClaimKey, Storage, StorageClass
from autoscaler.kubernetes.convert import MalformedObjectError
from autoscaler.kubernetes.offline import read_objects

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  namespace: shop
  annotations: {pv.kubernetes.io/bind-completed: "yes", volume.kubernetes.io/selected-node: n-1}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 10Gi}}
  storageClassName: ebs
  volumeName: pv-1
"""
VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-1, labels: {topology.kubernetes.io/zone: eu-west-3a}}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ebs
  claimRef: {namespace: shop, name: data}
  csi: {driver: ebs.csi.aws.com, volumeHandle: vol-1}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: topology.ebs.csi.aws.com/zone, operator: In, values: [eu-west-3a]}]
status: {phase: Bound}
"""
OTHERS = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: ebs}
provisioner: ebs.csi.aws.com
volumeBindingMode: WaitForFirstConsumer
allowedTopologies:
- matchLabelExpressions: [{key: topology.kubernetes.io/zone, values: [eu-west-3a, eu-west-3b]}]
---
apiVersion: storage.k8s.io/v1
kind: CSINode
metadata: {name: n-1}
spec: {drivers: [{name: ebs.csi.aws.com, nodeID: i-1, allocatable: {count: 25}}, {name: efs.csi.aws.com, nodeID: i-1}]}
---
apiVersion: storage.k8s.io/v1
kind: CSIStorageCapacity
metadata: {name: c, namespace: kube-system}
storageClassName: ebs
capacity: 100Gi
maximumVolumeSize: 20Gi
nodeTopology: {matchLabels: {zone: a}}
"""


def read(*texts: str) -> Storage:
    return read_objects([document for text in texts for document in yaml.safe_load_all(text)], "cluster.yaml").storage


def changed(text: str, **spec: Any) -> str:
    document = yaml.safe_load(text)
    document["spec"].update(spec)
    return yaml.safe_dump(document)


def test_a_claim_names_its_volume_and_what_it_asks() -> None:
    claim = read(CLAIM).claims[ClaimKey("shop", "data")]
    assert (claim.volume, claim.is_bound, claim.size, claim.access_modes) == (
        "pv-1",
        True,
        10 * 2**30,
        ("ReadWriteOnce",),
    )
    assert (claim.storage_class, claim.selected_node, claim.is_lost) == ("ebs", "n-1", False)


def test_a_volume_name_alone_binds_nothing() -> None:
    text = CLAIM.replace("pv.kubernetes.io/bind-completed", "example.com/other")
    assert not read(text).claims[ClaimKey("shop", "data")].is_bound
    assert read(text + "status: {phase: Bound}").claims[ClaimKey("shop", "data")].is_bound


def test_the_claim_of_an_ephemeral_volume_names_its_pod() -> None:
    document = yaml.safe_load(CLAIM)
    document["metadata"]["ownerReferences"] = [{"kind": "Pod", "name": "web-0", "uid": "u-1", "controller": True}]
    assert read(yaml.safe_dump(document)).claims[ClaimKey("shop", "data")].owner == "u-1"


def test_a_volume_tells_where_it_can_be_reached() -> None:
    volume = read(VOLUME).volumes["pv-1"]
    assert volume.terms == (NodeTerm((Requirement("topology.ebs.csi.aws.com/zone", "In", ("eu-west-3a",)),)),)
    assert (volume.driver, volume.handle, volume.claim) == ("ebs.csi.aws.com", "vol-1", ClaimKey("shop", "data"))
    assert volume.labels == {"topology.kubernetes.io/zone": "eu-west-3a"}
    assert not volume.is_available


def test_an_in_tree_disk_is_attached_by_the_driver_that_took_over() -> None:
    text = changed(VOLUME, csi=None, awsElasticBlockStore={"volumeID": "vol-2"})
    volume = read(text).volumes["pv-1"]
    assert (volume.driver, volume.handle) == ("ebs.csi.aws.com", "vol-2")


def test_classes_limits_and_capacities() -> None:
    storage = read(OTHERS)
    zones = Requirement("topology.kubernetes.io/zone", "In", ("eu-west-3a", "eu-west-3b"))
    found = StorageClass(name="ebs", provisioner="ebs.csi.aws.com", waits=True, topologies=((zones,),))
    assert storage.classes == {"ebs": found}
    assert {name: dict(one.limits) for name, one in storage.limits.items()} == {"n-1": {"ebs.csi.aws.com": 25}}
    nodes = LabelSelector((Requirement("zone", "In", ("a",)),))
    assert storage.capacities == (
        Capacity(namespace="kube-system", name="c", storage_class="ebs", nodes=nodes, largest=20 * 2**30),
    )


@pytest.mark.parametrize("text", [CLAIM, VOLUME.replace("claimRef", "ref")])
def test_a_size_that_is_none_is_told_with_file_and_object(text: str) -> None:
    with pytest.raises(MalformedObjectError, match=r"cluster\.yaml: Persistent.*(data|pv-1).*10Xi"):
        read(text.replace("10Gi", "10Xi"))
