"""What stops removals as a whole: the operator, an unhealthy cluster, pods that come first.

An open breaker stops every removal, Empty and Unready too. Pods of priority
for which nodes are on their way stop evictions only: empty nodes still go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from autoscaler.core.decision import Objection, Outcome, Verdict, Why
from autoscaler.core.index import Index
from autoscaler.core.model import GroupName, Node, Pod, PodKey
from autoscaler.core.scaledown.cases import is_going
from autoscaler.core.scaledown.memory import ScaleDownMemory, held_until
from autoscaler.core.scaledown.policy import ScaleDownPolicy
from autoscaler.core.scaleup.offers import PASSING
from autoscaler.core.snapshot import Snapshot

STARVING = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What is closed now. `all` holds everything, `evictions` all but empty nodes."""

    all: tuple[Objection, ...] = ()
    evictions: tuple[Objection, ...] = ()
    next_at: datetime | None = None  # when a window opens or closes


def read_gates(snapshot: Snapshot, index: Index, verdicts: Mapping[PodKey, Verdict]) -> Gates:
    """Look at every gate."""
    policy, at = snapshot.policy.scale_down, snapshot.at
    closed: list[Objection] = []
    if not policy.enabled:
        closed.append(Objection(Why.SCALE_DOWN_OFF, "--scale-down-enabled=false"))
    if policy.paused:
        closed.append(Objection(Why.PAUSED, "voluntary action is paused"))
    windows = policy.budget.windows if policy.budget is not None else ()
    if windows and not any(window.contains(at) for window in windows):
        closed.append(Objection(Why.OUTSIDE_WINDOW, "; ".join(window.text for window in windows)))
    closed += snapshot.breakers
    closed += _unready(index.nodes.values(), snapshot)
    pending = [(pod, verdicts[pod.key]) for pod in index.census.pending if pod.spec.priority > 0]
    closed += _starving(pending, at)
    changes = [moment for window in windows if (moment := window.next_change(at)) is not None]
    return Gates(all=tuple(closed), evictions=tuple(_served_first(pending)), next_at=min(changes, default=None))


def _unready(nodes: Iterable[Node], snapshot: Snapshot) -> Iterable[Objection]:
    """cluster-autoscaler's limits: more unready nodes than the count, and than the percentage.

    A node that has not started yet is not unready, nor is one that goes.
    """
    policy, at = snapshot.policy.scale_down, snapshot.at
    total = unready = 0
    for node in nodes:
        total += 1
        is_young = at - node.created < snapshot.policy.max_node_startup_time
        unready += not node.ready and not (is_young and not node.was_ready) and not is_going(node, at)
    if unready > policy.ok_unready_count and unready * 100 > policy.max_unready_percentage * total:
        yield Objection(Why.CLUSTER_UNHEALTHY, f"{unready} of {total} nodes are unready")


def _starving(pending: Iterable[tuple[Pod, Verdict]], at: datetime) -> Iterable[Objection]:
    """A pod of priority that every group which could host it has refused for capacity, for minutes."""
    known: dict[int, bool] = {}
    for pod, verdict in pending:
        since = pod.unschedulable_since
        if verdict.outcome is not Outcome.WAITING or since is None or at - since < STARVING:
            continue
        key = id(verdict.objections)
        if key not in known:
            hosting = [whys for whys in map(_whys, verdict.objections.values()) if whys <= PASSING]
            known[key] = bool(hosting) and all(Why.IN_BACKOFF in whys for whys in hosting)
        if known[key]:
            yield Objection(Why.CAPACITY_REFUSED, f"{pod.key} has been refused everywhere since {since:%H:%M:%S}")
            return


def _whys(objections: Iterable[Objection]) -> frozenset[Why]:
    return frozenset(one.why for one in objections)


def _served_first(pending: Iterable[tuple[Pod, Verdict]]) -> Iterable[Objection]:
    served = [pod.key for pod, verdict in pending if verdict.outcome is Outcome.LAUNCH]
    if served:
        yield Objection(Why.PODS_COME_FIRST, f"a node is launched for {min(served)}")


def cooldown(memory: ScaleDownMemory | None, policy: ScaleDownPolicy, group: GroupName,
             at: datetime) -> tuple[tuple[Objection, ...], datetime | None]:  # fmt: skip
    """The delays that hold empty and unneeded nodes of a group, and when the first of them ends."""
    if memory is None:
        return (), None
    found, ends = [], None
    for word, events, delay in (
        ("launch", memory.added, policy.delay_after_add),
        ("removal", memory.removed, policy.delay_after_delete),
        ("failed removal", memory.failed, policy.delay_after_failure),
    ):
        until = held_until(events, delay, group, is_local=policy.delay_is_local)
        if until is not None and at < until:
            found.append(Objection(Why.COOLDOWN, f"after a {word}, until {until:%H:%M:%S}"))
            ends = min(until, ends or until)
    return tuple(found), ends
