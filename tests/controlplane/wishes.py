"""Wishes: what a pod of a random world may ask for, one function for each predicate of the scheduler.

A wish changes a manifest as a user would have written it. The amounts and
labels are few, so that wishes often meet and often just miss. `ENABLED` lists
those that worlds use; `features` says what came of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from tests.builders import ZONES
from tests.controlplane import scenery, storage
from tests.controlplane.client import Json
from tests.controlplane.cluster import HOSTNAME_LABEL, ZONE_LABEL

CPUS = ("0", "50m", "100m", "100m", "250m", "250m", "500m", "500m", "930m", "1", "1500m", "2", "4")
SIZES = ("0", "64Mi", "64Mi", "256Mi", "256Mi", "512Mi", "1Gi", "1843Mi", "2Gi", "4Gi")
LABELS: Mapping[str, Sequence[str]] = {
    "team": ("red", "blue", ""),
    "disk": ("ssd", "hdd"),
    "generation": ("1", "2", "3", "x"),
}
APPS = ("a", "b", "c")
GPU, HUGE = "example.com/gpu", "hugepages-2Mi"

Chance = random.Random
Wish = Callable[[Chance, Json], None]


def by_selector(chance: Chance, made: Json) -> None:
    key = chance.choice((*LABELS, ZONE_LABEL))
    made["spec"]["nodeSelector"] = {key: chance.choice(LABELS.get(key, ZONES))}


def by_node_affinity(chance: Chance, made: Json) -> None:
    terms = [_node_term(chance) for _ in range(chance.choice((1, 1, 2)))]
    _affinity(made)["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _node_term(chance: Chance) -> Json:
    shape = chance.random()
    if shape < 0.15:
        names = [f"node-{chance.randint(0, 7)}"]
        return {"matchFields": [{"key": "metadata.name", "operator": chance.choice(("In", "NotIn")), "values": names}]}
    if shape < 0.2:
        return {}  # matches nothing
    return {"matchExpressions": [_node_expression(chance) for _ in range(chance.choice((1, 1, 2)))]}


def _node_expression(chance: Chance) -> Json:
    key = chance.choice((*LABELS, ZONE_LABEL))
    operator = chance.choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
    if operator in ("Exists", "DoesNotExist"):
        return {"key": key, "operator": operator}
    if operator in ("Gt", "Lt"):
        return {"key": "generation", "operator": operator, "values": [chance.choice("123")]}
    values = list(LABELS.get(key, ZONES))
    return {"key": key, "operator": operator, "values": chance.sample(values, chance.randint(1, len(values) - 1))}


def by_toleration(chance: Chance, made: Json) -> None:
    options: list[Json] = [
        {"operator": "Exists"},
        {"key": "dedicated", "operator": "Exists"},
        {"key": "dedicated", "value": "red"},
        {"key": "dedicated", "operator": "Equal", "value": "blue", "effect": "NoExecute"},
        {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "gpu"},
        {"operator": "Exists", "effect": "NoSchedule"},
    ]
    made["spec"]["tolerations"] = chance.sample(options, chance.choice((1, 1, 2)))


def by_host_port(chance: Chance, made: Json) -> None:
    port: Json = {"containerPort": 80, "hostPort": chance.choice((8080, 8081))}
    if chance.random() < 0.3:
        port["protocol"] = "UDP"
    if chance.random() < 0.3:
        port["hostIP"] = chance.choice(("127.0.0.1", "10.0.0.1", "0.0.0.0"))
    made["spec"]["containers"][0]["ports"] = [port]


def by_host_network(chance: Chance, made: Json) -> None:
    number = chance.choice((8080, 9090))
    made["spec"]["hostNetwork"] = True
    made["spec"]["containers"][0]["ports"] = [{"containerPort": number, "hostPort": number}]


def by_device(chance: Chance, made: Json) -> None:
    resources = made["spec"]["containers"][0]["resources"]
    amount = chance.choice("112")
    resources["requests"][GPU] = amount
    resources.setdefault("limits", {})[GPU] = amount


def by_disk(chance: Chance, made: Json) -> None:
    made["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] = chance.choice(
        ("1Gi", "60Gi", "101Gi")
    )


def by_more_containers(chance: Chance, made: Json) -> None:
    """Sidecars and ordinary init containers, in any order, count as the scheduler counts them."""
    inits = []
    for number in range(chance.randint(1, 3)):
        requests = {"cpu": chance.choice(CPUS[:-1]), "memory": chance.choice(SIZES[:-2])}
        init: Json = {"name": f"init-{number}", "image": "example", "resources": {"requests": requests}}
        if chance.random() < 0.5:
            init["restartPolicy"] = "Always"
        inits.append(init)
    made["spec"]["initContainers"] = inits
    second = {"requests": {"cpu": chance.choice(CPUS[:5])}}
    made["spec"]["containers"].append({"name": "second", "image": "example", "resources": second})


def by_pod_level_resources(chance: Chance, made: Json) -> None:
    """Never less than the containers ask together, which would be refused."""
    if "initContainers" in made["spec"]:
        return
    amounts = {"cpu": chance.choice(("5", "6")), "memory": chance.choice(("5Gi", "6Gi", "8Gi"))}
    asked = dict(list(amounts.items())[: chance.choice((1, 2))])
    made["spec"]["resources"] = chance.choice(({"requests": asked}, {"limits": amounts, "requests": asked}))
    if chance.random() < 0.2:
        made["spec"]["resources"] = {"limits": {"cpu": "8", "memory": "8Gi"}}


def by_limits_alone(chance: Chance, made: Json) -> None:
    """The API server makes requests of them."""
    limits = {"cpu": chance.choice(CPUS[1:]), "memory": chance.choice(SIZES[1:])}
    made["spec"]["containers"][0]["resources"] = {"limits": limits}


def by_claim(chance: Chance, made: Json) -> None:
    made["spec"]["volumes"] = storage.mounts(chance)


def by_zone_spread(chance: Chance, made: Json) -> None:
    _spread(chance, made, ZONE_LABEL)


def by_host_spread(chance: Chance, made: Json) -> None:
    _spread(chance, made, HOSTNAME_LABEL)


def _spread(chance: Chance, made: Json, key: str) -> None:
    constraint: Json = {
        "topologyKey": key,
        "maxSkew": chance.choice((1, 1, 2)),
        "whenUnsatisfiable": chance.choice(("DoNotSchedule", "DoNotSchedule", "DoNotSchedule", "ScheduleAnyway")),
        "labelSelector": _selector(chance),
    }
    if chance.random() < 0.3:
        constraint["nodeAffinityPolicy"] = chance.choice(("Honor", "Ignore"))
    if chance.random() < 0.3:
        constraint["nodeTaintsPolicy"] = chance.choice(("Honor", "Ignore"))
    if chance.random() < 0.2 and constraint["whenUnsatisfiable"] == "DoNotSchedule":
        constraint["minDomains"] = chance.randint(1, 4)
    if chance.random() < 0.2:
        constraint |= {"matchLabelKeys": ["version"], "labelSelector": _selector_by_app(chance)}
        made["metadata"]["labels"].setdefault("version", chance.choice("12"))
    made["spec"].setdefault("topologySpreadConstraints", []).append(constraint)


def by_pod_affinity(chance: Chance, made: Json) -> None:
    _affinity(made)["podAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [_pod_term(chance, made)]}


def by_pod_anti_affinity(chance: Chance, made: Json) -> None:
    _affinity(made)["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [_pod_term(chance, made)]}


def _pod_term(chance: Chance, made: Json) -> Json:
    term: Json = {
        "topologyKey": chance.choice((ZONE_LABEL, HOSTNAME_LABEL, "team")),
        "labelSelector": _selector(chance),
    }
    shape = chance.random()
    if shape < 0.1:
        term["namespaceSelector"] = {}
    elif shape < 0.25:
        term["namespaceSelector"] = chance.choice(scenery.NAMESPACE_SELECTORS)
    elif shape < 0.4:
        term["namespaces"] = chance.sample(("nowhere", *scenery.NAMESPACES), chance.choice((1, 2)))
    elif shape < 0.6:
        term |= {chance.choice(("matchLabelKeys", "mismatchLabelKeys")): ["version"]}
        term["labelSelector"] = _selector_by_app(chance)
        made["metadata"]["labels"].setdefault("version", chance.choice("12"))
    return term


def _selector(chance: Chance) -> Json:
    shape = chance.random()
    if shape < 0.1:
        return {}
    if shape < 0.2:
        return {"matchExpressions": [{"key": "version", "operator": chance.choice(("Exists", "DoesNotExist"))}]}
    return _selector_by_app(chance)


def _selector_by_app(chance: Chance) -> Json:
    if chance.random() < 0.2:
        values = chance.sample(APPS, 2)
        return {"matchExpressions": [{"key": "app", "operator": chance.choice(("In", "NotIn")), "values": values}]}
    return {"matchLabels": {"app": chance.choice(APPS)}}


def _affinity(made: Json) -> Json:
    found: Json = made["spec"].setdefault("affinity", {})
    return found


def by_overhead(chance: Chance, made: Json) -> None:
    made["spec"] |= scenery.heavy_runtime()


def by_huge_pages(chance: Chance, made: Json) -> None:
    resources = made["spec"]["containers"][0]["resources"]
    amount = chance.choice(("2Mi", "64Mi", "128Mi"))
    resources.setdefault("requests", {})[HUGE] = amount
    resources.setdefault("limits", {})[HUGE] = amount


def by_priority(chance: Chance, made: Json) -> None:
    made["spec"]["priorityClassName"] = chance.choice(tuple(scenery.PRIORITIES))


def by_namespace(chance: Chance, made: Json) -> None:
    """Elsewhere; claims are only in the first namespace."""
    if "volumes" not in made["spec"]:
        made["metadata"]["namespace"] = chance.choice(tuple(scenery.NAMESPACES))


def by_gate(chance: Chance, made: Json) -> None:
    """Seldom, as such a pod fits nowhere."""
    if chance.random() < 0.3:
        made["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]


ENABLED: tuple[Wish, ...] = (
    by_selector,
    by_node_affinity,
    by_toleration,
    by_host_port,
    by_host_network,
    by_device,
    by_disk,
    by_more_containers,
    by_pod_level_resources,
    by_limits_alone,
    by_overhead,
    by_huge_pages,
    by_zone_spread,
    by_host_spread,
    by_pod_affinity,
    by_pod_anti_affinity,
    by_claim,
    by_namespace,
    by_priority,
    by_gate,
)
