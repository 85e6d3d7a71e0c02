"""What the API server adds to an object before it is stored, and what it refuses.

Pods get their priority from the PriorityClass, the two tolerations that every
pod has, and the usual defaults; a namespace must exist. ServiceAccounts are
not required. Objects put in raw or loaded in bulk do not come through here.
"""

from __future__ import annotations

from .objects import Json, containers, rows, section, text, whole
from .resources import BUDGETS, NAMESPACES, NODES, PODS, PRIORITY_CLASSES, Kind
from .status import ApiError, invalid, not_found
from .store import Store, timestamp

SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_EVICTING_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_TEMPLATED = {"deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"}


def admit(store: Store, kind: Kind, value: Json) -> None:
    """Complete an object that is about to be created, in place. Raises ApiError."""
    meta = section(value, "metadata")
    if not text(meta, "name") and not text(meta, "generateName"):
        raise invalid(kind.kind, "", "metadata.name", "Required value: name or generateName is required")
    namespace = text(meta, "namespace")
    if kind.namespaced and store.find(NAMESPACES, "", namespace) is None:
        raise not_found("namespaces", namespace)
    for name in ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(name, None)
    if kind.storage in _TEMPLATED:
        _workload(kind, value)
    elif kind == PODS:
        _pod(store, value)
    elif kind == NAMESPACES:
        value.setdefault("spec", {})["finalizers"] = ["kubernetes"]
        value["status"] = {"phase": "Active"}
    elif kind == NODES:
        value.setdefault("spec", {})
        section(value, "metadata").setdefault("labels", {}).setdefault("kubernetes.io/hostname", text(meta, "name"))
    elif kind == BUDGETS:
        value.pop("status", None)
    elif kind == PRIORITY_CLASSES:
        value.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _workload(kind: Kind, value: Json) -> None:
    spec = value.setdefault("spec", {})
    value.pop("status", None)
    if kind.plural in ("deployments", "replicasets", "statefulsets"):
        spec.setdefault("replicas", 1)
    template = section(spec, "template", "metadata", "labels")
    if kind.plural != "jobs" and not isinstance(spec.get("selector"), dict):
        raise invalid(kind.kind, text(value, "metadata", "name"), "spec.selector", "Required value")
    wanted = section(spec, "selector", "matchLabels")
    if any(template.get(key) != part for key, part in wanted.items()):
        why = "Invalid value: `selector` does not match template `labels`"
        raise invalid(kind.kind, text(value, "metadata", "name"), "spec.template.metadata.labels", why)


def _pod(store: Store, pod: Json) -> None:
    name = text(pod, "metadata", "name") or text(pod, "metadata", "generateName")
    spec = section(pod, "spec")
    if not rows(spec, "containers"):
        raise invalid("Pod", name, "spec.containers", "Required value")
    defaults = {
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default", "securityContext": {}, "schedulerName": "default-scheduler",
        "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority",
    }  # fmt: skip
    for field, default in defaults.items():
        spec.setdefault(field, default)
    for container in containers(spec):
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        resources = container.setdefault("resources", {})
        if section(resources, "limits"):
            resources["requests"] = section(resources, "limits") | section(resources, "requests")
    spec["priority"] = _priority(store, pod)
    _tolerate(spec)
    pod["status"] = {"phase": "Pending", "qosClass": quality(spec)}
    if rows(spec, "schedulingGates"):
        waits = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
        pod["status"]["conditions"] = [waits | {"lastTransitionTime": timestamp()}]


def _priority(store: Store, pod: Json) -> int:
    spec = section(pod, "spec")
    wanted = text(spec, "priorityClassName")
    if not wanted:
        for stored in store.items(PRIORITY_CLASSES):
            if stored.value.get("globalDefault") is True:
                spec["priorityClassName"] = stored.key[1]
                return whole(stored.value, "value")
        return 0
    found = store.find(PRIORITY_CLASSES, "", wanted)
    if found is None and wanted not in SYSTEM_PRIORITIES:
        message = f'pods "{text(pod, "metadata", "name")}" is forbidden: no PriorityClass with name {wanted} was found'
        raise ApiError(403, "Forbidden", message)
    if found is None:
        return SYSTEM_PRIORITIES[wanted]
    spec["preemptionPolicy"] = text(found.value, "preemptionPolicy") or "PreemptLowerPriority"
    return whole(found.value, "value")


def _tolerate(spec: Json) -> None:
    present = rows(spec, "tolerations")
    for key in _EVICTING_TAINTS:
        covers = [
            row for row in present
            if row.get("key", key) == key and row.get("effect", "NoExecute") == "NoExecute"
        ]  # fmt: skip
        if not covers:
            row = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            present = [*present, row]
    spec["tolerations"] = present


def quality(spec: Json) -> str:
    """The QoS class of a pod."""
    asked = [section(container, "resources") for container in containers(spec)]
    if not any(section(one, "requests") or section(one, "limits") for one in asked):
        return "BestEffort"
    for one in asked:
        limits, requests = section(one, "limits"), section(one, "requests")
        if not {"cpu", "memory"} <= limits.keys() or any(limits[name] != requests.get(name) for name in limits):
            return "Burstable"
    return "Guaranteed"
