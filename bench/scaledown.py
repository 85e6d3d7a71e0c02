"""How long a pass takes that looks for nodes to remove.

1,000 nodes with 30,000 pods of 100 applications, a third of the nodes idle
enough, every application spread over the zones and under a PDB; and 2,000
nodes at 40 % with 40 pods of 1 % each, of which 1,200 go in one pass with all
limits lifted, where cluster-autoscaler's RunOnce takes 13 to 21 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from autoscaler.clock import monotonic
from autoscaler.core.census import take_census
from autoscaler.core.decision import Decision
from autoscaler.core.model import (
    HOSTNAME_LABEL,
    ZONE_LABEL,
    GroupName,
    Instance,
    InstanceId,
    InstanceType,
    Market,
    Node,
    NodeGroup,
    NodeName,
    OwnerRef,
    Phase,
    Pod,
    Uid,
    Zone,
)
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, PodSpec, Requirement, SpreadConstraint
from autoscaler.core.policy import Policy
from autoscaler.core.resources import Resources
from autoscaler.core.scaledown.policy import ScaleDownPolicy
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.workload import PodDisruptionBudget
from bench.result import Result

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=6)
ZONES = tuple(Zone(f"eu-west-3{letter}") for letter in "abc")
APPS = 100
RUNS = 5


def run() -> Result:
    """Plan both worlds several times; the best run counts, garbage collection as it comes."""
    seconds_1000, some = _best_of(mixed_world())
    seconds_2000, most = _best_of(even_world())
    return Result(
        bench="scaledown",
        figures={
            "seconds_1000": seconds_1000,
            "unneeded_1000": len(some.drains) + len(some.shunned),
            "seconds_2000": seconds_2000,
            "gone_2000": len(most.drains),
        },
        floors={"seconds_1000": 1.0, "unneeded_1000": 200, "seconds_2000": 1.3, "gone_2000": 1200},
        higher_is_better=frozenset(("unneeded_1000", "gone_2000")),
        left_out=f"reading the cluster, draining, and the count of pods; the best of {RUNS} runs, in one process",
    )


def _best_of(world: Snapshot) -> tuple[float, Decision]:
    best = float("inf")
    for _ in range(RUNS):
        began = monotonic()
        decision = plan(world)
        best = min(best, monotonic() - began)
    return best, decision


def mixed_world() -> Snapshot:
    """Two nodes of three are busy; default limits."""
    specs = []
    for number in range(APPS):
        selector = LabelSelector((Requirement("app", "In", (f"app-{number}",)),))
        spread = (SpreadConstraint(ZONE_LABEL, 5, True, selector),)
        amounts = Resources({"cpu": 50 + 2 * number, "memory": (100 + number) * 2**20, "pods": 1})
        specs.append(PodSpec(requests=amounts, spread=spread))
    capacity = Resources({"cpu": 8000, "memory": 32 * 2**30, "pods": 110})
    nodes, groups = _nodes(1000, capacity)
    pods: list[Pod] = []
    for number, node in enumerate(nodes):
        count = 12 if number % 3 == 0 else 39
        pods += _pods(node, [(len(pods) + position) % APPS for position in range(count)], specs)
    pdbs = [
        PodDisruptionBudget(namespace="bench", name=f"app-{number}", selector=spec.spread[0].selector,
                            disruptions_allowed=30)
        for number, spec in enumerate(specs)
    ]  # fmt: skip
    return _world(nodes, groups, pods, pdbs, ScaleDownPolicy())


def even_world() -> Snapshot:
    """Every node is at 40 %, and all limits are lifted."""
    spec = PodSpec(requests=Resources({"cpu": 1000, "memory": 2**30, "pods": 1}))
    nodes, groups = _nodes(2000, Resources({"cpu": 100_000, "memory": 100 * 2**30, "pods": 110}))
    pods = [pod for node in nodes for pod in _pods(node, [0] * 40, [spec])]
    lifted = ScaleDownPolicy(max_parallelism=1_000_000, max_drain_parallelism=1_000_000)
    return _world(nodes, groups, pods, (), lifted)


def _nodes(count: int, capacity: Resources) -> tuple[list[Node], list[NodeGroup]]:
    """Nodes of ten groups in three zones."""
    nodes: list[Node] = []
    groups: list[NodeGroup] = []
    for group in range(10):
        instances = []
        for number in range(count // 10):
            zone, name = ZONES[number % 3], f"node-{group}-{number:04d}"
            instances.append(Instance(id=InstanceId(f"i-{name}"), instance_type=InstanceType("bench.one"), zone=zone))
            nodes.append(
                Node(
                    name=NodeName(name),
                    labels={HOSTNAME_LABEL: name, ZONE_LABEL: zone},
                    allocatable=capacity,
                    capacity=capacity,
                    instance_id=instances[-1].id,
                    provider_id=f"aws:///{zone}/{instances[-1].id}",
                    created=OLD,
                )
            )
        groups.append(
            NodeGroup(
                name=GroupName(f"spot-{group}"), min_size=0, max_size=10_000, desired=len(instances), zones=ZONES,
                market=Market.SPOT, instances=tuple(instances),
            )
        )  # fmt: skip
    return nodes, groups


_OWNERS = [OwnerRef("ReplicaSet", f"app-{number}", Uid(f"rs-{number}")) for number in range(APPS)]
_LABELS = [{"app": f"app-{number}"} for number in range(APPS)]


def _pods(node: Node, apps: Iterable[int], specs: list[PodSpec]) -> list[Pod]:
    """Running pods as the cache holds them: spec, labels and owner are shared."""
    return [
        Pod(
            namespace="bench", name=f"{node.name}-{position}", uid=Uid(f"{node.name}-{position}"), spec=specs[app],
            labels=_LABELS[app], owner=_OWNERS[app], created=OLD, node=node.name, phase=Phase.RUNNING,
        )
        for position, app in enumerate(apps)
    ]  # fmt: skip


def _world(nodes: list[Node], groups: list[NodeGroup], pods: list[Pod], pdbs: Iterable[PodDisruptionBudget],
           scale_down: ScaleDownPolicy) -> Snapshot:  # fmt: skip
    return Snapshot(
        at=NOW,
        nodes=nodes,
        groups=groups,
        pods=pods,
        census=take_census(pods, Policy().expendable_cutoff),
        pdbs=tuple(pdbs),
        policy=Policy(scale_down=scale_down),
    )
