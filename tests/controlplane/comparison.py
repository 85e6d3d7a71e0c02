"""Compares our placements with the real kube-scheduler's in one world.

First node by node: for each pending pod alone, the existing nodes that take
it by `plan` against those that pass the scheduler's filters. Then end to end:
the nodes that the plan buys are created as their templates promise, each
promised pod is offered exactly its node, and all must be bound; whatever has
no place by the plan must be refused by the scheduler too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from autoscaler import clock
from autoscaler.core.decision import Outcome
from autoscaler.core.model import Node, Pod, Uid
from autoscaler.core.planner import plan
from autoscaler.core.policy import Policy
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.offline import read_cluster
from tests.controlplane.client import Json, wait_for
from tests.controlplane.cluster import DAEMONSETS, Cluster, node_of, read_events
from tests.controlplane.mirror import ALL_PODS
from tests.controlplane.oracle import ANY, Oracle
from tests.controlplane.promises import Promises, promises_of
from tests.controlplane.storage import READ as STORAGE_READ
from tests.controlplane.storage import Storage
from tests.controlplane.worlds import World, group_of, kinds_of, name_of


class Kind(StrEnum):
    """How two answers differ."""

    FITS_BY_US = "we say that it fits, the scheduler that it does not"
    FITS_BY_SCHEDULER = "the scheduler says that it fits, we that it does not"
    NOT_BOUND = "promised, but not bound there"
    BOUND = "refused by us, but bound"
    VAIN = "bought in vain"


@dataclass(frozen=True, slots=True)
class Difference:
    """One disagreement."""

    kind: Kind
    pod: str
    node: str
    told: str = ""  # by the scheduler

    def __str__(self) -> str:
        return f"{self.pod} on {self.node}: {self.kind} {self.told}".rstrip()


@dataclass
class Comparison:
    """What both said of one world."""

    snapshot: Snapshot  # the pending pods included, as the plan saw it
    ours: dict[str, frozenset[str]] = field(default_factory=dict)  # pod, one of each kind: the nodes that take it
    theirs: dict[str, frozenset[str]] = field(default_factory=dict)
    daemons: list[Json] = field(default_factory=list)  # the pods of DaemonSets, bound
    promises: Promises | None = None
    bound: dict[str, bool] = field(default_factory=dict)  # pod: by the scheduler, once the plan was carried out
    left_free: int = 0  # promised pods that the scheduler was left to place as it likes
    second_pass: int = 0  # those of them that then found no place
    differences: list[Difference] = field(default_factory=list)

    def placements(self) -> Iterator[tuple[str, Node, bool, bool]]:
        """Yield (pod, node, does it fit by us, by the scheduler) for each pair that must agree.

        To a cordoned node we send nobody, even where a toleration would let it in.
        """
        for name, fitting in self.ours.items():
            for node in self.snapshot.nodes:
                fits, passes = node.name in fitting, node.name in self.theirs[name]
                if not is_spared(node, fits=fits, passes=passes):
                    yield name, node, fits, passes


def is_spared(node: Node, *, fits: bool, passes: bool) -> bool:
    """A cordoned node, to which we send nobody although the scheduler would."""
    return node.is_cordoned and passes and not fits


class Comparer:
    """One comparison at a time on one control plane, which `scenery` has prepared."""

    def __init__(self, cluster: Cluster, oracle: Oracle) -> None:
        self._cluster = cluster
        self._oracle = oracle
        self._storage = Storage(cluster.client)

    def compare(self, world: World, *, to_the_end: bool = True) -> Comparison:
        """Load a world, ask both, and sweep; without the end only node by node."""
        try:
            self._load(world)
            found = self._compare_nodes(world)
            if to_the_end:
                self._compare_plan(world, found)
        finally:
            self._oracle.while_waiting = lambda: None
            self._cluster.sweep_pods()
            if world.storage:
                self._storage.sweep()
        return found

    def _load(self, world: World) -> None:
        if world.storage:
            self._storage.add(world.storage)
        self._cluster.add_nodes(world.nodes)
        if world.storage:
            wait_for(self._storage.is_settled, "the volumes to be bound")
        self._oracle.wait_for_nodes([name_of(node) for node in world.nodes])
        self._cluster.add_pods(world.residents)
        if world.daemonsets:
            self._cluster.add_daemonsets(world.daemonsets)

    def _compare_nodes(self, world: World) -> Comparison:
        kinds = kinds_of(world.pending)
        firsts = [pods[0] for pods in kinds]
        theirs = self._oracle.ask(firsts)
        snapshot = self._snapshot()
        alone = {pod.name: pod for pod in snapshot.pods if pod.name in theirs}
        ours = {name: frozenset(fitting_nodes(snapshot, pod)) for name, pod in alone.items()}
        # The scheduler hears of bound and of pending pods by two ways, so that it may judge before it knows all.
        doubtful = [pod for pod in firsts if ours[name_of(pod)] != theirs[name_of(pod)]]
        if doubtful:
            self._cluster.delete_pods(doubtful)
            theirs |= self._oracle.ask(doubtful)
        self._cluster.delete_pods(firsts)
        found = Comparison(_with_copies(snapshot, kinds), ours, theirs)
        found.daemons = [pod for pod in self._cluster.pods("agent") if node_of(pod)] if world.daemonsets else []
        for name, node, fits, passes in found.placements():
            if fits != passes:
                kind = Kind.FITS_BY_US if fits else Kind.FITS_BY_SCHEDULER
                found.differences.append(Difference(kind, name, str(node.name)))
        return found

    def _compare_plan(self, world: World, found: Comparison) -> None:
        """Carry the plan out and let the scheduler bind, pod by pod, where we promised."""
        if any("volumes" in pod["spec"] for pod in world.pending):
            self._oracle.while_waiting = self._storage.provision
        snapshot = replace(found.snapshot, groups=tuple(group_of(told) for told in world.groups))
        promises = found.promises = promises_of(snapshot)
        self._oracle.cordoned = frozenset(node.name for node in snapshot.nodes if node.is_cordoned)
        waiting = {name_of(pod): pod for pod in world.pending}
        bought = {name_of(node) for node in promises.nodes}
        there = {name: node for name, node in promises.places.items() if node not in bought}
        late = self._oracle.bind((waiting[name], node) for name, node in there.items())  # long before nodes come
        if bought:
            self._cluster.add_nodes(promises.nodes)
            self._oracle.wait_for_nodes(bought)
        if bought and world.daemonsets:
            self._cluster.wait_daemons()
        rest = {name: node for name, node in promises.places.items() if node in bought or name in late}
        self._bind_promised(waiting, rest, promises.turns)
        hopeless = [pod for pod in world.pending if name_of(pod) not in promises.places]
        self._oracle.bind((pods[0], ANY) for pods in kinds_of(hopeless))  # where one is refused, its equals are
        self._judge(found, promises, waiting)
        self._cluster.delete_pods(world.pending)
        free = [waiting[name] for name in promises.places if "volumes" not in waiting[name]["spec"]]
        found.left_free = len(free)
        found.second_pass = len(self._oracle.bind((pod, ANY) for pod in free))

    def _bind_promised(
        self, waiting: Mapping[str, Json], places: Mapping[str, str], turns: Sequence[Sequence[str]]
    ) -> None:
        """Bind in the plan's order: all in a row, and where that fails class by class, each until nothing moves."""
        if not self._oracle.bind((waiting[name], node) for name, node in places.items()):
            return
        self._cluster.delete_pods([waiting[name] for name in places])
        left = dict(places)
        for turn in (*turns, list(places)):
            now = [name for name in turn if name in left]
            unbound = self._oracle.bind((waiting[name], left[name]) for name in now)
            left = {name: node for name, node in left.items() if name not in now or name in unbound}

    def _judge(self, found: Comparison, promises: Promises, waiting: Mapping[str, Json]) -> None:
        pods = {name_of(pod): pod for pod in self._cluster.pods() if name_of(pod) in waiting}
        for name, pod in pods.items():
            promised, there = promises.places.get(name, ""), node_of(pod)
            found.bound[name] = bool(there)
            if there != promised:
                told = "; ".join(read_events([pod]))
                kind = Kind.NOT_BOUND if promised else Kind.BOUND
                found.differences.append(Difference(kind, name, promised or there, told))
        empty = {name_of(node) for node in promises.nodes} - {node_of(pod) for pod in pods.values()}
        found.differences += [Difference(Kind.VAIN, "nobody", node) for node in sorted(empty)]

    def _snapshot(self) -> Snapshot:
        """The world as our own conversion reads it from the API server."""
        get = self._cluster.client.get
        return to_snapshot(self._cluster.client.at_once(get, (ALL_PODS, *READ)))


READ = ("/api/v1/nodes", "/api/v1/namespaces", DAEMONSETS, *STORAGE_READ)


def to_snapshot(documents: Iterable[Json]) -> Snapshot:
    """A world as our own conversion reads it; no pod waits for the scheduler's word."""
    found = read_cluster([("the API server", documents)])
    return Snapshot(
        at=clock.now(),
        pods=found.pods,
        nodes=found.nodes,
        namespaces=found.namespaces,
        storage=found.storage,
        daemonsets=found.daemonsets,
        policy=Policy(await_scheduler=False),
    )


def _with_copies(snapshot: Snapshot, kinds: Collection[Sequence[Json]]) -> Snapshot:
    """Add the pods that differ only in the name from the first of their kind, which alone was created."""
    firsts = {pod.name: pod for pod in snapshot.pods}
    copies = [
        replace(firsts[name_of(first)], name=name_of(copy), uid=Uid(f"copy-{name_of(copy)}"))
        for first, *more in kinds
        for copy in more
    ]
    return replace(snapshot, pods=(*snapshot.pods, *copies))


def fitting_nodes(snapshot: Snapshot, pod: Pod) -> Iterator[str]:
    """The existing nodes that take a pod by our plan, were it the only one that waits.

    Each node is asked alone: the others still are where they are, but full.
    """
    others = [each for each in snapshot.pods if each.node is not None]
    full = [_full(each) for each in snapshot.nodes]
    for position, node in enumerate(snapshot.nodes):
        nodes = [*full[:position], node, *full[position + 1 :]]
        verdict = plan(replace(snapshot, pods=(*others, pod), nodes=nodes)).verdicts[pod.key]
        if verdict.outcome is Outcome.FITS_EXISTING:
            yield node.name


def _full(node: Node) -> Node:
    return replace(node, allocatable=node.allocatable.with_amounts({"pods": 0}))
