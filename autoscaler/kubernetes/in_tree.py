"""In-tree disks: volumes of plugins whose work a CSI driver has taken over.

What the driver is, what it calls the disk, and which node affinity the volume
has in the driver's words. Those words count where the node's CSINode names the
plugin as migrated; attach limits count everywhere.
Source: k8s.io/csi-translation-lib, and isCSIMigrationOn in
kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits/utils.go
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from autoscaler.core.model import REGION_LABEL, ZONE_LABEL, Labels
from autoscaler.core.podspec import NodeTerm, Requirement
from autoscaler.core.storage import MIGRATED_DRIVERS

_BETA_ZONE, _BETA_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
_UNKNOWN = "UNSPECIFIED"
Terms = tuple[NodeTerm, ...] | None


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    pass


class WireEbs(_Wire):
    volume_id: str | None = msgspec.field(default=None, name="volumeID")


class WireGcePd(_Wire):
    pd_name: str | None = None


class WireAzureDisk(_Wire):
    disk_uri: str | None = msgspec.field(default=None, name="diskURI")


class WireSources(_Wire):
    """The in-tree sources of a PersistentVolume that CSI drivers serve; Cinder and Portworx name theirs as EBS does."""

    aws_elastic_block_store: WireEbs | None = None
    gce_persistent_disk: WireGcePd | None = None
    azure_disk: WireAzureDisk | None = None
    cinder: WireEbs | None = None
    portworx_volume: WireEbs | None = None


@dataclass(frozen=True, slots=True)
class Plugin:
    """An in-tree plugin, and the label for zones of the driver that took over ("": it has none)."""

    name: str
    zone_key: str = ""

    @property
    def driver(self) -> str:
        return MIGRATED_DRIVERS[self.name]

    def migrate(self, terms: Terms, labels: Labels) -> Terms:
        """The node affinity of a volume in the driver's words: by its own zones, or else by those of its labels."""
        if not self.zone_key:
            return terms
        keys = {each.key for term in terms or () for each in term.expressions}
        zone = next((key for key in (ZONE_LABEL, _BETA_ZONE) if key in keys), None)
        label = zone or next((key for key in (ZONE_LABEL, _BETA_ZONE) if key in labels), ZONE_LABEL)
        if zone is not None:
            terms = _renamed(terms, zone, self.zone_key)
        elif label in labels:
            found = tuple(sorted({each.strip() for each in labels[label].split("__")} - {""}))
            if found:
                terms = _narrowed(terms, Requirement(self.zone_key, "In", found))
        return _renamed(terms, _BETA_REGION, REGION_LABEL) if label == _BETA_ZONE else terms


EBS = Plugin("kubernetes.io/aws-ebs", "topology.ebs.csi.aws.com/zone")
GCE_PD = Plugin("kubernetes.io/gce-pd", "topology.gke.io/zone")
AZURE_DISK = Plugin("kubernetes.io/azure-disk")
CINDER = Plugin("kubernetes.io/cinder", "topology.cinder.csi.openstack.org/zone")
PORTWORX = Plugin("kubernetes.io/portworx-volume")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk as its driver knows it; without a handle nobody counts it."""

    plugin: Plugin
    handle: str

    @property
    def driver(self) -> str:
        return self.plugin.driver if self.handle else ""


def disk_of(sources: WireSources, labels: Labels) -> Disk | None:
    """Find the in-tree disk of a volume, if it is one."""
    if sources.aws_elastic_block_store is not None:
        return Disk(EBS, ebs_handle(sources.aws_elastic_block_store.volume_id or ""))
    if sources.gce_persistent_disk is not None:
        zone = labels.get(_BETA_ZONE) or labels.get(ZONE_LABEL) or _UNKNOWN
        name = sources.gce_persistent_disk.pd_name or ""
        return Disk(GCE_PD, f"projects/{_UNKNOWN}/zones/{zone}/disks/{name}")
    if sources.azure_disk is not None:
        return Disk(AZURE_DISK, sources.azure_disk.disk_uri or "")
    if sources.cinder is not None:
        return Disk(CINDER, sources.cinder.volume_id or "")
    if sources.portworx_volume is not None:
        return Disk(PORTWORX, sources.portworx_volume.volume_id or "")
    return None


def ebs_handle(name: str) -> str:
    """The volume's id in `vol-1`, `aws:///vol-1` and `aws://zone/vol-1`; nothing where the last part is none."""
    if not name.startswith("aws://"):
        return name
    _, _, path = name.removeprefix("aws://").partition("/")
    path = path.strip("/")
    return path if path.startswith("vol-") and "/" not in path else ""


def _renamed(terms: Terms, key: str, new: str) -> Terms:
    if terms is None:
        return None
    return tuple(
        term._replace(
            expressions=tuple(each._replace(key=new) if each.key == key else each for each in term.expressions)
        )
        for term in terms
    )


def _narrowed(terms: Terms, requirement: Requirement) -> Terms:
    return tuple(term._replace(expressions=(*term.expressions, requirement)) for term in terms or (NodeTerm(),))
