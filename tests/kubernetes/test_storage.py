"""What objects of storage mean, from YAML as kubectl prints it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from autoscaler.core.model import ZONE_LABEL, NodeName
from autoscaler.core.podspec import LabelSelector, NodeTerm, Requirement
from autoscaler.core.storage import Attachment, Capacity, ClaimKey, Driver, Storage, StorageClass
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

DRIVERS = """
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: ebs.csi.aws.com}
spec: {attachRequired: true}
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: lvm.example.com}
spec: {attachRequired: false, storageCapacity: true}
---
apiVersion: storage.k8s.io/v1
kind: VolumeAttachment
metadata: {name: csi-1}
spec: {attacher: ebs.csi.aws.com, nodeName: n-1, source: {persistentVolumeName: pv-1}}
"""
EBS_ZONE = "topology.ebs.csi.aws.com/zone"
BETA_ZONE = "failure-domain.beta.kubernetes.io/zone"


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


@pytest.mark.parametrize(
    ("source", "driver", "handle"),
    [
        ({"awsElasticBlockStore": {"volumeID": "aws://eu-west-3a/vol-2"}}, "ebs.csi.aws.com", "vol-2"),
        ({"awsElasticBlockStore": {"volumeID": "aws:///vol-2"}}, "ebs.csi.aws.com", "vol-2"),
        ({"awsElasticBlockStore": {"volumeID": "aws://eu-west-3a/disk-2"}}, "", ""),
        (
            {"gcePersistentDisk": {"pdName": "pd"}},
            "pd.csi.storage.gke.io",
            "projects/UNSPECIFIED/zones/eu-west-3a/disks/pd",
        ),
        ({"azureDisk": {"diskName": "d", "diskURI": "/disks/d"}}, "disk.csi.azure.com", "/disks/d"),
        ({"cinder": {"volumeID": "c-1"}}, "cinder.csi.openstack.org", "c-1"),
        ({"portworxVolume": {"volumeID": "p-1"}}, "pxd.portworx.com", "p-1"),
        ({"vsphereVolume": {"volumePath": "[ds] v"}}, "", ""),
        ({"hostPath": {"path": "/data"}}, "", ""),
    ],
)
def test_which_driver_took_over_a_disk_and_what_it_calls_it(source: dict[str, Any], driver: str, handle: str) -> None:
    volume = read(changed(VOLUME, csi=None, **source)).volumes["pv-1"]
    assert (volume.driver, volume.handle) == (driver, handle)


def zone_term(key: str, *zones: str) -> NodeTerm:
    return NodeTerm((Requirement(key, "In", zones),))


@pytest.mark.parametrize(
    ("labels", "affinity", "migrated"),
    [
        ({}, ZONE_LABEL, (zone_term(EBS_ZONE, "eu-west-3a"),)),
        ({ZONE_LABEL: "eu-west-3b"}, BETA_ZONE, (zone_term(EBS_ZONE, "eu-west-3a"),)),
        ({BETA_ZONE: "eu-west-3b__eu-west-3c"}, None, (zone_term(EBS_ZONE, "eu-west-3b", "eu-west-3c"),)),
        ({ZONE_LABEL: "eu-west-3b"}, EBS_ZONE, (NodeTerm((
            Requirement(EBS_ZONE, "In", ("eu-west-3a",)), Requirement(EBS_ZONE, "In", ("eu-west-3b",)),
        )),)),
        ({}, None, None),
    ],
    ids=["affinity", "before the label", "label", "both", "none"],
)  # fmt: skip
def test_where_a_disk_is_in_the_words_of_its_driver(
    labels: dict[str, str], affinity: str | None, migrated: tuple[NodeTerm, ...] | None
) -> None:
    document = yaml.safe_load(VOLUME)
    document["metadata"]["labels"] = labels
    term = {"matchExpressions": [{"key": affinity, "operator": "In", "values": ["eu-west-3a"]}]}
    document["spec"] |= {
        "csi": None,
        "awsElasticBlockStore": {"volumeID": "vol-2"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}} if affinity else None,
    }
    volume = read(yaml.safe_dump(document)).volumes["pv-1"]
    assert (volume.plugin, volume.migrated_terms) == ("kubernetes.io/aws-ebs", migrated)
    assert volume.terms == ((zone_term(affinity, "eu-west-3a"),) if affinity else None)


def test_the_plugins_that_a_node_has_migrated() -> None:
    text = """
apiVersion: storage.k8s.io/v1
kind: CSINode
metadata:
  name: n-1
  annotations: {storage.alpha.kubernetes.io/migrated-plugins: "kubernetes.io/aws-ebs,kubernetes.io/gce-pd"}
spec: {drivers: null}
"""
    found = read(text).limits[NodeName("n-1")]
    assert (dict(found.limits), found.migrated) == ({}, {"kubernetes.io/aws-ebs", "kubernetes.io/gce-pd"})


def test_what_else_decides_whether_a_volume_serves_a_claim() -> None:
    more = {"volumeMode": "Block", "volumeAttributesClassName": "gold"}
    storage = read(changed(CLAIM, **more), changed(VOLUME, **more, claimRef={"name": "data", "uid": "u-1"}))
    claim, volume = storage.claims[ClaimKey("shop", "data")], storage.volumes["pv-1"]
    assert (claim.mode, claim.attributes_class) == (volume.mode, volume.attributes_class) == ("Block", "gold")
    assert (volume.claim, volume.claim_uid) == (ClaimKey("default", "data"), "u-1")
    assert (read(CLAIM).claims[ClaimKey("shop", "data")].mode, read(VOLUME).volumes["pv-1"].mode) == (
        "Filesystem",
        "Filesystem",
    )


@pytest.mark.parametrize("text", [CLAIM, VOLUME])
def test_the_old_annotation_for_the_class_comes_first_even_if_it_is_empty(text: str) -> None:
    document = yaml.safe_load(text)
    document["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": ""}
    storage = read(yaml.safe_dump(document))
    assert [one.storage_class for one in (*storage.claims.values(), *storage.volumes.values())] == [""]


def test_drivers_and_attachments() -> None:
    storage = read(DRIVERS)
    assert storage.drivers == {
        "ebs.csi.aws.com": Driver(name="ebs.csi.aws.com", tells_capacity=False),
        "lvm.example.com": Driver(name="lvm.example.com", tells_capacity=True),
    }
    assert storage.attachments == (
        Attachment(name="csi-1", node=NodeName("n-1"), driver="ebs.csi.aws.com", volume="pv-1"),
    )


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
