"""EKS managed node groups: what DescribeNodegroup adds to a group's tags.

The labels are those that EKS gives its nodes, and the ones cluster-autoscaler
derives. Where both speak, the node group overrides the tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autoscaler.aws.fields import Document, optional_text, rows, table, text, whole
from autoscaler.aws.known import NodegroupKey
from autoscaler.aws.tags import TagReading, read_resources
from autoscaler.core.podspec import Effect, Taint

CLUSTER_TAG, NODEGROUP_TAG = "eks:cluster-name", "eks:nodegroup-name"
_EFFECTS = {
    "NO_SCHEDULE": Effect.NO_SCHEDULE,
    "PREFER_NO_SCHEDULE": Effect.PREFER_NO_SCHEDULE,
    "NO_EXECUTE": Effect.NO_EXECUTE,
}


def nodegroup_key(tags: Mapping[str, str]) -> NodegroupKey | None:
    """Return the managed node group that a group with these tags belongs to."""
    cluster, name = tags.get(CLUSTER_TAG), tags.get(NODEGROUP_TAG)
    return NodegroupKey(cluster, name) if cluster and name else None


def index_nodegroups(documents: Iterable[Document]) -> dict[NodegroupKey, Document]:
    """Index what `aws eks describe-nodegroup` prints, without its envelope. Raises FieldError."""
    return {NodegroupKey(text(each, "clusterName"), text(each, "nodegroupName")): each for each in documents}


def apply_nodegroup(reading: TagReading, nodegroup: Document) -> None:
    """Add labels, taints and `resources/` tags to what the group's own tags said. Raises FieldError."""
    labels = reading.labels
    for key, label in (
        ("amiType", "amiType"),
        ("version", "k8sVersion"),
        ("capacityType", "eks.amazonaws.com/capacityType"),
        ("nodegroupName", "eks.amazonaws.com/nodegroup"),
    ):
        if value := optional_text(nodegroup, key):
            labels[label] = value
    if size := whole(nodegroup, "diskSize", 0):
        labels["diskSize"] = str(size)
    labels |= {key: str(value) for key, value in table(nodegroup, "labels").items()}
    for taint in rows(nodegroup, "taints"):
        effect = _EFFECTS.get(text(taint, "effect"))
        if effect is not None:
            found = Taint(text(taint, "key"), optional_text(taint, "value"), effect)
            reading.taints = [one for one in reading.taints if (one.key, one.effect) != (found.key, effect)]
            reading.taints.append(found)
    reading.resources |= read_resources({key: str(value) for key, value in table(nodegroup, "tags").items()})


def architecture_of(nodegroup: Document) -> str:
    """Return amd64 or arm64, after the AMI type; empty when that does not tell."""
    kind = optional_text(nodegroup, "amiType")
    if not kind or kind == "CUSTOM":
        return ""
    return "arm64" if "ARM_64" in kind else "amd64"
