"""Leftovers: marks on nodes that no drain of this process put there, and what becomes of each.

A drain that had begun is resumed while its deadline is ahead and its instance
is there; everything else is taken off. An instance that is going already
needs nothing, nor does one that has just gone: nobody may be sent to its
Node. What cluster-autoscaler left, which has no stamp, is cleaned up once, at
the start, as it does itself; a cordon without its taint is somebody else's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from autoscaler.core.decision import DrainCause
from autoscaler.core.model import GroupName, Instance, Node, NodeName, Uid
from autoscaler.core.scaledown.cases import DELETION_LASTS
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.draining.marks import Stamp, deleted_since, is_marked, is_tainted, read_stamp


class Leftover(NamedTuple):
    """A node with marks, its group if it has one, and the pods on it."""

    node: Node
    stamp: Stamp | None
    group: GroupName | None = None
    is_resumable: bool = False
    pods: int = 0

    @property
    def keeps_cordon(self) -> bool:
        """The taint is gone: who took it off was done with our cordon, too."""
        return not is_tainted(self.node)


def marked_by_others(snapshot: Snapshot) -> set[Uid]:
    """Name the nodes with marks that have no stamp of ours."""
    return {node.uid for node in snapshot.nodes if is_marked(node) and read_stamp(node.annotations) is None}


def find_leftovers(
    snapshot: Snapshot, *, busy: Collection[NodeName], identity: str, theirs: Collection[Uid]
) -> Iterator[Leftover]:
    """Yield what is to be resumed or taken off.

    `busy` are nodes whose marks are of this process, `theirs` those that had
    marks without a stamp at the start.
    """
    marked = [node for node in snapshot.nodes if node.name not in busy and node.deleted_at is None and is_marked(node)]
    if not marked:
        return
    instances = {one.id: (group.name, one) for group in snapshot.groups for one in group.instances}
    for node in sorted(marked, key=lambda one: one.name):
        group, instance = instances.get(node.instance_id, (None, None)) if node.instance_id else (None, None)
        found = _judge(Leftover(node, read_stamp(node.annotations), group), instance, snapshot, identity)
        if found is not None and (found.stamp is not None or node.uid in theirs):
            yield found


def _judge(left: Leftover, instance: Instance | None, snapshot: Snapshot, identity: str) -> Leftover | None:
    """Decide about one node; None: it is left as it is."""
    if instance is not None and not instance.is_live:
        return None
    stamp = left.stamp
    if stamp is None:
        since = deleted_since(left.node)
        is_fresh = since is not None and snapshot.at - since < DELETION_LASTS
        return None if instance is None and is_fresh else left
    has_time = snapshot.at < stamp.deadline
    if instance is None:
        return None if has_time else left  # its instance has ended, and soon the Node goes too
    is_known = stamp.cause in {str(cause) for cause in DrainCause}
    if not (has_time and is_known) or stamp.owner == identity or not is_tainted(left.node):
        return left
    pods = sum(pod.node == left.node.name for pod in snapshot.pods)
    return left._replace(is_resumable=True, pods=pods)
