"""The kinds that the emulator serves: one row each; discovery, paths and storage follow from it.

Two rows may share a storage (events live in two API groups). Which fields a
field selector may name beyond metadata stands here too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource as the API serves it."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    subresources: tuple[str, ...] = ()  # "status", "scale"
    counts_generation: bool = False  # metadata.generation follows spec
    fields: tuple[str, ...] = ()  # for field selectors
    shares: str = ""  # the storage of another row
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`deployments.apps`, as messages and storage name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage(self) -> str:
        return self.shares or self.resource

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


_STATUS = ("status",)
_SCALE = ("status", "scale")
_ALL = ("all",)
_INVOLVED = tuple(
    f"involvedObject.{name}"
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)
_EVENT = (*_INVOLVED, "reason", "reportingComponent", "source", "type")
_POD = (
    "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
    "status.phase", "status.podIP", "status.nominatedNodeName",
)  # fmt: skip
_STORAGE = "storage.k8s.io"

KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "pods", "Pod", ("po",), True, _STATUS, False, _POD, "", _ALL),
    Kind("", "v1", "nodes", "Node", ("no",), False, _STATUS, False, ("spec.unschedulable",)),
    Kind("", "v1", "namespaces", "Namespace", ("ns",), False, _STATUS, False, ("status.phase",)),
    Kind("", "v1", "configmaps", "ConfigMap", ("cm",)),
    Kind("", "v1", "secrets", "Secret", fields=("type",)),
    Kind("", "v1", "services", "Service", ("svc",), True, _STATUS, categories=_ALL),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", ("sa",)),
    Kind("", "v1", "events", "Event", ("ev",), fields=_EVENT),
    Kind("", "v1", "endpoints", "Endpoints", ("ep",)),
    Kind("", "v1", "replicationcontrollers", "ReplicationController", ("rc",), True, _SCALE, True, categories=_ALL),
    Kind("", "v1", "persistentvolumes", "PersistentVolume", ("pv",), False, _STATUS),
    Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("pvc",), True, _STATUS),
    Kind("", "v1", "podtemplates", "PodTemplate", counts_generation=True),
    Kind("", "v1", "resourcequotas", "ResourceQuota", ("quota",), True, _STATUS),
    Kind("", "v1", "limitranges", "LimitRange", ("limits",)),
    Kind("apps", "v1", "daemonsets", "DaemonSet", ("ds",), True, _STATUS, True, categories=_ALL),
    Kind("apps", "v1", "deployments", "Deployment", ("deploy",), True, _SCALE, True, categories=_ALL),
    Kind("apps", "v1", "replicasets", "ReplicaSet", ("rs",), True, _SCALE, True, categories=_ALL),
    Kind("apps", "v1", "statefulsets", "StatefulSet", ("sts",), True, _SCALE, True, categories=_ALL),
    Kind("batch", "v1", "jobs", "Job", (), True, _STATUS, True, categories=_ALL),
    Kind("batch", "v1", "cronjobs", "CronJob", ("cj",), True, _STATUS, True, categories=_ALL),
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ("pdb",), True, _STATUS, True),
    Kind("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", ("pc",), False, counts_generation=True),
    Kind("coordination.k8s.io", "v1", "leases", "Lease"),
    Kind("events.k8s.io", "v1", "events", "Event", ("ev",), fields=_EVENT, shares="events"),
    Kind(_STORAGE, "v1", "storageclasses", "StorageClass", ("sc",), False),
    Kind(_STORAGE, "v1", "csinodes", "CSINode", (), False),
    Kind(_STORAGE, "v1", "csidrivers", "CSIDriver", (), False),
    Kind(_STORAGE, "v1", "csistoragecapacities", "CSIStorageCapacity"),
    Kind(_STORAGE, "v1", "volumeattachments", "VolumeAttachment", (), False, _STATUS),
)

BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
BY_NAME = {(kind.api_version, kind.kind): kind for kind in KINDS}
BY_STORAGE = {kind.storage: kind for kind in reversed(KINDS)}  # the first row of a storage wins


def named(plural: str) -> Kind:
    """The row of `pods`, `deployments.apps` or `deployments`. Raises KeyError."""
    if plural in BY_STORAGE:
        return BY_STORAGE[plural]
    for kind in KINDS:
        if plural in (kind.plural, kind.kind, *kind.short):
            return kind
    raise KeyError(plural)


PODS = named("pods")
NODES = named("nodes")
NAMESPACES = named("namespaces")
EVENTS = named("events")
BUDGETS = named("poddisruptionbudgets")
PRIORITY_CLASSES = named("priorityclasses")
DEPLOYMENTS = named("deployments")
REPLICA_SETS = named("replicasets")
STATEFUL_SETS = named("statefulsets")
DAEMON_SETS = named("daemonsets")
CONTROLLERS = named("replicationcontrollers")
JOBS = named("jobs")
