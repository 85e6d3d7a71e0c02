"""Compares our placements with the real kube-scheduler's, world by world.

First node by node: for each pending pod alone, the existing nodes that take
it by `plan` against those that pass the scheduler's filters. Then end to end:
the nodes that the plan buys are created as their templates promise, each
promised pod is offered exactly its node, and all must be bound; whatever has
no place by the plan must be refused by the scheduler too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from autoscaler import clock
from autoscaler.core.decision import Outcome
from autoscaler.core.model import Node, Pod
from autoscaler.core.planner import plan
from autoscaler.core.policy import Policy
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.offline import read_cluster
from tests.controlplane import build
from tests.controlplane.client import Json, wait_for
from tests.controlplane.cluster import DAEMONSETS, Cluster, node_of, pods_path, read_events
from tests.controlplane.oracle import ANY, Oracle
from tests.controlplane.promises import promises_of
from tests.controlplane.server import ControlPlane
from tests.controlplane.storage import READ as STORAGE_READ
from tests.controlplane.storage import Storage
from tests.controlplane.storage import classes as storage_classes
from tests.controlplane.worlds import World
from tests.controlplane.worlds import build as build_world


@dataclass
class Score:
    """What was compared, and where we differ: lines that name world, pod and node."""

    worlds: int = 0
    placements: int = 0  # pairs of a pending pod and an existing node
    agreed_fits: int = 0  # of these, where both say that it fits
    spared: int = 0  # cordoned nodes, to which we send nobody although a toleration would let them in
    promised: int = 0
    refused: int = 0
    nodes_bought: int = 0
    left_free: int = 0  # promised pods that the scheduler was left to place as it likes
    second_pass: int = 0  # those of them that then found no place
    disagreements: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.worlds} worlds, {self.placements} placements compared ({self.agreed_fits} fit, "
            f"{self.spared} cordoned nodes left out); end to end {self.promised} promised pods and "
            f"{self.refused} refused ones on {self.nodes_bought} new nodes "
            f"(unpinned, {self.second_pass} of {self.left_free} need a second pass); "
            f"{len(self.disagreements)} disagreements"
        )


class Fidelity:
    """One comparison at a time on one control plane."""

    def __init__(self, cluster: Cluster, oracle: Oracle) -> None:
        self._cluster = cluster
        self._oracle = oracle
        self._storage = Storage(cluster.client)
        self.score = Score()

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Classes and drivers, which all worlds share, for the length of the block."""
        self._storage.add(list(storage_classes()))
        try:
            yield
        finally:
            self._storage.sweep(("StorageClass", "CSIDriver"))

    def compare(self, world: World) -> None:
        """Load a world, ask both, write down the differences, and sweep."""
        self.score.worlds += 1
        try:
            self._storage.add(world.storage)
            self._cluster.add_nodes(world.nodes)
            wait_for(self._storage.is_settled, "the volumes to be bound")
            self._oracle.wait_for_nodes([node["metadata"]["name"] for node in world.nodes])
            self._cluster.add_pods(world.residents)
            self._cluster.add_daemonsets(world.daemonsets)
            self._compare_nodes(world)
            self._compare_plan(world)
        finally:
            self._oracle.while_waiting = lambda: None
            self._cluster.sweep()
            self._storage.sweep()

    def _compare_nodes(self, world: World) -> None:
        theirs = self._oracle.ask(world.pending)
        snapshot = self._snapshot()
        ours = {pod.name: frozenset(fitting_nodes(snapshot, pod)) for pod in snapshot.pods if pod.name in theirs}
        # The scheduler hears of bound and of pending pods by two ways, so that it may judge before it knows all.
        doubtful = [pod for pod in world.pending if ours[name_of(pod)] != theirs[name_of(pod)]]
        if doubtful:
            self._delete(doubtful)
            theirs |= self._oracle.ask(doubtful)
        self._delete(world.pending)
        for name, fitting in ours.items():
            for node in snapshot.nodes:
                fits, passes = node.name in fitting, node.name in theirs[name]
                if node.is_cordoned and passes and not fits:
                    self.score.spared += 1
                    continue
                self.score.placements += 1
                self.score.agreed_fits += fits and passes
                if fits != passes:
                    self._differ(world, f"{name} on {node.name}: we say {fits}, the scheduler {passes}", name)

    def _compare_plan(self, world: World) -> None:
        """Carry the plan out and let the scheduler bind, pod by pod, where we promised."""
        if world.storage:
            self._oracle.while_waiting = self._storage.provision
        self._create_waiting(world.pending)
        snapshot = replace(self._snapshot(), groups=tuple(world.groups))
        self._delete(world.pending)
        promises = promises_of(snapshot)
        self._oracle.cordoned = frozenset(node.name for node in snapshot.nodes if node.is_cordoned)
        waiting = {pod["metadata"]["name"]: pod for pod in world.pending}
        bought = {node["metadata"]["name"] for node in promises.nodes}
        there = {name: node for name, node in promises.places.items() if node not in bought}
        late = self._oracle.bind((waiting[name], node) for name, node in there.items())  # long before nodes come
        self._cluster.add_nodes(promises.nodes)
        self._oracle.wait_for_nodes(bought)
        self._cluster.wait_daemons()
        rest = {name: node for name, node in promises.places.items() if node in bought or name in late}
        self._bind_promised(waiting, rest, promises.turns)
        places = {name: promises.places.get(name) for name in waiting}
        self._oracle.bind((waiting[name], ANY) for name, node in places.items() if node is None)
        self.score.nodes_bought += len(bought)
        self._judge(world, places, bought)
        self._delete(world.pending)
        free = [waiting[name] for name in promises.places if "volumes" not in waiting[name]["spec"]]
        self.score.left_free += len(free)
        self.score.second_pass += len(self._oracle.bind((pod, ANY) for pod in free))

    def _bind_promised(
        self, waiting: Mapping[str, Json], places: Mapping[str, str], turns: Sequence[Sequence[str]]
    ) -> None:
        """Bind in the plan's order: all in a row, and where that fails class by class, each until nothing moves."""
        if not self._oracle.bind((waiting[name], node) for name, node in places.items()):
            return
        self._delete([waiting[name] for name in places])
        left = dict(places)
        for turn in (*turns, list(places)):
            now = [name for name in turn if name in left]
            unbound = self._oracle.bind((waiting[name], left[name]) for name in now)
            left = {name: node for name, node in left.items() if name not in now or name in unbound}

    def _judge(self, world: World, places: Mapping[str, str | None], bought: set[str]) -> None:
        pods = {pod["metadata"]["name"]: pod for pod in self._cluster.pods()}
        for name, node in places.items():
            self.score.promised += node is not None
            self.score.refused += node is None
            if node_of(pods[name]) != (node or ""):
                told = "; ".join(read_events([pods[name]]))
                there = node_of(pods[name]) or "nowhere"
                self._differ(world, f"{name}: we say {node or 'nowhere'}, the scheduler {there} {told}", name)
        empty = bought - {node_of(pods[name]) for name in places}
        if empty:
            self._differ(world, f"nodes bought in vain: {', '.join(sorted(empty))}", "")

    def _create_waiting(self, pending: Sequence[Json]) -> None:
        """Create the pods as they wait for a scheduler; nobody schedules them."""
        self._cluster.add_pods({**pod, "spec": {**pod["spec"], "schedulerName": "nobody"}} for pod in pending)

    def _delete(self, pods: Sequence[Json]) -> None:
        client = self._cluster.client
        client.at_once(lambda pod: client.delete(pods_path(name_of(pod))), pods)

    def _snapshot(self) -> Snapshot:
        """The world as our own conversion reads it from the API server."""
        get = self._cluster.client.get
        paths = ("/api/v1/nodes", pods_path(), "/api/v1/namespaces", DAEMONSETS, *STORAGE_READ)
        documents = self._cluster.client.at_once(get, paths)
        found = read_cluster([("the API server", documents)])
        policy = Policy(await_scheduler=False)
        return Snapshot(
            at=clock.now(),
            pods=found.pods,
            nodes=found.nodes,
            namespaces=found.namespaces,
            storage=found.storage,
            daemonsets=found.daemonsets,
            policy=policy,
        )

    def _differ(self, world: World, what: str, pod: str) -> None:
        wish = next((each["spec"] for each in world.pending if each["metadata"]["name"] == pod), "")
        self.score.disagreements.append(f"world {world.seed}: {what}\n    {json.dumps(wish)}")


def name_of(manifest: Json) -> str:
    return str(manifest["metadata"]["name"])


def fitting_nodes(snapshot: Snapshot, pod: Pod) -> Iterator[str]:
    """The existing nodes that take a pod by our plan, were it the only one that waits.

    Each node is asked alone: the others still are where they are, but full.
    """
    others = [each for each in snapshot.pods if each.node is not None]
    for node in snapshot.nodes:
        nodes = [each if each is node else _full(each) for each in snapshot.nodes]
        verdict = plan(replace(snapshot, pods=(*others, pod), nodes=nodes)).verdicts[pod.key]
        if verdict.outcome is Outcome.FITS_EXISTING:
            yield node.name


def _full(node: Node) -> Node:
    return replace(node, allocatable=node.allocatable.with_amounts({"pods": 0}))


def run(numbers: Sequence[int], cluster: Cluster, folder: Path, tell: Callable[[Score], None] | None = None) -> Score:
    """Compare the worlds of these numbers; `tell` hears the score after each."""
    with Oracle.start(cluster, build.folder(), folder) as oracle:
        fidelity = Fidelity(cluster, oracle)
        with fidelity.prepared():
            for number in numbers:
                fidelity.compare(build_world(number))
                if tell is not None:
                    tell(fidelity.score)
    return fidelity.score


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(count: int, first: int) -> int:
    """Compare `count` worlds from number `first` on; the exit code is 1 after a disagreement."""
    if not build.is_built():
        raise SystemExit("no control plane is built: run `make controlplane` once")

    told = 0

    def tell(score: Score) -> None:
        nonlocal told
        for line in score.disagreements[told:]:
            say(line)
        told = len(score.disagreements)
        if score.worlds % 20 == 0 or score.worlds == count:
            say(str(score))

    with (
        TemporaryDirectory() as name,
        ControlPlane.start(build.folder(), Path(name)) as plane,
        Cluster(plane.kubeconfig, is_ours=True) as cluster,
    ):
        score = run(range(first, first + count), cluster, plane.folder, tell)
    return 1 if score.disagreements else 0


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] + [300, 1][len(sys.argv) - 1 :]
    sys.exit(main(*numbers))
