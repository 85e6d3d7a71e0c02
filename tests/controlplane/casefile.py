"""Case files: a small world, and what the real scheduler said of it, so that it can be replayed without one.

`fits` are, by pending pod, the existing nodes that passed all filters; `bound`
tells whether the scheduler bound the pod once our plan was carried out. Nodes
are told in short; all else is as users write it. After a change of a world,
or of what the plan buys, `python -m tests.controlplane.casefile FILE...` asks
the scheduler anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from autoscaler.core.snapshot import Snapshot
from tests.controlplane import build, scenery, storage
from tests.controlplane.client import Json
from tests.controlplane.cluster import NAMESPACE, OF_EVERY_NODE, ZONE_LABEL, Cluster, hollow, node_of
from tests.controlplane.comparison import Comparer, Comparison, to_snapshot
from tests.controlplane.oracle import Oracle
from tests.controlplane.server import ControlPlane
from tests.controlplane.worlds import World, group_of, name_of

FOLDER = Path(__file__).parent / "cases"
_OF_EVERY_CONTAINER: tuple[Any, ...] = ("main", "example", [], {})
_DISK = ("ephemeral-storage", "100Gi")  # of a hollow node that says nothing else
_PARTS = ("storage", "daemonsets", "residents", "pending", "groups")


@dataclass
class Case:
    """A world under the name of the rule that it is about, and the scheduler's answers."""

    world: World
    about: str = ""
    daemons: list[dict[str, str]] = field(default_factory=list)  # the DaemonSets' pods: daemonset and node
    fits: dict[str, list[str]] = field(default_factory=dict)
    bound: dict[str, bool] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        """The world as the API server would show it, by files alone."""
        found = to_snapshot(self._documents())
        return replace(found, groups=tuple(group_of(told) for told in self.world.groups))

    def _documents(self) -> Iterator[Json]:
        yield from (*scenery.namespaces(), *scenery.priorities(), *storage.classes())
        yield from (*self.world.nodes, *map(_stored, self.world.storage), *self.world.residents, *self.world.pending)
        sets = {name_of(each): each for each in self.world.daemonsets}
        for name, each in sets.items():
            yield {**each, "metadata": {**each["metadata"], "namespace": NAMESPACE, "uid": name}}
        for one in self.daemons:
            template = sets[one["daemonset"]]["spec"]["template"]
            owner = {"kind": "DaemonSet", "name": one["daemonset"], "uid": one["daemonset"], "controller": True}
            meta = {**template["metadata"], "namespace": NAMESPACE, "name": f"{one['daemonset']}-{one['node']}"}
            yield {"kind": "Pod", "metadata": {**meta, "ownerReferences": [owner]},
                   "spec": {**template["spec"], "nodeName": one["node"]}}  # fmt: skip


def of(world: World, found: Comparison, about: str = "") -> Case:
    """A world with the answers just given."""
    return Case(
        world=world,
        about=about,
        daemons=sorted(
            ({"daemonset": pod["metadata"]["labels"]["agent"], "node": node_of(pod)} for pod in found.daemons),
            key=lambda one: (one["daemonset"], one["node"]),
        ),
        fits={name: sorted(nodes) for name, nodes in sorted(found.theirs.items())},
        bound=dict(sorted(found.bound.items())),
    )


def write(path: Path, case: Case) -> Path:
    """Write the file of a case, and return its path."""
    parts = {part: [_short(each) for each in getattr(case.world, part)] for part in _PARTS}
    told: dict[str, Any] = {
        "rule": case.world.name,
        "about": case.about,
        "nodes": [_short_node(node) for node in case.world.nodes],
        **{part: each for part, each in parts.items() if each},
        "scheduler": {"version": build.kubernetes_version(), "fits": case.fits, "bound": case.bound}
        | ({"daemons": case.daemons} if case.daemons else {}),
    }
    plain = json.loads(json.dumps(told))  # nothing shared, which YAML would write as an alias
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(plain, sort_keys=False, width=120, default_flow_style=None))
    return path


def read(path: Path) -> Case:
    """Read the file of a case; one that nobody has recorded yet has no answers."""
    told = yaml.safe_load(path.read_text())
    said = told.get("scheduler", {})
    world = World(told["rule"], nodes=[_long_node(node) for node in told["nodes"]])
    for part in _PARTS:
        setattr(world, part, told.get(part, []))
    world.residents = [_long_pod(pod) for pod in world.residents]
    world.pending = [_long_pod(pod) for pod in world.pending]
    return Case(world, told.get("about", ""), said.get("daemons", []), said.get("fits", {}), said.get("bound", {}))


def _short(manifest: Json) -> Json:
    """Without what every pod says."""
    if manifest.get("kind") != "Pod":
        return manifest
    meta = {key: value for key, value in manifest["metadata"].items() if value not in (NAMESPACE, {})}
    containers = [
        {key: one[key] for key in one if one[key] not in _OF_EVERY_CONTAINER} for one in _containers(manifest)
    ]
    return {"metadata": meta, "spec": {**manifest["spec"], "containers": containers}}


def _long_pod(short: Json) -> Json:
    containers = [{"name": "main", "image": "example", **one} for one in _containers(short)]
    made = {"kind": "Pod", "apiVersion": "v1", "metadata": {"namespace": NAMESPACE, **short["metadata"]}}
    return {**made, "spec": {**short["spec"], "containers": containers}}


def _containers(pod: Json) -> list[Json]:
    found: list[Json] = pod["spec"]["containers"]
    return found


def _short_node(node: Json) -> Json:
    labels = {key: value for key, value in node["metadata"]["labels"].items() if key not in OF_EVERY_NODE}
    spec = {key: value for key, value in node["spec"].items() if value}
    amounts = {key: amount for key, amount in node["status"]["allocatable"].items() if (key, amount) != _DISK}
    return {"name": name_of(node), "labels": labels, **spec, "allocatable": amounts}


def _long_node(short: Json) -> Json:
    rest = {key: value for key, value in short.items() if key not in ("name", "labels", "taints", "allocatable")}
    node = hollow(short["name"], labels=short["labels"], taints=short.get("taints", ()), **short["allocatable"])
    if ZONE_LABEL not in short["labels"]:
        del node["metadata"]["labels"][ZONE_LABEL]
    return {**node, "spec": {**node["spec"], **rest}}


def _stored(manifest: Json) -> Json:
    """An object of storage as it is once the binding controller has seen it."""
    made = {**manifest}
    if made["kind"] in ("PersistentVolumeClaim", "CSIStorageCapacity"):
        made["metadata"] = {**made["metadata"], "namespace": NAMESPACE}
    if made["kind"] == "PersistentVolumeClaim" and "volumeName" in made["spec"]:
        made["status"] = {"phase": "Bound"}
    if made["kind"] == "PersistentVolume":
        made["status"] = {"phase": "Bound" if "claimRef" in made["spec"] else "Available"}
    return made


def main(paths: Sequence[Path]) -> None:
    """Ask the scheduler of each case anew, and write its answers down; where we differ, say so."""
    with (
        TemporaryDirectory() as name,
        ControlPlane.start(build.folder(), Path(name)) as plane,
        Cluster(plane.kubeconfig, is_ours=True) as cluster,
        scenery.prepared(cluster),
        Oracle.start(cluster, build.folder(), plane.folder) as oracle,
    ):
        comparer = Comparer(cluster, oracle)
        for path in paths:
            case = read(path)
            found = comparer.compare(case.world)
            write(path, of(case.world, found, case.about))
            sys.stdout.write("".join(f"{path.name}: {each}\n" for each in found.differences))


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
