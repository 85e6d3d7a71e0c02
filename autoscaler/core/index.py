"""Who belongs to whom: instances, nodes and groups of one snapshot.

Everything is kept in name order, so that whoever walks it decides the same
whatever order the world came in.
"""

from __future__ import annotations

from collections import Counter

from autoscaler.core.model import GroupName, Instance, InstanceId, Node, NodeGroup, NodeName, Pod
from autoscaler.core.podspec import PodSpec
from autoscaler.core.snapshot import Snapshot


class Index:
    """Look-ups over one snapshot."""

    __slots__ = ("_node_names", "group_of_node", "groups", "instances", "node_of_instance", "nodes", "pods_of_node")

    def __init__(self, snapshot: Snapshot) -> None:
        self.groups: dict[GroupName, NodeGroup] = {
            one.name: one for one in sorted(snapshot.groups, key=lambda g: g.name)
        }
        self.nodes: dict[NodeName, Node] = {one.name: one for one in sorted(snapshot.nodes, key=lambda n: n.name)}
        self.instances: dict[InstanceId, tuple[NodeGroup, Instance]] = {
            instance.id: (group, instance)
            for group in self.groups.values()
            for instance in sorted(group.instances, key=lambda one: one.id)
        }
        self.node_of_instance: dict[InstanceId, Node] = {
            node.instance_id: node for node in self.nodes.values() if node.instance_id is not None
        }
        self.group_of_node: dict[NodeName, GroupName] = {
            node.name: self.instances[node.instance_id][0].name
            for node in self.nodes.values()
            if node.instance_id is not None and node.instance_id in self.instances
        }
        self.pods_of_node = _count_by_node(snapshot)

    def instance_of(self, node: Node) -> Instance | None:
        """The instance behind a node, when it belongs to a group of ours."""
        if node.instance_id is None:
            return None
        found = self.instances.get(node.instance_id)
        return found[1] if found is not None else None


def _count_by_node(snapshot: Snapshot) -> dict[NodeName, list[tuple[PodSpec, int]]]:
    """Count the pods that occupy each node by spec; a hundred thousand pods cost two passes in C.

    Finished pods hold nothing. Expendable pods are air: whoever has priority
    takes their room. A nominated pod holds its place on the nominated node.
    """
    cutoff = snapshot.policy.expendable_cutoff
    counts = Counter([(node, id(pod.spec)) for pod in snapshot.pods if (node := _occupies(pod)) is not None])
    specs = {id(pod.spec): pod.spec for pod in snapshot.pods}
    found: dict[NodeName, list[tuple[PodSpec, int]]] = {}
    for (node, spec_id), count in counts.items():
        spec = specs[spec_id]
        if spec.priority >= cutoff:
            found.setdefault(node, []).append((spec, count))
    return found


def _occupies(pod: Pod) -> NodeName | None:
    if pod.is_finished:
        return None
    return pod.node if pod.node is not None else pod.nominated_node
