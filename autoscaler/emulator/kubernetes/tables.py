"""The columns that `kubectl get` prints, one small function per kind.

A column with priority 1 shows only in wide output. Cells never fail: a
malformed object prints what can be read of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from autoscaler import clock

from .objects import Json, condition, is_terminating, labels, rows, section, text, whole
from .resources import Kind

Cells = Callable[[Json], list[Any]]


def age(stamp: str) -> str:
    """The time since an RFC 3339 stamp as kubectl writes it."""
    try:
        since = datetime.fromisoformat(stamp)
    except ValueError:
        return "<unknown>"
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    seconds = max(0, int((clock.now() - since).total_seconds()))
    for size, suffix in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size or (size > 60 and seconds >= size):
            return f"{seconds // size}{suffix}"
    return f"{seconds}s"


def _age(obj: Json) -> str:
    return age(text(obj, "metadata", "creationTimestamp"))


def _pod_status(pod: Json) -> str:
    if is_terminating(pod):
        return "Terminating"
    if condition(pod, "PodScheduled").get("reason") == "SchedulingGated":
        return "SchedulingGated"
    waiting = [text(row, "state", "waiting", "reason") for row in rows(pod, "status", "containerStatuses")]
    finished = {"Succeeded": "Completed", "Failed": "Error"}
    phase = text(pod, "status", "phase")
    return text(pod, "status", "reason") or next(filter(None, waiting), "") or finished.get(phase, phase) or "Unknown"


def _pod(pod: Json) -> list[Any]:
    statuses = rows(pod, "status", "containerStatuses")
    ready = sum(row.get("ready") is True for row in statuses)
    return [
        text(pod, "metadata", "name"), f"{ready}/{len(rows(pod, 'spec', 'containers'))}", _pod_status(pod),
        str(sum(whole(row, "restartCount") for row in statuses)), _age(pod),
        text(pod, "status", "podIP") or "<none>", text(pod, "spec", "nodeName") or "<none>",
        text(pod, "status", "nominatedNodeName") or "<none>", "<none>",
    ]  # fmt: skip


def _node(node: Json) -> list[Any]:
    ready = condition(node, "Ready").get("status")
    state = "Ready" if ready == "True" else "NotReady" if ready else "Unknown"
    if section(node, "spec").get("unschedulable") is True:
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = sorted(name.removeprefix(prefix) for name in labels(node) if name.startswith(prefix))
    address = {row.get("type"): row.get("address") for row in rows(node, "status", "addresses")}
    info = section(node, "status", "nodeInfo")
    return [
        text(node, "metadata", "name"), state, ",".join(roles) or "<none>", _age(node), text(info, "kubeletVersion"),
        address.get("InternalIP", "<none>"), address.get("ExternalIP", "<none>"), text(info, "osImage") or "<unknown>",
        text(info, "kernelVersion") or "<unknown>", text(info, "containerRuntimeVersion") or "<unknown>",
    ]  # fmt: skip


def _images(obj: Json) -> list[str]:
    made = rows(obj, "spec", "template", "spec", "containers")
    selector = ",".join(f"{key}={value}" for key, value in section(obj, "spec", "selector", "matchLabels").items())
    return [
        ",".join(text(row, "name") for row in made), ",".join(text(row, "image") for row in made),
        selector or "<none>",
    ]  # fmt: skip


def _deployment(obj: Json) -> list[Any]:
    status = section(obj, "status")
    return [
        text(obj, "metadata", "name"), f"{whole(status, 'readyReplicas')}/{whole(obj, 'spec', 'replicas')}",
        whole(status, "updatedReplicas"), whole(status, "availableReplicas"), _age(obj), *_images(obj),
    ]  # fmt: skip


def _replicas(obj: Json) -> list[Any]:
    status = section(obj, "status")
    counts = [whole(obj, "spec", "replicas"), whole(status, "replicas"), whole(status, "readyReplicas")]
    return [text(obj, "metadata", "name"), *counts, _age(obj), *_images(obj)]


def _stateful(obj: Json) -> list[Any]:
    ready = f"{whole(obj, 'status', 'readyReplicas')}/{whole(obj, 'spec', 'replicas')}"
    return [text(obj, "metadata", "name"), ready, _age(obj), *_images(obj)[:2]]


def _daemon(obj: Json) -> list[Any]:
    status = section(obj, "status")
    names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    counts = [whole(status, name) for name in (*names, "numberAvailable")]
    wanted = section(obj, "spec", "template", "spec", "nodeSelector")
    selector = ",".join(f"{key}={value}" for key, value in wanted.items()) or "<none>"
    return [text(obj, "metadata", "name"), *counts, selector, _age(obj), *_images(obj)]


def _event(obj: Json) -> list[Any]:
    about = section(obj, "involvedObject")
    seen = text(obj, "lastTimestamp") or text(obj, "eventTime") or text(obj, "metadata", "creationTimestamp")
    source = text(obj, "source", "component") or text(obj, "reportingComponent")
    return [
        age(seen), text(obj, "type"), text(obj, "reason"), f"{text(about, 'kind').lower()}/{text(about, 'name')}",
        text(about, "fieldPath"), source, text(obj, "message"), age(text(obj, "firstTimestamp") or seen),
        whole(obj, "count", default=1), text(obj, "metadata", "name"),
    ]  # fmt: skip


def _budget(obj: Json) -> list[Any]:
    spec = section(obj, "spec")
    bounds = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    return [text(obj, "metadata", "name"), *bounds, whole(obj, "status", "disruptionsAllowed"), _age(obj)]


def _named(*paths: tuple[str, ...]) -> Cells:
    def cells(obj: Json) -> list[Any]:
        values = [section(obj, *path[:-1]).get(path[-1]) for path in paths]
        return [text(obj, "metadata", "name"), *("" if one is None else one for one in values), _age(obj)]

    return cells


def _sizes(obj: Json) -> list[Any]:
    return [text(obj, "metadata", "name"), len(section(obj, "data")) + len(section(obj, "binaryData")), _age(obj)]


_WIDE = "Containers,1 Images,1 Selector,1"
_TABLES: dict[str, tuple[str, Cells]] = {
    "pods": ("Name Ready Status Restarts Age IP,1 Node,1 Nominated_Node,1 Readiness_Gates,1", _pod),
    "nodes": (
        "Name Status Roles Age Version Internal-IP,1 External-IP,1 OS-Image,1 Kernel-Version,1 Container-Runtime,1",
        _node,
    ),
    "deployments.apps": (f"Name Ready Up-to-date Available Age {_WIDE}", _deployment),
    "replicasets.apps": (f"Name Desired Current Ready Age {_WIDE}", _replicas),
    "replicationcontrollers": (f"Name Desired Current Ready Age {_WIDE}", _replicas),
    "statefulsets.apps": ("Name Ready Age Containers,1 Images,1", _stateful),
    "daemonsets.apps": (f"Name Desired Current Ready Up-to-date Available Node_Selector Age {_WIDE}", _daemon),
    "events": ("Last_Seen Type Reason Object Subobject,1 Source,1 Message First_Seen,1 Count,1 Name,1", _event),
    "poddisruptionbudgets.policy": ("Name Min_Available Max_Unavailable Allowed_Disruptions Age", _budget),
    "namespaces": ("Name Status Age", _named(("status", "phase"))),
    "configmaps": ("Name Data Age", _sizes),
    "leases.coordination.k8s.io": ("Name Holder Age", _named(("spec", "holderIdentity"))),
    "priorityclasses.scheduling.k8s.io": (
        "Name Value Global-Default Age",
        _named(("value",), ("globalDefault",)),
    ),
}
_PLAIN: tuple[str, Cells] = ("Name Created_At", lambda obj: [text(obj, "metadata", "name"), _created(obj)])


def _created(obj: Json) -> str:
    return text(obj, "metadata", "creationTimestamp")


def columns(kind: Kind) -> list[Json]:
    """The column definitions of a kind."""
    made: list[Json] = []
    for word in _TABLES.get(kind.storage, _PLAIN)[0].split():
        name, _, priority = word.partition(",")
        integer = name in ("Desired", "Current", "Up-to-date", "Available", "Data", "Value", "Allowed_Disruptions")
        form = "name" if name == "Name" and not made else ""
        made.append(
            {
                "name": name.replace("_", " "),
                "type": "integer" if integer else "string",
                "format": form,
                "description": "",
                "priority": int(priority or 0),
            }
        )
    return made


def cells(kind: Kind, obj: Json) -> list[Any]:
    """The cells of one object, in the order of its columns."""
    return _TABLES.get(kind.storage, _PLAIN)[1](obj)
