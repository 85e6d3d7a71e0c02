"""Drains, carried out beside the passes: what a Decision wants drained is, each node by a task of its own.

A pass only hands over; it never waits for a drain. What an earlier process
left on a node is resumed or undone, what failed is remembered, so that the
core leaves the node alone for a while. Ends with the lease: the drains stop
where they are, and the successor finds their stamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import structlog
from anyio.abc import TaskGroup

from autoscaler import clock
from autoscaler.core.decision import Decision, Drain, DrainCause, Removal
from autoscaler.core.model import GroupName, Node, NodeGroup, NodeName, Pod, Uid
from autoscaler.core.scaledown.outcome import DrainOutcome, Ending
from autoscaler.core.snapshot import Snapshot
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.draining.engine import DrainOrder, DrainTools, NodeDrain
from autoscaler.kubernetes.draining.evictor import Result
from autoscaler.kubernetes.draining.marks import Unmark, candidate_since, is_marked
from autoscaler.kubernetes.draining.nodes import NodeWriter
from autoscaler.kubernetes.draining.shunning import Shunning
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.leftovers import Leftover, find_leftovers, marked_by_others
from autoscaler.loop.pace import Pace
from autoscaler.loop.ports import Hands
from autoscaler.loop.voice import Speaker

log = structlog.get_logger()

DRAINED = "Drained"  # reason of the Removal
CORDONED = "node.kubernetes.io/unschedulable"
SETTLING = 30.0  # seconds for the cache to show that the marks are off
CLEANING = 5.0  # seconds that the first pass waits for that
SHORTEST_PAUSE = timedelta(minutes=1)  # before a node that was not wanted at the second look is marked again
LONGEST_PAUSE = timedelta(hours=1)  # before another attempt on a node
GOING_FOR = timedelta(minutes=5)  # a Node that outlives its instance longer than this is not counted any more


@dataclass(frozen=True, kw_only=True)
class DrainParts:
    """What a Drainer works with.

    `pause` is the time before a second attempt on a node; it doubles. Soft
    taints younger than `soft_taint_ttl` at the start keep their nodes' unneeded time.
    """

    hands: Hands
    ledger: Ledger
    pace: Pace
    speaker: Speaker
    shunning: Shunning
    nodes: NodeWriter
    pause: timedelta
    soft_taint_ttl: timedelta


class Drainer:
    """Runs drains, and is whom they work for."""

    def __init__(self, parts: DrainParts, tools: DrainTools) -> None:
        self._parts = parts
        self._tools = tools
        self._tasks: TaskGroup | None = None
        self._running: dict[NodeName, NodeDrain] = {}
        self._settling: dict[NodeName, float] = {}  # ended; until when, on anyio's clock
        self._going: dict[Uid, datetime] = {}
        self._attempts: dict[NodeName, int] = {}
        self._groups: dict[GroupName, NodeGroup] = {}
        self._theirs: set[Uid] | None = None  # marked without a stamp at the start, and not cleaned up yet
        self._has_inherited = False

    async def run(self) -> None:
        """Be ready for work until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._parts.shunning.run)
            try:
                await anyio.sleep_forever()
            finally:
                self._tasks = None

    async def clean_up(self, snapshot: Snapshot) -> bool:
        """Before anything is decided: open the nodes that an earlier process left marked, and nobody drains on.

        The pods that it evicted may well fit there again; a node would be
        bought for them otherwise. Tells whether there was something to do.
        """
        if self._theirs is not None:
            return False
        self._theirs = marked_by_others(snapshot)
        found = [one for one in self._leftovers(snapshot) if not one.is_resumable]
        with anyio.move_on_after(CLEANING):
            async with anyio.create_task_group() as tasks:
                for leftover in found:
                    tasks.start_soon(self._clean, leftover)
            while any(self._is_shut(one.node) for one in found):
                await self._tools.cluster.wait_change()
        return bool(found)

    def take(self, snapshot: Snapshot, decision: Decision) -> None:
        """Take over what a pass decided; returns at once."""
        if self._tasks is None:
            return
        self._groups = {group.name: group for group in snapshot.groups}
        nodes = {node.name: node for node in snapshot.nodes}
        self._forget(nodes)
        if not self._has_inherited:
            self._has_inherited = True
            self._inherit(snapshot)
        for leftover in self._leftovers(snapshot):
            self._adopt(leftover, self._tasks)
        for drain in decision.drains:
            node = nodes.get(drain.node)
            if node is not None and not self._is_busy(drain.node):
                self._begin(drain, node, self._tasks)
        self._parts.shunning.want(decision.shunned, snapshot.nodes)
        self._parts.speaker.drains.going(len(self._running) + len(self._going))

    def _leftovers(self, snapshot: Snapshot) -> list[Leftover]:
        busy = {*self._running, *self._settling}
        return list(find_leftovers(snapshot, busy=busy, identity=self._tools.identity, theirs=self._theirs or ()))

    def _inherit(self, snapshot: Snapshot) -> None:
        """Take over since when nodes are unneeded from soft taints that are young enough."""
        soft = {node.name: since for node in snapshot.nodes if (since := candidate_since(node)) is not None}
        young = {name: since for name, since in soft.items() if snapshot.at - since < self._parts.soft_taint_ttl}
        self._parts.ledger.note_unneeded(young)
        self._parts.pace.ring()

    def _is_busy(self, name: NodeName) -> bool:
        return name in self._running or name in self._settling

    def _forget(self, nodes: dict[NodeName, Node]) -> None:
        """Let go of what is over: a node that is gone, a write that the cache shows by now."""
        now, at = anyio.current_time(), clock.now()
        uids = {node.uid for node in nodes.values()}
        self._settling = {name: until for name, until in self._settling.items() if until > now and name in nodes}
        self._going = {uid: since for uid, since in self._going.items() if uid in uids and at - since < GOING_FOR}
        self._attempts = {name: count for name, count in self._attempts.items() if name in nodes}

    def _begin(self, drain: Drain, node: Node, tasks: TaskGroup) -> None:
        group = self._group_of(node)
        if group is None or node.instance_id is None:
            log.error("drain.without_instance", node=drain.node)
            return
        attempt = self._attempts.get(drain.node, 0) + 1
        order = DrainOrder(
            node=node.name,
            uid=node.uid,
            cause=drain.cause,
            group=group.name,
            instance=node.instance_id,
            pods=len(drain.pods),
            attempt=attempt,
        )
        speaker = self._parts.speaker
        speaker.record(speaker.drains.began((node.name, node.uid), group.name, drain.cause, len(drain.pods)))
        self._start(order, tasks)

    def _adopt(self, leftover: Leftover, tasks: TaskGroup) -> None:
        """Resume what an earlier process had begun, or undo it."""
        node, stamp = leftover.node, leftover.stamp
        resumes = leftover.is_resumable and stamp is not None and node.instance_id is not None
        if stamp is not None:
            self._parts.speaker.drains.adopted(node.name, stamp.cause, stamp.owner, resumed=resumes)
        if resumes and stamp is not None and node.instance_id is not None and leftover.group is not None:
            self._attempts[node.name] = stamp.attempt - 1
            order = DrainOrder(
                node=node.name,
                uid=node.uid,
                cause=DrainCause(stamp.cause),
                group=leftover.group,
                instance=node.instance_id,
                pods=leftover.pods,
                attempt=stamp.attempt,
                adopted=stamp,
            )
            self._start(order, tasks)
            return
        self._settling[node.name] = anyio.current_time() + SETTLING
        tasks.start_soon(self._clean, leftover)

    def _is_shut(self, node: Node) -> bool:
        """By the cache the marks are on, or the taint of their cordon, which Kubernetes takes off a little later."""
        now = self._tools.cluster.nodes.objects.get(node.uid)
        if now is None:
            return False
        return is_marked(now) or (not now.is_cordoned and any(taint.key == CORDONED for taint in now.taints))

    async def _clean(self, leftover: Leftover) -> None:
        node, fault = leftover.node, ""
        owner = leftover.stamp.owner if leftover.stamp is not None else ""
        self._settling[node.name] = anyio.current_time() + SETTLING
        try:
            await self._parts.nodes.edit(node.name, node.uid, Unmark(owner, leftover.keeps_cordon))
            if self._theirs is not None:
                self._theirs.discard(node.uid)
        except KubernetesError as error:
            fault = str(error)
            self._settling[node.name] = anyio.current_time() + CLEANING  # then it is found again
        speaker = self._parts.speaker
        speaker.record(speaker.drains.cleaned(node.name, node.uid, fault))

    def _start(self, order: DrainOrder, tasks: TaskGroup) -> None:
        drain = self._running[order.node] = NodeDrain(order, self._tools, self)
        tasks.start_soon(self._drain, drain)

    async def _drain(self, drain: NodeDrain) -> None:
        order, began = drain.order, clock.now()
        try:
            end = await drain.run()
        finally:
            self._running.pop(order.node, None)
            self._settling[order.node] = anyio.current_time() + SETTLING
        outcome = DrainOutcome(
            node=order.node,
            uid=order.uid,
            group=order.group,
            instance=order.instance,
            cause=order.cause,
            ending=end.ending,
            detail=end.detail,
            evicted=end.evicted,
            attempt=order.attempt,
            began=began,
            at=clock.now(),
        )
        self._learn(outcome)
        speaker = self._parts.speaker
        speaker.record(speaker.drains.ended(outcome, self._groups.get(order.group)))
        self._parts.pace.ring()

    def _learn(self, outcome: DrainOutcome) -> None:
        """Remember how it went; a node that stays is left alone, longer after each attempt."""
        ledger, node = self._parts.ledger, outcome.node
        until = outcome.at
        if outcome.ending is Ending.REMOVED:
            self._going[outcome.uid] = outcome.at
        elif outcome.ending is Ending.CALLED_OFF:
            until = outcome.at + min(self._parts.pause, SHORTEST_PAUSE)
        elif outcome.ending in (Ending.FAILED, Ending.STOPPED):
            self._attempts[node] = outcome.attempt
            until = outcome.at + min(self._parts.pause * 2 ** min(outcome.attempt - 1, 10), LONGEST_PAUSE)
        ledger.note_drain(outcome, until)

    async def terminate(self, order: DrainOrder) -> bool:
        """End the instance of an emptied node, and give up its place in the group."""
        group = self._groups.get(order.group)
        if group is None:
            return False
        removal = Removal(group=order.group, instance=order.instance, decrement=True, reason=DRAINED)
        if not await self._parts.hands.remove(removal, group):
            return False
        self._parts.ledger.note_removal(removal, clock.now())
        self._parts.hands.touched({order.group})
        return True

    def tell_pod(self, order: DrainOrder, pod: Pod, result: Result, detail: str) -> None:
        """Tell what became of a pod."""
        speaker = self._parts.speaker
        speaker.record(speaker.drains.evicted(order.node, pod, detail if result is Result.FAILED else ""))

    def _group_of(self, node: Node) -> NodeGroup | None:
        for group in self._groups.values():
            if any(instance.id == node.instance_id for instance in group.instances):
                return group
        return None
