"""Random small worlds for the laws of planning, and plain oracles to judge them by.

The oracles look at one pod and one empty node at a time, know no classes and
no families, and share no code with the planner but the values themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from hypothesis import strategies as st

from autoscaler.core.decision import Decision
from autoscaler.core.model import (
    ZONE_LABEL,
    Instance,
    InstanceId,
    InstanceShape,
    LaunchMethod,
    Lifecycle,
    Market,
    Node,
    NodeGroup,
    Pod,
    Uid,
    Zone,
)
from autoscaler.core.podspec import PodSpec
from autoscaler.core.policy import Policy
from autoscaler.core.resources import Resources
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.snapshot import DaemonSet, Snapshot
from tests import builders
from tests.builders import NOW, ZONES

SIZES = {"t.small": ("2", "4Gi"), "t.medium": ("4", "16Gi"), "t.large": ("8", "16Gi"), "t.huge": ("16", "64Gi")}
T = TypeVar("T")
CPUS = ("100m", "500m", "1", "1500m", "3", "4", "7")
MEMORIES = ("64Mi", "512Mi", "2Gi", "5Gi", "12Gi")


def kind(name: str, weight: int = 1) -> InstanceShape:
    cpu, memory = SIZES[name]
    return builders.shape(name, cpu=cpu, memory=memory, weight=weight)


@st.composite
def groups(draw: st.DrawFn, number: int) -> NodeGroup:
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True))
    names = draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=2, unique=True))
    weight = draw(st.sampled_from([1, 1, 1, 2]))
    max_size = draw(st.integers(0, 8))
    market = draw(st.sampled_from([Market.SPOT, Market.ON_DEMAND]))
    live = draw(st.integers(0, min(2, max_size // weight)))
    instances = tuple(
        builders.instance(
            f"i-{number}-{position}",
            zones[position % len(zones)],
            names[0],
            weight=weight,
            since=NOW - timedelta(minutes=draw(st.sampled_from([1, 20]))),
        )
        for position in range(live)
    )
    return builders.group(
        f"{market}-{number}",
        zones=zones,
        shapes=tuple(kind(name, weight) for name in names),
        market=market,
        max_size=max_size,
        instances=instances,
        method=draw(st.sampled_from([LaunchMethod.SYNC, LaunchMethod.SYNC, LaunchMethod.DESIRED])),
        labels=draw(st.sampled_from([{}, {}, {"team": "red"}])),
        taints=draw(st.sampled_from([(), (), (builders.taint("gpu=yes:NoSchedule"),)])),
        suspended=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"Launch"})])),
    )


@st.composite
def specs(draw: st.DrawFn) -> PodSpec:
    fields: dict[str, object] = {}
    wish = draw(st.sampled_from(["", "", "", "zone", "team", "tolerates", "port", "unknown"]))
    if wish == "zone":
        fields["zone"] = draw(st.sampled_from(ZONES))
    elif wish == "team":
        fields["needs"] = {"team": "red"}
    elif wish == "tolerates":
        fields["tolerates"] = "gpu"
    elif wish == "port":
        fields["host_port"] = 8080
    elif wish == "unknown":
        fields["unknowns"] = ("spec.frobnicate",)
    return builders.spec(
        draw(st.sampled_from(CPUS)),
        draw(st.sampled_from(MEMORIES)),
        priority=draw(st.sampled_from([0, 0, 0, 100, -5, -20])),
        **fields,
    )


@st.composite
def pending(draw: st.DrawFn) -> list[Pod]:
    found: list[Pod] = []
    for number, spec in enumerate(draw(st.lists(specs(), max_size=5))):
        age = timedelta(seconds=draw(st.integers(5, 50)))
        found += builders.pods(draw(st.integers(1, 6)), f"app-{number}", of=spec, created=NOW - age)
    return found


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """At most four groups, a few nodes, and up to thirty pending pods of five kinds."""
    found = [draw(groups(number)) for number in range(draw(st.integers(1, 4)))]
    nodes: list[Node] = []
    for one in found:
        joined, ready = draw(st.integers(0, 2)), draw(st.booleans())
        nodes += [_node(one, instance, ready=ready) for instance in one.instances[:joined]]
    pods = draw(pending())
    if draw(st.booleans()) and nodes:
        pods.append(builders.pod("runs", node=nodes[0].name, cpu="1"))
    daemonsets: tuple[DaemonSet, ...] = draw(st.sampled_from([(), (_agent(),)]))
    memory = CapacityMemory()
    for one in found:
        if draw(st.integers(0, 3)) == 0:
            dry = pools_of(one, Zone(draw(st.sampled_from(one.zones))))
            memory = memory.with_dry(dry, NOW + timedelta(minutes=1), "ICE")
    return Snapshot(
        at=NOW,
        groups=tuple(found),
        nodes=tuple(nodes),
        pods=tuple(pods),
        daemonsets=daemonsets,
        memory=memory,
        policy=draw(policies()),
    )


def policies() -> st.SearchStrategy[Policy]:
    tiers = st.sampled_from([{}, {50: ["^spot"], 10: ["^on-demand"]}, {50: ["-0", "-1"], 10: [".*"]}, {5: ["-2"]}])
    return st.builds(
        lambda priorities, nodes, cores, burst: builders.policy(
            priorities, max_nodes_total=nodes, max_cores_total=cores, max_nodes_per_scaleup=burst
        ),
        tiers,
        st.sampled_from([0, 0, 3, 9]),
        st.sampled_from([320_000, 320_000, 20]),
        st.sampled_from([1000, 1000, 2]),
    )


def _node(group: NodeGroup, instance: Instance, *, ready: bool) -> Node:
    cpu, memory = SIZES[instance.instance_type]
    amounts = builders.resources(cpu=cpu, memory=memory, pods="58")
    return builders.node(
        f"node-{instance.id}",
        of=instance,
        allocatable=amounts,
        labels=dict(group.labels),
        taints=group.taints,
        ready=ready,
        was_ready=ready,
    )


def _agent() -> DaemonSet:
    wish = builders.spec("200m", "64Mi")
    return DaemonSet(namespace="kube-system", name="agent", uid=Uid("agent"), spec=wish)


def shuffled(world: Snapshot, order: Sequence[int]) -> Snapshot:
    """The same world told in another order; `order` is any list of numbers."""

    def turn(items: Iterable[T]) -> tuple[T, ...]:
        ranked = [(hash((order[number % len(order)], number)), number, item) for number, item in enumerate(items)]
        return tuple(item for *_, item in sorted(ranked, key=lambda row: row[:2]))

    return replace(
        world,
        pods=turn(world.pods),
        nodes=turn(world.nodes),
        groups=tuple(replace(one, instances=turn(one.instances)) for one in turn(world.groups)),
        daemonsets=turn(world.daemonsets),
    )


def carried_out(world: Snapshot, decision: Decision) -> Snapshot:
    """The world once AWS gave all that was asked: instances Pending, or desired raised."""
    found = {one.name: one for one in world.groups}
    for launch in decision.launches:
        one = found[launch.group]
        new: tuple[Instance, ...] = ()
        if launch.method is LaunchMethod.SYNC:
            new = tuple(_arrived(one, launch.zone, f"{launch.token[:8]}-{n}") for n in range(launch.count))
        found[launch.group] = replace(one, instances=one.instances + new, desired=one.desired + launch.units)
    return replace(world, groups=tuple(found.values()))


def _arrived(group: NodeGroup, zone: Zone | None, name: str) -> Instance:
    shape = group.shapes[0]
    return Instance(
        id=InstanceId(f"i-{name}"),
        instance_type=shape.instance_type,
        zone=zone or group.zones[0],
        lifecycle=Lifecycle.PENDING,
        weight=shape.weight,
        since=NOW,
    )


def empty_node(world: Snapshot, group: NodeGroup) -> Resources:
    """What an empty node of the group surely has for pods."""
    room = dict(group.shapes[0].capacity.items())
    for shape in group.shapes:
        room = {name: min(amount, shape.capacity[name]) for name, amount in room.items()}
    tolerated = not group.taints
    for daemonset in world.daemonsets:
        if tolerated:
            room = {name: amount - daemonset.spec.requests[name] for name, amount in room.items()}
    return Resources(room)


def obstacles(world: Snapshot, pod: Pod, group: NodeGroup) -> set[str]:
    """Why an empty node of the group cannot take the pod, seen plainly."""
    spec, found = pod.spec, set()
    room = empty_node(world, group)
    if any(amount > room[name] for name, amount in spec.requests.items()):
        found.add("TooSmall")
    if group.taints and not spec.tolerations:
        found.add("TaintNotTolerated")
    if spec.node_terms and group.labels.get("team") != "red":
        found.add("NodeAffinityMismatch")
    wanted = dict(spec.node_selector).get(ZONE_LABEL)
    if wanted and wanted not in group.zones:
        found.add("NodeSelectorMismatch")
    elif wanted and len(group.zones) > 1 and group.method is LaunchMethod.DESIRED:
        found.add("ZoneNotChosen")
    if spec.unknowns:
        found.add("UnknownConstraint")
    return found


def first_fit(pods: Sequence[Pod], room: Resources) -> int:
    """How many empty nodes first-fit opens for the pods in the order given, one by one."""
    free: list[dict[str, int]] = []
    ports: list[set[int]] = []
    for pod in pods:
        wanted = {one.port for one in pod.spec.host_ports}
        for number, left in enumerate(free):
            fits = all(amount <= left[name] for name, amount in pod.spec.requests.items())
            if fits and not ports[number] & wanted:
                break
        else:
            number = len(free)
            free.append(dict(room.items()))
            ports.append(set())
        for name, amount in pod.spec.requests.items():
            free[number][name] -= amount
        ports[number] |= wanted
    return len(free)


def can_be_packed(pods: Sequence[Pod], nodes: int, room: Resources) -> bool:
    """Whether the pods have a place on so many empty nodes, by trying."""
    ordered = sorted(pods, key=lambda one: (-one.spec.requests["cpu"], -one.spec.requests["memory"], one.name))
    free = [dict(room.items()) for _ in range(nodes)]
    ports: list[set[int]] = [set() for _ in range(nodes)]
    return _place(ordered, 0, free, ports)


def _place(pods: Sequence[Pod], position: int, free: list[dict[str, int]], ports: list[set[int]]) -> bool:
    if position == len(pods):
        return True
    spec = pods[position].spec
    wanted = {one.port for one in spec.host_ports}
    seen: set[tuple[object, ...]] = set()
    for number, left in enumerate(free):
        state = (tuple(sorted(left.items())), tuple(sorted(ports[number])))
        if state in seen or ports[number] & wanted:
            continue
        seen.add(state)
        if any(amount > left.get(name, 0) for name, amount in spec.requests.items()):
            continue
        free[number] = {name: amount - spec.requests[name] for name, amount in left.items()}
        ports[number] |= wanted
        if _place(pods, position + 1, free, ports):
            return True
        free[number] = left
        ports[number] -= wanted
    return False
