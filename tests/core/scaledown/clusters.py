"""Random small clusters with running pods, and a plain oracle of what may be taken from them.

The oracle looks at one pod and one node at a time, and tries every way to
place the pods; it shares no code with the planner but the values themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from autoscaler.core.model import HOSTNAME_LABEL, Instance, Lifecycle, Market, Node, NodeGroup, OwnerRef, Pod, Uid
from autoscaler.core.podspec import LabelSelector, PodTerm, Requirement
from autoscaler.core.policy import Policy
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaledown.policy import Amount, DisruptionBudget, ScaleDownPolicy
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.workload import PodDisruptionBudget
from tests import builders
from tests.builders import NOW, ZONES

APPS = ("web", "api", "db")
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
GOING = "ToBeDeletedByClusterAutoscaler=soon:NoSchedule"
DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
OWNERS = {app: OwnerRef("ReplicaSet", app, Uid(app)) for app in APPS}
APART = (PodTerm(HOSTNAME_LABEL, LabelSelector((Requirement("app", "In", ("db",)),))),)
SPECS = {
    "web": [builders.spec(cpu) for cpu in ("200m", "500m", "1", "2")],
    "api": [builders.spec("500m"), builders.spec("1", zone=ZONES[0]), builders.spec("500m", host_port=80)],
    "db": [builders.spec("500m", anti_affinity=APART)],
}
MEANT = {app: {"app": app} for app in APPS}


@st.composite
def clusters(draw: st.DrawFn) -> Snapshot:
    """Two or three groups of up to three nodes, up to three pods on each, PDBs, and every brake now and then."""
    groups: list[NodeGroup] = []
    nodes: list[Node] = []
    for number in range(draw(st.integers(2, 3))):
        market = (
            Market.SPOT if not number else draw(st.sampled_from([Market.ON_DEMAND] * 4 + [Market.SPOT, Market.UNKNOWN]))
        )
        instances = [draw(_instance(number, n)) for n in range(draw(st.integers(1, 4)))]
        least = draw(st.sampled_from([0, 0, 0, min(2, sum(one.weight for one in instances if one.is_live))]))
        group = builders.group(
            f"{market}-{number}", market=market, instances=tuple(instances), min_size=least, zones=ZONES[:2], max_size=9
        )
        groups.append(group)
        nodes += [draw(_node(instance)) for instance in instances if draw(st.integers(0, 9))]
    pods = [pod for node in nodes for pod in draw(_residents(node))]
    pods += builders.pods(draw(st.integers(0, 2)), "new", of=SPECS["web"][1])
    memory = CapacityMemory()
    if not draw(st.integers(0, 2)):
        memory = memory.with_dry(pools_of(groups[0], None), NOW + timedelta(minutes=1), "ICE")
    return Snapshot(
        at=NOW,
        groups=tuple(groups),
        nodes=tuple(nodes),
        pods=tuple(pods),
        pdbs=tuple(draw(_pdbs())),
        memory=memory,
        policy=draw(_policies()),
        scale_down=draw(st.sampled_from([None, None, _remembered(nodes)])),
    )


def _remembered(nodes: Sequence[Node]) -> ScaleDownMemory:
    """Every second node is unneeded for long, the last one waits."""
    return ScaleDownMemory(
        unneeded={node.name: NOW - timedelta(hours=1) for node in nodes[::2]},
        waiting={node.name: NOW for node in nodes[-1:]},
    )


@st.composite
def _instance(draw: st.DrawFn, group: int, number: int) -> Instance:
    return builders.instance(
        f"i-{group}-{number}",
        draw(st.sampled_from(ZONES[:2])),
        lifecycle=draw(st.sampled_from([Lifecycle.IN_SERVICE] * 20 + [Lifecycle.LEAVING, Lifecycle.PENDING])),
        weight=draw(st.sampled_from([1, 1, 1, 2])),
    )


@st.composite
def _node(draw: st.DrawFn, instance: Instance) -> Node:
    odd = draw(st.sampled_from([""] * 15 + ["cordoned", "going", "disabled", "unready", "young"]))
    fields: dict[str, Any] = {}
    if odd == "cordoned":
        fields["is_cordoned"] = True
    elif odd == "going":
        fields["taints"] = (builders.taint(GOING),)
    elif odd == "disabled":
        fields["annotations"] = {DISABLED: "true"}
    elif odd == "unready":
        fields |= {"ready": False, "ready_changed": NOW - timedelta(minutes=draw(st.sampled_from([5, 50])))}
    elif odd == "young":
        fields["created"] = NOW - timedelta(minutes=draw(st.sampled_from([5, 50])))
    return builders.node(f"n-{instance.id}", of=instance, **fields)


@st.composite
def _residents(draw: st.DrawFn, node: Node) -> list[Pod]:
    found: list[Pod] = []
    for number in range(draw(st.integers(0, 3))):
        app = draw(st.sampled_from(APPS))
        odd = draw(st.sampled_from([""] * 25 + ["bare", "unsafe"]))
        found.append(
            builders.pod(
                f"{node.name}-{number}",
                of=draw(st.sampled_from(SPECS[app])),
                labels=MEANT[app],
                owner=None if odd == "bare" else OWNERS[app],
                annotations={SAFE: "false"} if odd == "unsafe" else {},
                node=node.name,
            )
        )
    return found


@st.composite
def _pdbs(draw: st.DrawFn) -> list[PodDisruptionBudget]:
    return [
        PodDisruptionBudget(
            namespace="shop",
            name=f"pdb-{number}",
            selector=LabelSelector((Requirement("app", "In", (app,)),)),
            disruptions_allowed=draw(st.sampled_from([0, 1, 2, 2, 3, 3])),
        )
        for number, app in enumerate(draw(st.lists(st.sampled_from(APPS), max_size=2 if draw(st.booleans()) else 0)))
    ]


def _policies() -> st.SearchStrategy[Policy]:
    budgets = st.sampled_from(
        [
            None,
            DisruptionBudget(cluster=Amount(9)),
            DisruptionBudget(cluster=Amount(40, is_percentage=True)),
            DisruptionBudget(cluster=Amount(9), per_group=Amount(1), per_zone=Amount(2), per_namespace=Amount(3)),
        ]
    )
    return st.builds(
        lambda budget, drains, cores: replace(
            builders.policy({20: ["^spot"], 10: [".*"]}),
            scale_down=ScaleDownPolicy(budget=budget, max_drain_parallelism=drains, min_cores_total=cores),
        ),
        budgets,
        st.sampled_from([1, 9]),
        st.sampled_from([0, 0, 8]),
    )


def is_free_to_take(world: Snapshot, node: Node) -> bool:
    """Whether pods may be moved to the node."""
    instances = {one.id: one for group in world.groups for one in group.instances}
    instance = instances.get(node.instance_id) if node.instance_id is not None else None
    return node.ready and not node.is_cordoned and not node.taints and (instance is None or instance.is_live)


def residents(world: Snapshot, name: str) -> list[Pod]:
    return [pod for pod in world.pods if pod.node == name]


def group_of(world: Snapshot, node: Node) -> NodeGroup:
    return next(one for one in world.groups if any(each.id == node.instance_id for each in one.instances))


def have_places(wishes: Sequence[tuple[Pod, Sequence[Node]]], held: dict[str, list[Pod]]) -> bool:
    """Whether every pod has a place on one of the nodes that it may go to, by trying all ways."""
    if not wishes:
        return True
    (pod, nodes), *rest = sorted(wishes, key=lambda row: (len(row[1]), row[0].name))
    for node in nodes:
        if _fits(pod, node, held[node.name]):
            there = {**held, node.name: [*held[node.name], pod]}
            if have_places(rest, there):
                return True
    return False


def _fits(pod: Pod, node: Node, others: Sequence[Pod]) -> bool:
    for name, amount in pod.spec.requests.items():
        if amount + sum(one.spec.requests[name] for one in others) > node.allocatable[name]:
            return False
    if any(node.labels.get(key) != value for key, value in pod.spec.node_selector):
        return False
    if pod.spec.host_ports and any(one.spec.host_ports for one in others):
        return False
    return not (pod.spec.anti_affinity and any(one.labels.get("app") == "db" for one in others))
