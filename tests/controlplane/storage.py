"""Volumes in random worlds: claims of every kind, drivers with limits, and who makes volumes when asked.

Classes and drivers are the same for all worlds; claims, volumes, limits and
capacities are made anew for each. Claims have the same names everywhere, so
that a pod can wish for one; some are left out, for pods that wish in vain.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.controlplane.client import Client, Json, Refused
from tests.controlplane.cluster import HOSTNAME_LABEL, NAMESPACE, OURS, ZONE_LABEL

EBS = "ebs.csi.aws.com"
TRACKED, UNTRACKED = "tracked.example.com", "untracked.example.com"  # the first wants its free capacity heeded
IN_TREE = "kubernetes.io/aws-ebs"
CLAIMS = tuple(f"claim-{number}" for number in range(5))
SELECTED = "volume.kubernetes.io/selected-node"
_STORAGE = "/apis/storage.k8s.io/v1"
PATHS = {
    "StorageClass": f"{_STORAGE}/storageclasses",
    "CSIDriver": f"{_STORAGE}/csidrivers",
    "CSINode": f"{_STORAGE}/csinodes",
    "CSIStorageCapacity": f"{_STORAGE}/namespaces/{NAMESPACE}/csistoragecapacities",
    "VolumeAttachment": f"{_STORAGE}/volumeattachments",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims",
}
READ = tuple(PATHS.values())  # what the product reads of it
OF_A_WORLD = ("PersistentVolumeClaim", "PersistentVolume", "CSINode", "CSIStorageCapacity", "VolumeAttachment")
PROVISIONERS = {
    "anywhere": EBS,
    "zonal": EBS,
    "immediate": EBS,
    "legacy": IN_TREE,
    "local": "kubernetes.io/no-provisioner",
    "tracked": TRACKED,
    "tracked-zonal": TRACKED,
    "untracked": UNTRACKED,
}
Chance = random.Random


def classes() -> Iterator[Json]:
    """The classes and drivers of every world."""
    zones = [{"key": ZONE_LABEL, "values": ["eu-west-3a", "eu-west-3b"]}]
    for name, provisioner in PROVISIONERS.items():
        more = {"allowedTopologies": [{"matchLabelExpressions": zones}]} if "zonal" in name else {}
        mode = "Immediate" if name == "immediate" else "WaitForFirstConsumer"
        yield _object("StorageClass", name, provisioner=provisioner, volumeBindingMode=mode, **more)
    for driver in (EBS, TRACKED, UNTRACKED):
        yield _object("CSIDriver", driver, spec={"attachRequired": True, "storageCapacity": driver == TRACKED})


def mounts(chance: Chance) -> list[Json]:
    """The volumes of a pod: one claim or two, and sometimes one of them twice."""
    names = chance.sample(CLAIMS, chance.choice((1, 1, 1, 2)))
    found = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    if chance.random() < 0.1:
        found.append({"name": "again", "persistentVolumeClaim": {"claimName": names[0]}})
    return found


def build(chance: Chance, zones: Sequence[str], nodes: Sequence[str]) -> list[Json]:
    """The storage of one world."""
    found: list[Json] = []
    for claim in CLAIMS:
        found += _claim(chance, claim, zones)
    bound = [each["metadata"]["name"] for each in found if each["kind"] == "PersistentVolume"]
    found += [_free(chance, f"free-{number}", zones, nodes) for number in range(chance.randint(0, 3))]
    for kind in ("tracked", "tracked-zonal", "untracked"):
        for zone in chance.sample(zones, chance.randint(0, len(zones))):
            found.append(_room(chance, f"room-{kind}-{zone}", kind, zone))
    found += [_csi_node(chance, node) for node in nodes if chance.random() < 0.7]
    if bound and chance.random() < 0.3:
        source = {"persistentVolumeName": chance.choice(bound)}
        spec = {"attacher": EBS, "nodeName": chance.choice(nodes), "source": source}
        found.append(_object("VolumeAttachment", "left-behind", spec=spec))
    return found


def _room(chance: Chance, name: str, kind: str, zone: str) -> Json:
    """What a driver says of its capacity in a zone; sometimes how large a volume may be, and sometimes nothing."""
    room: Json = {"storageClassName": kind, "nodeTopology": {"matchLabels": {ZONE_LABEL: zone}}}
    if chance.random() < 0.8:
        room["capacity"] = chance.choice(("2Gi", "20Gi"))
    if chance.random() < 0.3:
        room["maximumVolumeSize"] = chance.choice(("2Gi", "20Gi"))
    if chance.random() < 0.1:
        del room["nodeTopology"]
    return _object("CSIStorageCapacity", name, **room)


def _csi_node(chance: Chance, node: str) -> Json:
    drivers = []
    for driver in (EBS, TRACKED):
        if chance.random() < 0.8:
            limit = {"allocatable": {"count": chance.choice((1, 1, 2, 3))}} if chance.random() < 0.8 else {}
            drivers.append({"name": driver, "nodeID": node, "topologyKeys": [ZONE_LABEL], **limit})
    found = _object("CSINode", node, spec={"drivers": drivers})
    if chance.random() < 0.5:
        found["metadata"]["annotations"] = {"storage.alpha.kubernetes.io/migrated-plugins": IN_TREE}
    return found


def _free(chance: Chance, name: str, zones: Sequence[str], nodes: Sequence[str]) -> Json:
    """A volume without a claim, on one node or in one zone."""
    where = (HOSTNAME_LABEL, chance.choice(nodes)) if chance.random() < 0.7 else (ZONE_LABEL, chance.choice(zones))
    kind = chance.choice(("local", "local", "anywhere"))
    found = _volume(name, kind, size=chance.choice(("1Gi", "10Gi")), where=where)
    if chance.random() < 0.5:
        found["metadata"]["labels"]["speed"] = chance.choice(("fast", "slow"))
    if chance.random() < 0.15:
        found["spec"]["volumeMode"] = "Block"
    if chance.random() < 0.3:
        found["spec"]["accessModes"] = chance.choice((["ReadWriteOnce", "ReadOnlyMany"], ["ReadWriteOncePod"]))
    return found


def _claim(chance: Chance, name: str, zones: Sequence[str]) -> Iterator[Json]:
    """A claim of some kind, with its volume where it is bound."""
    shape = chance.random()
    mode = "ReadWriteOncePod" if chance.random() < 0.15 else "ReadWriteOnce"
    if shape < 0.08:
        return
    if shape < 0.5:
        volume = _bound(chance, f"volume-of-{name}", zones)
        volume["spec"]["claimRef"] = {"namespace": NAMESPACE, "name": name}
        volume["spec"]["accessModes"] = [mode]
        yield volume
        yield _claiming(name, "anywhere", "1Gi", mode, volumeName=f"volume-of-{name}")
        return
    kind = chance.choice((*PROVISIONERS, "local", "local"))
    more: Json = {"selector": {"matchLabels": {"speed": "fast"}}} if kind == "local" and chance.random() < 0.3 else {}
    yield _claiming(name, kind, chance.choice(("1Gi", "5Gi")), mode, **more)


def _bound(chance: Chance, name: str, zones: Sequence[str]) -> Json:
    """A volume that has its claim: of the driver or of the plugin before it, with the labels of old or without."""
    where = (ZONE_LABEL, chance.choice(zones)) if chance.random() < 0.8 else None
    volume = _volume(name, "anywhere", where=where)
    labels = volume["metadata"]["labels"]
    if chance.random() < 0.3:  # as volumes were labelled before they had node affinity
        del volume["spec"]["nodeAffinity"]
        key = chance.choice((ZONE_LABEL, ZONE_LABEL, "failure-domain.beta.kubernetes.io/zone"))
        labels[key] = "__".join(chance.sample(zones, chance.choice((1, 2))))
    if chance.random() < 0.1:
        labels["topology.kubernetes.io/region"] = chance.choice(("eu-west-3", "us-east-1"))
    if chance.random() < 0.3:
        del volume["spec"]["csi"]
        handle = name.replace("volume", "vol", 1)
        volume["spec"]["awsElasticBlockStore"] = {"volumeID": f"aws://{chance.choice(zones)}/{handle}"}
    return volume


def _claiming(name: str, kind: str, size: str, mode: str, **more: object) -> Json:
    spec = {"storageClassName": kind, "accessModes": [mode], "resources": {"requests": {"storage": size}}, **more}
    return _object("PersistentVolumeClaim", name, spec=spec)


def _volume(name: str, kind: str, *, size: str = "10Gi", where: tuple[str, str] | None, driver: str = EBS) -> Json:
    is_local = kind == "local"
    source: Json = {"local": {"path": "/data"}} if is_local else {"csi": {"driver": driver, "volumeHandle": name}}
    spec: Json = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": kind,
        **source,
    }
    terms = [{"matchExpressions": [{"key": where[0], "operator": "In", "values": [where[1]]}]}] if where else []
    spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}} if terms else None
    return _object("PersistentVolume", name, spec=spec)


def _object(kind: str, name: str, **body: object) -> Json:
    return {"kind": kind, "metadata": {"name": name, "labels": {OURS: "true"}}, **body}


class Storage:
    """The storage of a cluster under test; `provision` does an external provisioner's work."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(self, objects: Sequence[Json]) -> None:
        """Create objects; claims last, as one that names a volume which is not there is lost for a while."""
        for are_claims in (False, True):
            now = [each for each in objects if (each["kind"] == "PersistentVolumeClaim") == are_claims]
            made = self._client.at_once(lambda each: self._client.create(PATHS[each["kind"]], each), now)
            self._client.at_once(self._bind, [each for each in made if are_claims and "volumeName" in each["spec"]])

    def _bind(self, claim: Json) -> None:
        """Do what the binding controller would do in a second or two."""
        meta, volume = claim["metadata"], f"{PATHS['PersistentVolume']}/{claim['spec']['volumeName']}"
        own = f"{PATHS['PersistentVolumeClaim']}/{meta['name']}"
        bound = {"status": {"phase": "Bound"}}
        self._client.patch(volume, {"spec": {"claimRef": {"uid": meta["uid"]}}})
        self._client.patch(f"{volume}/status", bound)
        self._client.patch(own, {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}})
        self._client.patch(f"{own}/status", bound)

    def is_settled(self) -> bool:
        """The binding controller has seen every volume, and every claim that names one."""
        volumes = self._client.items(PATHS["PersistentVolume"], labelSelector=OURS)
        claims = self._client.items(PATHS["PersistentVolumeClaim"])
        bound = (each for each in claims if "volumeName" in each["spec"])
        return all(each["status"].get("phase") in ("Available", "Bound") for each in volumes) and all(
            each["status"].get("phase") == "Bound" for each in bound
        )

    def provision(self) -> None:
        """Make a volume for each claim for which the scheduler has chosen a node."""
        for claim in self._client.items(PATHS["PersistentVolumeClaim"]):
            node = claim["metadata"].get("annotations", {}).get(SELECTED)
            if node is not None and "volumeName" not in claim["spec"]:
                self._provide(claim, node)

    def _provide(self, claim: Json, node: str) -> None:
        meta, spec = claim["metadata"], claim["spec"]
        zone = self._client.get(f"/api/v1/nodes/{node}")["metadata"]["labels"].get(ZONE_LABEL)
        where = (ZONE_LABEL, zone) if zone else None
        kind = spec["storageClassName"]
        driver = EBS if PROVISIONERS[kind] == IN_TREE else PROVISIONERS[kind]
        volume = _volume(f"made-for-{meta['uid']}", kind, where=where, driver=driver)
        volume["spec"]["accessModes"] = spec["accessModes"]
        volume["spec"]["claimRef"] = {"namespace": NAMESPACE, "name": meta["name"], "uid": meta["uid"]}
        try:
            self._client.create(PATHS["PersistentVolume"], volume)
        except Refused as error:
            if error.status != 409:  # made before, and not bound yet
                raise

    def sweep(self, kinds: Sequence[str] = OF_A_WORLD) -> None:
        """Delete what is ours of these kinds."""
        self._client.at_once(lambda kind: self._client.delete(PATHS[kind], labelSelector=OURS), kinds)
