"""Which of the scheduler's rules a pod touches, and how often each decided: the coverage of random worlds.

A rule is found in the manifest and can be taken out of it. It decided a
placement when the pod without it, all else the same, gets the other answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import NamedTuple

from tests.controlplane.client import Json
from tests.controlplane.cluster import HOSTNAME_LABEL, NAMESPACE, ZONE_LABEL
from tests.controlplane.wishes import GPU, HUGE

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Feature(NamedTuple):
    """A rule by name; `strip` takes it out of a manifest, and tells whether it was in there."""

    name: str
    strip: Callable[[Json], bool]


def features_of(pod: Json) -> Iterator[tuple[str, Json]]:
    """Yield each rule that a pod touches, with the pod as it would be without it."""
    for feature in FEATURES:
        without = deepcopy(pod)
        if feature.strip(without):
            yield feature.name, without


def _field(*keys: str) -> Callable[[Json], bool]:
    """A field of the spec."""

    def strip(pod: Json) -> bool:
        found = pod["spec"]
        for key in keys[:-1]:
            found = found.get(key, {})
        return found.pop(keys[-1], None) is not None

    return strip


def _each(
    find: Callable[[Json], list[Json]], key: str, is_meant: Callable[[Json], bool] = bool
) -> Callable[[Json], bool]:
    """A key of whichever parts `find` gives, where its part is meant."""

    def strip(pod: Json) -> bool:
        parts = [part for part in find(pod["spec"]) if key in part and is_meant(part)]
        for part in parts:
            del part[key]
        return bool(parts)

    return strip


def _some(
    find: Callable[[Json], list[Json]], is_meant: Callable[[Json], bool] = lambda _: True
) -> Callable[[Json], bool]:
    """Whole parts of a list."""

    def strip(pod: Json) -> bool:
        parts = find(pod["spec"])
        meant = [part for part in parts if is_meant(part)]
        for part in meant:
            parts.remove(part)
        return bool(meant)

    return strip


def _resource(name: str) -> Callable[[Json], bool]:
    def strip(pod: Json) -> bool:
        resources = pod["spec"]["containers"][0]["resources"]
        found = [part for part in ("requests", "limits") if name in resources.get(part, {})]
        for part in found:
            del resources[part][name]
        return bool(found)

    return strip


def _node_terms(spec: Json) -> list[Json]:
    found: list[Json] = spec.get("affinity", {}).get("nodeAffinity", {}).get(REQUIRED, {}).get("nodeSelectorTerms", [])
    return found


def _node_expressions(spec: Json) -> list[Json]:
    return [one for term in _node_terms(spec) for one in term.get("matchExpressions", ())]


def _pod_terms(kind: str) -> Callable[[Json], list[Json]]:
    return lambda spec: list(spec.get("affinity", {}).get(kind, {}).get(REQUIRED, ()))


def _all_pod_terms(spec: Json) -> list[Json]:
    return [*_pod_terms("podAffinity")(spec), *_pod_terms("podAntiAffinity")(spec)]


def _spread(spec: Json) -> list[Json]:
    found: list[Json] = spec.get("topologySpreadConstraints", [])
    return found


def _ports(spec: Json) -> list[Json]:
    return [port for one in spec["containers"] for port in one.get("ports", ())]


def _inits(spec: Json) -> list[Json]:
    found: list[Json] = spec.get("initContainers", [])
    return found


def _spread_over(key: str) -> Callable[[Json], bool]:
    return lambda one: one["topologyKey"] == key and one["whenUnsatisfiable"] == "DoNotSchedule"


def _numeric(pod: Json) -> bool:
    """Gt and Lt, made to ask only whether the label is there."""
    found = [one for one in _node_expressions(pod["spec"]) if one["operator"] in ("Gt", "Lt")]
    for one in found:
        one["operator"] = "Exists"
        one.pop("values", None)
    return bool(found)


def _elsewhere(pod: Json) -> bool:
    before = pod["metadata"].get("namespace", NAMESPACE)
    pod["metadata"]["namespace"] = NAMESPACE
    return bool(before != NAMESPACE)


FEATURES: tuple[Feature, ...] = (
    Feature("node selector", _field("nodeSelector")),
    Feature("node affinity", _field("affinity", "nodeAffinity")),
    Feature("node matchFields", _each(_node_terms, "matchFields")),
    Feature("node Gt, Lt", _numeric),
    Feature("tolerations", _field("tolerations")),
    Feature("host ports", _each(_ports, "hostPort")),
    Feature("port protocol", _each(_ports, "protocol")),
    Feature("port hostIP", _each(_ports, "hostIP")),
    Feature("host network", _field("hostNetwork")),
    Feature("extended resource", _resource(GPU)),
    Feature("huge pages", _resource(HUGE)),
    Feature("ephemeral storage", _resource("ephemeral-storage")),
    Feature("init containers", _field("initContainers")),
    Feature("restartable init", _each(_inits, "restartPolicy")),
    Feature("pod-level resources", _field("resources")),
    Feature("overhead", _field("overhead")),
    Feature("zone spread", _some(_spread, _spread_over(ZONE_LABEL))),
    Feature("host spread", _some(_spread, _spread_over(HOSTNAME_LABEL))),
    Feature("spread minDomains", _each(_spread, "minDomains")),
    Feature("spread nodeAffinityPolicy", _each(_spread, "nodeAffinityPolicy")),
    Feature("spread nodeTaintsPolicy", _each(_spread, "nodeTaintsPolicy")),
    Feature("spread matchLabelKeys", _each(_spread, "matchLabelKeys")),
    Feature("spread ScheduleAnyway", _some(_spread, lambda one: one["whenUnsatisfiable"] == "ScheduleAnyway")),
    Feature("pod affinity", _field("affinity", "podAffinity")),
    Feature("pod anti-affinity", _field("affinity", "podAntiAffinity")),
    Feature("pod namespaces", _each(_all_pod_terms, "namespaces")),
    Feature("pod namespaceSelector", _each(_all_pod_terms, "namespaceSelector", lambda _: True)),
    Feature("pod matchLabelKeys", _each(_all_pod_terms, "matchLabelKeys")),
    Feature("pod mismatchLabelKeys", _each(_all_pod_terms, "mismatchLabelKeys")),
    Feature("other namespace", _elsewhere),
    Feature("volumes", _field("volumes")),
    Feature("priority", _field("priorityClassName")),
    Feature("scheduling gates", _field("schedulingGates")),
)
