"""Random worlds for the question whether we and kube-scheduler see the same places.

Manifests as a user would write them, from one seed; `wishes` holds what the
pods ask for. A world is plain data, so that a case file can hold one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from autoscaler.core.model import InstanceShape, InstanceType, NodeGroup
from autoscaler.core.podspec import Effect, Taint
from autoscaler.core.quantity import parse_amount
from autoscaler.core.resources import Resources
from tests import builders
from tests.builders import ZONES
from tests.controlplane import storage
from tests.controlplane.client import Json
from tests.controlplane.cluster import UNSCHEDULABLE, ZONE_LABEL, hollow, pod
from tests.controlplane.wishes import (
    APPS,
    CPUS,
    ENABLED,
    GPU,
    HUGE,
    LABELS,
    SIZES,
    Chance,
    Wish,
    by_claim,
    by_gate,
    by_host_port,
    by_pod_anti_affinity,
    by_selector,
    by_toleration,
)

CORES = ("1", "1930m", "4", "8", "16")
MEMORIES = ("2Gi", "3843Mi", "8Gi", "16Gi")
POD_COUNTS = ("2", "4", "8", "110", "110")
NODES, RESIDENTS, KINDS, COPIES, GROUPS = (4, 14), (4, 20), (12, 24), (1, 1, 1, 2, 4), (1, 3)
TAINTS: tuple[Json, ...] = (
    {"key": "dedicated", "value": "red", "effect": "NoSchedule"},
    {"key": "dedicated", "value": "blue", "effect": "NoExecute"},
    {"key": "gpu", "value": "", "effect": "NoSchedule"},
    {"key": "soft", "value": "yes", "effect": "PreferNoSchedule"},
)
WISHES_PER_POD = 1.8  # on average; with more of them hardly a pod fits anywhere


@dataclass
class World:
    """Nodes, pods on them, pods that wait, and groups that could grow; all but the name is what users write."""

    name: str
    nodes: list[Json] = field(default_factory=list)
    storage: list[Json] = field(default_factory=list)
    daemonsets: list[Json] = field(default_factory=list)
    residents: list[Json] = field(default_factory=list)
    pending: list[Json] = field(default_factory=list)
    groups: list[Json] = field(default_factory=list)  # as `group_of` reads them


def build(seed: int, wishes: Sequence[Wish] | None = None) -> World:
    """The world of this number; equal numbers give equal worlds."""
    chance = Random(seed)
    wishes = ENABLED if wishes is None else wishes
    world = World(f"world {seed}", nodes=[_node(chance, f"node-{n}") for n in range(chance.randint(*NODES))])
    names = [node["metadata"]["name"] for node in world.nodes]
    world.storage = storage.build(chance, ZONES, names) if by_claim in wishes else []
    ungated = [wish for wish in wishes if wish is not by_gate]
    for number in range(chance.randint(*RESIDENTS)):
        world.residents.append(_pod(chance, f"resident-{number}", ungated, chance.choice(names)))
    _keep_room_for_one(world)
    world.daemonsets = [_daemonset(chance, f"agent-{number}") for number in range(chance.choice((0, 0, 1, 2)))]
    kinds = [_pod(chance, "", wishes) for _ in range(chance.randint(*KINDS))]
    for number, kind in enumerate(kinds):
        for copy in range(chance.choice(COPIES)):
            meta = {**kind["metadata"], "name": f"wait-{number}-{copy}"}
            world.pending.append({**kind, "metadata": meta})
    world.groups = [_group(chance, f"group{number}") for number in range(chance.randint(*GROUPS))]
    return world


def _node(chance: Chance, name: str) -> Json:
    labels = {key: chance.choice(values) for key, values in LABELS.items() if chance.random() < 0.7}
    taints = [chance.choice(TAINTS)] if chance.random() < 0.35 else []
    amounts = {"cpu": chance.choice(CORES), "memory": chance.choice(MEMORIES), "pods": chance.choice(POD_COUNTS)}
    if chance.random() < 0.3:
        amounts[GPU] = chance.choice("012")
    if chance.random() < 0.4:
        amounts[HUGE] = chance.choice(("64Mi", "256Mi"))
    cordoned = chance.random() < 0.1
    if cordoned:  # its taint, too, is there from the start: some spread constraints look at it
        taints.append(UNSCHEDULABLE)
    node = hollow(name, zone=chance.choice(ZONES), labels=labels, taints=taints, **amounts)
    if chance.random() < 0.1:
        del node["metadata"]["labels"][ZONE_LABEL]
    if cordoned:
        node["spec"]["unschedulable"] = True
    return node


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
        if chance.random() < 0.2 and (wish not in (by_host_port, by_pod_anti_affinity) or name == "agent-0"):
            wish(chance, made)
    labels = {**made["metadata"]["labels"], "agent": name}
    template = {"metadata": {"labels": labels}, "spec": made["spec"]}
    spec = {"selector": {"matchLabels": {"agent": name}}, "template": template}
    return {"kind": "DaemonSet", "metadata": {"name": name}, "spec": spec}


def _group(chance: Chance, name: str) -> Json:
    amounts = {"pods": chance.choice(("4", "8", "110")), **({GPU: "1"} if chance.random() < 0.3 else {})}
    amounts |= {HUGE: "128Mi"} if chance.random() < 0.4 else {}
    return {
        "name": name,
        "labels": {key: chance.choice(values) for key, values in LABELS.items() if chance.random() < 0.7},
        "capacity": amounts | {"cpu": chance.choice(CORES), "memory": chance.choice(MEMORIES)},
        "zones": chance.sample(ZONES, chance.randint(1, 3)),
        "taints": [chance.choice(TAINTS)] if chance.random() < 0.3 else [],
        "maximum": chance.choice((1, 3, 10)),
    }


def group_of(told: Json) -> NodeGroup:
    """The node group that a world tells of."""
    capacity = Resources({key: parse_amount(key, text) for key, text in told["capacity"].items()})
    kind = InstanceShape(instance_type=InstanceType(f"{told['name']}.large"), capacity=capacity)
    return builders.group(
        told["name"],
        zones=told["zones"],
        shapes=(kind,),
        labels=told.get("labels", {}),
        taints=tuple(Taint(one["key"], one["value"], Effect(one["effect"])) for one in told.get("taints", ())),
        max_size=told["maximum"],
    )


def name_of(manifest: Json) -> str:
    return str(manifest["metadata"]["name"])


def kinds_of(pods: Iterable[Json]) -> list[list[Json]]:
    """Pods that differ in nothing but the name, together."""
    found: dict[str, list[Json]] = {}
    for each in pods:
        meta = {key: value for key, value in each["metadata"].items() if key != "name"}
        found.setdefault(json.dumps([meta, each["spec"]], sort_keys=True), []).append(each)
    return list(found.values())
