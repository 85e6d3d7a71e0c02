"""Drains, told: events with cluster-autoscaler's reasons, figures and log lines."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from autoscaler.core.decision import Decision, DrainCause, Why
from autoscaler.core.model import GroupName, NodeGroup, NodeName, Pod, Uid
from autoscaler.core.scaledown.outcome import DrainOutcome, Ending
from autoscaler.metrics import Metrics, series
from autoscaler.publish.events import NORMAL, WARNING, Anchors, Event, ObjectRef, event
from autoscaler.publish.numbers import gpu_of

REASONS = {
    DrainCause.UNREADY: "unready",
    DrainCause.EMPTY: "empty",
    DrainCause.UNNEEDED: "underutilized",
    DrainCause.RETURN_TO_SPOT: "returnToSpot",
    DrainCause.INTERRUPTION: "interruption",
}
GATES = series.GATES
ALARMING = frozenset({Why.CLUSTER_UNHEALTHY, Why.CAPACITY_REFUSED})


@dataclass(frozen=True)
class DrainTeller:
    """Counts, logs, and returns the events to be written."""

    metrics: Metrics
    log: FilteringBoundLogger
    anchors: Anchors

    def began(self, node: tuple[NodeName, Uid], group: GroupName, cause: DrainCause, pods: int) -> tuple[Event, ...]:
        """A node is about to be marked; `pods` are to be moved."""
        name, uid = node
        self.log.info("drain.began", node=name, node_group=group, cause=str(cause), pods=pods)
        about = ObjectRef("Node", "", name, uid)
        if cause is DrainCause.EMPTY:
            whole = event(self.anchors.status, NORMAL, "ScaleDownEmpty", f"removing empty node {name} of {group}")
        else:
            message = f"removing node {name} of {group} ({cause}); {pods} pods move"
            whole = event(self.anchors.status, NORMAL, "ScaleDown", message)
        return event(about, NORMAL, "ScaleDown", f"marked the node as to be deleted ({cause})"), whole

    def adopted(self, node: NodeName, cause: str, owner: str, *, resumed: bool) -> None:
        """A drain that an earlier process had begun was found."""
        self.log.info("drain.adopted", node=node, cause=cause, owner=owner, resumed=resumed)

    def evicted(self, node: NodeName, pod: Pod, detail: str) -> tuple[Event, ...]:
        """A pod was let go; with a `detail` it was not."""
        about = ObjectRef("Pod", pod.namespace, pod.name, pod.uid)
        self.metrics.add(series.EVICTED_PODS, eviction_result="failed" if detail else "succeeded")
        if detail:
            self.log.warning("drain.eviction_failed", node=node, pod=str(pod.key), detail=detail)
            return (event(about, WARNING, "ScaleDownFailed", f"failed to evict the pod from {node}: {detail}"),)
        self.log.debug("drain.pod_evicted", node=node, pod=str(pod.key))
        return (event(about, NORMAL, "ScaleDown", f"deleting pod for node scale down ({node})"),)

    def ended(self, outcome: DrainOutcome, group: NodeGroup | None) -> tuple[Event, ...]:
        """A drain is over; `group` is the node's, where it is still known."""
        seconds = (outcome.at - outcome.began).total_seconds()
        say = self.log.warning if outcome.ending is Ending.FAILED else self.log.info
        say(
            "drain.ended",
            node=outcome.node,
            node_group=outcome.group,
            cause=str(outcome.cause),
            result=str(outcome.ending),
            detail=outcome.detail,
            evicted=outcome.evicted,
            attempt=outcome.attempt,
            seconds=round(seconds, 1),
        )
        self.metrics.add(series.DRAINS, cause=outcome.cause, result=outcome.ending)
        about = ObjectRef("Node", "", outcome.node, outcome.uid)
        if outcome.ending is Ending.REMOVED:
            gpu = gpu_of(group) if group is not None else ""
            self.metrics.add(series.SCALED_DOWN_NODES, reason=REASONS[outcome.cause], gpu_resource_name=gpu)
            self.metrics.observe(series.DRAIN_SECONDS, seconds, cause=outcome.cause)
            return (event(about, NORMAL, "ScaleDown", f"node removed by cluster autoscaler ({outcome.cause})"),)
        if outcome.ending is Ending.FAILED:
            return (event(about, WARNING, "ScaleDownFailed", f"failed to drain the node: {outcome.detail}; undone"),)
        if outcome.ending in (Ending.CALLED_OFF, Ending.STOPPED):
            return (event(about, NORMAL, "ScaleDownCalledOff", f"the node stays: {outcome.detail}; undone"),)
        return ()

    def cleaned(self, node: NodeName, uid: Uid, fault: str) -> tuple[Event, ...]:
        """What an earlier process left on a node was taken off, or could not be."""
        about = ObjectRef("Node", "", node, uid)
        if fault:
            self.log.warning("drain.cleanup_failed", node=node, error=fault)
            message = f"failed to remove the taint left on the node: {fault}"
            return (event(about, WARNING, "ClusterAutoscalerCleanup", message),)
        self.log.info("drain.cleaned_up", node=node)
        return (event(about, NORMAL, "ClusterAutoscalerCleanup", "removed the taint left on the node"),)

    def gates(self, decision: Decision) -> tuple[Event, ...]:
        """Tell what stops removals as a whole, as far as it kept a node."""
        found: dict[Why, str] = {}
        for objections in decision.kept.values():
            found.update({one.why: one.detail for one in objections if one.why in GATES})
        self.metrics.replace(series.CLOSED_GATES, dict.fromkeys(map(str, found), 1.0))
        return tuple(
            event(self.anchors.status, WARNING, "ClusterUnhealthy", f"no node is removed: {found[why]}")
            if why in ALARMING
            else event(self.anchors.status, NORMAL, "ScaleDownHeld", f"no node is removed: {found[why]} ({why})")
            for why in GATES
            if why in found and why is not Why.PODS_COME_FIRST
        )

    def going(self, count: int) -> None:
        """So many nodes are on their way out."""
        self.metrics.put(series.PENDING_DELETIONS, count)
