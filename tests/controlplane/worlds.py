"""Random worlds for the question whether we and kube-scheduler see the same places.

Manifests as a user would write them, from one seed. Every predicate is a
function that adds a wish to a pod; `ENABLED` lists those that worlds use. The
amounts and labels are few, so that wishes often meet and often just miss.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.core.model import InstanceShape, InstanceType, NodeGroup
from autoscaler.core.podspec import Effect, Taint
from autoscaler.core.quantity import parse_amount
from autoscaler.core.resources import Resources
from tests import builders
from tests.controlplane import storage
from tests.controlplane.client import Json
from tests.controlplane.cluster import HOSTNAME_LABEL, ZONE_LABEL, hollow, pod

ZONES = builders.ZONES
CORES = ("1", "1930m", "2", "4", "8")
MEMORIES = ("1Gi", "2Gi", "3843Mi", "8Gi")
POD_COUNTS = ("2", "4", "8", "110")
CPUS = ("0", "50m", "100m", "100m", "250m", "250m", "500m", "500m", "930m", "1", "1500m", "2", "4")
SIZES = ("0", "64Mi", "64Mi", "256Mi", "256Mi", "512Mi", "1Gi", "1843Mi", "2Gi", "4Gi")
LABELS: Mapping[str, Sequence[str]] = {
    "team": ("red", "blue", ""),
    "disk": ("ssd", "hdd"),
    "generation": ("1", "2", "3", "x"),
}
APPS = ("a", "b", "c")
GPU = "example.com/gpu"
TAINTS = (
    Taint("dedicated", "red", Effect.NO_SCHEDULE),
    Taint("dedicated", "blue", Effect.NO_EXECUTE),
    Taint("gpu", "", Effect.NO_SCHEDULE),
    Taint("soft", "yes", Effect.PREFER_NO_SCHEDULE),
)

WISHES_PER_POD = 1.6  # on average; with more of them hardly a pod fits anywhere

Chance = random.Random
Wish = Callable[[Chance, Json], None]


@dataclass
class World:
    """Nodes, pods on them, pods that wait, and groups that could grow."""

    seed: int
    nodes: list[Json] = field(default_factory=list)
    storage: list[Json] = field(default_factory=list)
    daemonsets: list[Json] = field(default_factory=list)
    residents: list[Json] = field(default_factory=list)
    pending: list[Json] = field(default_factory=list)
    groups: list[NodeGroup] = field(default_factory=list)


def build(seed: int, wishes: Sequence[Wish] | None = None) -> World:
    """The world of this number; equal numbers give equal worlds."""
    chance = random.Random(seed)
    wishes = ENABLED if wishes is None else wishes
    world = World(seed, nodes=[_node(chance, f"node-{number}") for number in range(chance.randint(2, 8))])
    names = [node["metadata"]["name"] for node in world.nodes]
    world.storage = storage.build(chance, ZONES, names) if by_claim in wishes else []
    for number in range(chance.randint(0, 12)):
        world.residents.append(_pod(chance, f"resident-{number}", wishes, chance.choice(names)))
    _keep_room_for_one(world)
    world.daemonsets = [_daemonset(chance, f"agent-{number}") for number in range(chance.choice((0, 0, 1, 2)))]
    kinds = [_pod(chance, "", wishes) for _ in range(chance.randint(4, 10))]
    for number, kind in enumerate(kinds):
        for copy in range(chance.choice((1, 1, 2, 4))):
            meta = {**kind["metadata"], "name": f"wait-{number}-{copy}"}
            world.pending.append({**kind, "metadata": meta})
    world.groups = [_group(chance, f"group{number}") for number in range(chance.randint(0, 3))]
    return world


def _node(chance: Chance, name: str) -> Json:
    labels = {key: chance.choice(values) for key, values in LABELS.items() if chance.random() < 0.7}
    taints = [_taint(chance.choice(TAINTS))] if chance.random() < 0.35 else []
    amounts = {"cpu": chance.choice(CORES), "memory": chance.choice(MEMORIES), "pods": chance.choice(POD_COUNTS)}
    if chance.random() < 0.3:
        amounts[GPU] = chance.choice("012")
    node = hollow(name, zone=chance.choice(ZONES), labels=labels, taints=taints, **amounts)
    if chance.random() < 0.1:
        del node["metadata"]["labels"][ZONE_LABEL]
    if chance.random() < 0.1:
        node["spec"]["unschedulable"] = True
    return node


def _taint(taint: Taint) -> Json:
    return {"key": taint.key, "value": taint.value, "effect": str(taint.effect)}


def _keep_room_for_one(world: World) -> None:
    """Leave out residents beyond what the node counts, so that the API's own order of things holds."""
    room = {node["metadata"]["name"]: int(node["status"]["allocatable"]["pods"]) for node in world.nodes}
    kept = []
    for resident in world.residents:
        name = resident["spec"]["nodeName"]
        if room[name]:
            room[name] -= 1
            kept.append(resident)
    world.residents = kept


def _pod(chance: Chance, name: str, wishes: Sequence[Wish], node: str = "") -> Json:
    made = pod(
        name, node=node, labels={"app": chance.choice(APPS)}, cpu=chance.choice(CPUS), memory=chance.choice(SIZES)
    )
    for wish in wishes:
        if chance.random() < WISHES_PER_POD / len(wishes):
            wish(chance, made)
    if node:
        made["spec"].pop("nodeSelector", None)  # it is there, whatever it wishes
        made["spec"]["tolerations"] = [{"operator": "Exists"}]
    return made


def _daemonset(chance: Chance, name: str) -> Json:
    """One DaemonSet; only the first may take a host port: of two that want one, nobody knows which a node gets."""
    made = pod(
        name, labels={"app": chance.choice(APPS)}, cpu=chance.choice(CPUS[1:6]), memory=chance.choice(SIZES[1:5])
    )
    for wish in (by_selector, by_toleration, by_host_port, by_pod_anti_affinity):
        if chance.random() < 0.2 and (wish is not by_host_port or name == "agent-0"):
            wish(chance, made)
    labels = {**made["metadata"]["labels"], "agent": name}
    template = {"metadata": {"labels": labels}, "spec": made["spec"]}
    spec = {"selector": {"matchLabels": {"agent": name}}, "template": template}
    return {"kind": "DaemonSet", "metadata": {"name": name}, "spec": spec}


def _group(chance: Chance, name: str) -> NodeGroup:
    labels = {key: chance.choice(values) for key, values in LABELS.items() if chance.random() < 0.7}
    amounts = {"pods": chance.choice(("4", "8", "110")), **({GPU: "1"} if chance.random() < 0.3 else {})}
    amounts |= {"cpu": chance.choice(CORES), "memory": chance.choice(MEMORIES)}
    capacity = Resources({key: parse_amount(key, text) for key, text in amounts.items()})
    kind = InstanceShape(instance_type=InstanceType(f"{name}.large"), capacity=capacity)
    return builders.group(
        name,
        zones=chance.sample(ZONES, chance.randint(1, 3)),
        shapes=(kind,),
        labels=labels,
        taints=(chance.choice(TAINTS),) if chance.random() < 0.3 else (),
        max_size=chance.choice((1, 3, 10)),
    )


# wishes


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
    if shape < 0.15:
        term["namespaceSelector"] = {}
    elif shape < 0.25:
        term["namespaces"] = ["nowhere"]
    elif shape < 0.35:
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
    by_zone_spread,
    by_host_spread,
    by_pod_affinity,
    by_pod_anti_affinity,
    by_claim,
)
