"""Who belongs to whom: instances, nodes and groups of one snapshot.

Everything is kept in name order, so that whoever walks it decides the same
whatever order the world came in.
"""

from __future__ import annotations

from autoscaler.core.census import take_census
from autoscaler.core.model import GroupName, Instance, InstanceId, Node, NodeGroup, NodeName
from autoscaler.core.snapshot import Snapshot


class Index:
    """Look-ups over one snapshot."""

    __slots__ = ("census", "group_of_node", "groups", "instances", "node_of_instance", "nodes")

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
        census = snapshot.census
        cutoff = snapshot.policy.expendable_cutoff
        self.census = census if census is not None and census.cutoff == cutoff else take_census(snapshot.pods, cutoff)

    def instance_of(self, node: Node) -> Instance | None:
        """The instance behind a node, when it belongs to a group of ours."""
        if node.instance_id is None:
            return None
        found = self.instances.get(node.instance_id)
        return found[1] if found is not None else None
