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

EBS, TRACKED = "ebs.csi.aws.com", "tracked.example.com"  # the second tells its free capacity
CLAIMS = tuple(f"claim-{number}" for number in range(5))
SELECTED = "volume.kubernetes.io/selected-node"
_STORAGE = "/apis/storage.k8s.io/v1"
PATHS = {
    "StorageClass": f"{_STORAGE}/storageclasses",
    "CSIDriver": f"{_STORAGE}/csidrivers",
    "CSINode": f"{_STORAGE}/csinodes",
    "CSIStorageCapacity": f"{_STORAGE}/namespaces/{NAMESPACE}/csistoragecapacities",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims",
}
READ = tuple(PATHS[kind] for kind in PATHS if kind != "CSIDriver")  # what the product reads of it
OF_A_WORLD = ("PersistentVolumeClaim", "PersistentVolume", "CSINode", "CSIStorageCapacity")
Chance = random.Random


def classes() -> Iterator[Json]:
    """The classes and drivers of every world."""
    zones = [{"key": ZONE_LABEL, "values": ["eu-west-3a", "eu-west-3b"]}]
    for name, provisioner, waits, more in (
        ("anywhere", EBS, True, {}),
        ("zonal", EBS, True, {"allowedTopologies": [{"matchLabelExpressions": zones}]}),
        ("immediate", EBS, False, {}),
        ("local", "kubernetes.io/no-provisioner", True, {}),
        ("tracked", TRACKED, True, {}),
    ):
        mode = "WaitForFirstConsumer" if waits else "Immediate"
        yield _object("StorageClass", name, provisioner=provisioner, volumeBindingMode=mode, **more)
    for driver in (EBS, TRACKED):
        yield _object("CSIDriver", driver, spec={"attachRequired": True, "storageCapacity": driver == TRACKED})


def build(chance: Chance, zones: Sequence[str], nodes: Sequence[str]) -> list[Json]:
    """The storage of one world."""
    found: list[Json] = []
    for claim in CLAIMS:
        found += _claim(chance, claim, zones)
    for number in range(chance.randint(0, 2)):
        where = (HOSTNAME_LABEL, chance.choice(nodes)) if chance.random() < 0.7 else (ZONE_LABEL, chance.choice(zones))
        found.append(_volume(f"free-{number}", "local", size=chance.choice(("1Gi", "10Gi")), where=where, local=True))
    for number, zone in enumerate(chance.sample(zones, chance.randint(1, len(zones)))):
        selector = {"matchLabels": {ZONE_LABEL: zone}}
        room = {"capacity": chance.choice(("2Gi", "20Gi")), "storageClassName": "tracked", "nodeTopology": selector}
        found.append(_object("CSIStorageCapacity", f"room-{number}", **room))
    for node in nodes:
        if chance.random() < 0.6:
            limit = {"allocatable": {"count": chance.choice((1, 2, 3))}} if chance.random() < 0.8 else {}
            driver = {"name": EBS, "nodeID": node, "topologyKeys": [ZONE_LABEL], **limit}
            found.append(_object("CSINode", node, spec={"drivers": [driver]}))
    return found


def _claim(chance: Chance, name: str, zones: Sequence[str]) -> Iterator[Json]:
    """A claim of some kind, with its volume where it is bound."""
    shape = chance.random()
    mode = "ReadWriteOncePod" if chance.random() < 0.15 else "ReadWriteOnce"
    if shape < 0.1:
        return
    if shape < 0.6:
        where = (ZONE_LABEL, chance.choice(zones)) if chance.random() < 0.8 else None
        volume = _volume(f"volume-of-{name}", "anywhere", where=where)
        if chance.random() < 0.3:  # as volumes were labelled before they had node affinity
            del volume["spec"]["nodeAffinity"]
            volume["metadata"]["labels"][ZONE_LABEL] = "__".join(chance.sample(zones, chance.choice((1, 2))))
        volume["spec"]["claimRef"] = {"namespace": NAMESPACE, "name": name}
        volume["spec"]["accessModes"] = [mode]
        yield volume
        yield _claiming(name, "anywhere", "1Gi", mode, volumeName=f"volume-of-{name}")
        return
    kind = chance.choice(("anywhere", "zonal", "immediate", "local", "tracked"))
    yield _claiming(name, kind, chance.choice(("1Gi", "5Gi")), mode)


def _claiming(name: str, kind: str, size: str, mode: str, **more: object) -> Json:
    spec = {"storageClassName": kind, "accessModes": [mode], "resources": {"requests": {"storage": size}}, **more}
    return _object("PersistentVolumeClaim", name, spec=spec)


def _volume(name: str, kind: str, *, size: str = "10Gi", where: tuple[str, str] | None, local: bool = False) -> Json:
    source: Json = {"local": {"path": "/data"}} if local else {"csi": {"driver": EBS, "volumeHandle": name}}
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
        volume = _volume(f"made-for-{meta['uid']}", spec["storageClassName"], where=where)
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
