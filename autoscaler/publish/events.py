"""Kubernetes events for one wave, as values; somebody else writes them.

Reasons are cluster-autoscaler's where users already search for them, the
words are ours. Repetition is not judged here: the writer lets one pass for
each reason and object in five minutes. A message never exceeds what the API
server takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from autoscaler.core.decision import Decision, LaunchResult, Outcome, RefusalKind, Verdict, Why
from autoscaler.core.model import GroupName, NodeGroup, PodKey, Uid
from autoscaler.core.snapshot import Snapshot
from autoscaler.publish.reasons import groups_by_reason, identity, join_some, whys
from autoscaler.publish.report import WaveReport, nodes_of, units_of

MESSAGE_LIMIT = 1024  # of core/v1 Event.message
NORMAL, WARNING = "Normal", "Warning"
_GROUPS = 6
_WORDY = {RefusalKind.CONFIGURATION, RefusalKind.UNKNOWN, RefusalKind.LIMIT}


class ObjectRef(NamedTuple):
    """What an event is about; `uid` may be empty when it was never seen."""

    kind: str
    namespace: str
    name: str
    uid: str = ""


class Event(NamedTuple):
    """One event to be written; `type` is Normal or Warning."""

    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str


class Anchors(NamedTuple):
    """Objects that stand for the whole cluster in events."""

    status: ObjectRef
    priorities: ObjectRef


def event(about: ObjectRef, kind: str, reason: str, message: str) -> Event:
    """Make an event, its message cut to what the API server takes."""
    if len(message) > MESSAGE_LIMIT:
        message = message[: MESSAGE_LIMIT - 3] + "..."
    return Event(*about, kind, reason, message)


def events(report: WaveReport, anchors: Anchors) -> tuple[Event, ...]:
    """Everything that one wave has to tell, in a fixed order.

    What concerns the cluster comes first, as thousands of pods may fill the
    writer's queue. Pods that wait for an answer of this wave are told later.
    """
    return (
        *group_events(report, anchors.status),
        *priority_events(report.snapshot, report.decision, anchors.priorities),
        *pod_events(report),
    )


def pod_events(report: WaveReport) -> Iterator[Event]:
    """TriggeredScaleUp for pods whose launch brought nodes, NotTriggerScaleUp for those without help."""
    messages = _triggered(report)
    if not report.decision.undecided:
        told: dict[object, str] = {}
        for key, verdict in report.decision.verdicts.items():
            if verdict.outcome in (Outcome.WAITING, Outcome.UNSCHEDULABLE) and key not in messages:
                alike = identity(verdict)
                if alike not in told:
                    told[alike] = _refused(verdict)
                messages[key] = (False, told[alike])
    uids = _uids(report.snapshot, messages)
    for key in sorted(messages):
        triggered, message = messages[key]
        about = ObjectRef("Pod", key.namespace, key.name, uids.get(key, ""))
        yield event(about, NORMAL, "TriggeredScaleUp" if triggered else "NotTriggerScaleUp", message)


def group_events(report: WaveReport, status: ObjectRef) -> Iterator[Event]:
    """What happened to node groups, on the status ConfigMap."""
    groups = {group.name: group for group in report.snapshot.groups}
    for name, results in sorted(_by_group(report.results).items()):
        group = groups.get(name)
        if group is not None and any(nodes_of(result) for result in results):
            yield event(status, NORMAL, "ScaledUpGroup", f"scaled up group {_resized(group, results)}")
        refused = _refusals(name, results)
        if refused:
            yield event(status, WARNING, "FailedToScaleUpGroup", refused)
    yield from _without_launch_api(report, status)
    for removal in sorted(report.decision.removals, key=lambda one: (one.group, one.instance)):
        if removal.reason == "NoNode":
            message = (
                f"group {removal.group}: instance {removal.instance} did not become a node in time; terminating it"
            )
            yield event(status, NORMAL, "DeleteUnregistered", message)
        else:
            message = f"group {removal.group}: instance {removal.instance} is more than needed; giving it back"
            yield event(status, NORMAL, "SurplusReturned", message)
    for group in sorted(report.snapshot.groups, key=lambda one: one.name):
        for fault in group.faults:
            yield event(status, WARNING, fault.code, f"group {group.name}: {fault.detail}")
    if any(_names(verdict, Why.MAX_NODES_TOTAL) for verdict in _distinct(report.decision)):
        limit = report.snapshot.policy.max_nodes_total
        yield event(status, WARNING, "MaxNodesTotalReached", f"pods wait: --max-nodes-total={limit} is reached")


def priority_events(snapshot: Snapshot, decision: Decision, priorities: ObjectRef) -> Iterator[Event]:
    """Groups that the priority ConfigMap does not match, told while pods are pending."""
    tiers = snapshot.policy.tiers
    if not tiers.entries or not decision.verdicts:
        return
    names = sorted(group.name for group in snapshot.groups)
    left_out = [name for name in names if tiers.priority_of(name) is None]
    if names and len(left_out) == len(names):
        message = f"no expression matches any of {len(names)} groups; all of them are one tier"
        yield event(priorities, WARNING, "PriorityConfigMapNoGroupMatched", message)
    elif left_out:
        message = f"no expression matches {join_some(left_out, 20)}; left out"
        yield event(priorities, WARNING, "PriorityConfigMapNotMatchedGroup", message)


def _triggered(report: WaveReport) -> dict[PodKey, tuple[bool, str]]:
    """For each pod that caused a launch with success: its groups, with old and new size."""
    groups = {group.name: group for group in report.snapshot.groups}
    by_group = {name: found for name, found in _by_group(report.results).items() if name in groups}
    sizes = {name: _resized(groups[name], results) for name, results in by_group.items()}
    helped: dict[PodKey, set[str]] = {}
    for result in report.results:
        if result.launch.group in sizes and nodes_of(result):
            for key in result.launch.pods:
                helped.setdefault(key, set()).add(f"{{{sizes[result.launch.group]}}}")
    verdicts = report.decision.verdicts
    return {
        key: (True, f"pod triggered scale-up: [{' '.join(sorted(texts))}]{_not_honoured(verdicts.get(key))}")
        for key, texts in helped.items()
    }


def _not_honoured(verdict: Verdict | None) -> str:
    """What the pod would rather have, and does not get on its new node."""
    return f"; not honoured: {', '.join(whys(verdict.unmet))}" if verdict is not None and verdict.unmet else ""


def _refused(verdict: Verdict) -> str:
    parts = sorted(str(reason) for reason in verdict.reasons)
    parts += [f"{len(groups)} {why} ({join_some(groups, _GROUPS)})" for why, groups in groups_by_reason(verdict)]
    return f"pod didn't trigger scale-up: {', '.join(parts) or 'there is no node group'}"


def _resized(group: NodeGroup, results: Iterable[LaunchResult]) -> str:
    after = group.desired + sum(units_of(result) for result in results)
    return f"{group.name} {group.desired}->{after} (max: {group.max_size})"


def _refusals(group: GroupName, results: Iterable[LaunchResult]) -> str:
    """One sentence for all refusals of a group: class, code, where; AWS's words where they are needed."""
    found: dict[tuple[RefusalKind, str], set[str]] = {}
    words: set[str] = set()
    for result in results:
        for refusal in result.refusals:
            if refusal.kind is RefusalKind.NO_LAUNCH_API:
                continue
            where = refusal.zone or result.launch.zone or "any zone"
            found.setdefault((refusal.kind, refusal.code), set()).add(where)
            if refusal.kind in _WORDY and refusal.detail:
                words.add(refusal.detail)
    if not found:
        return ""
    classes = [
        f"{kind} in {join_some(sorted(zones), _GROUPS)}" + (f" ({code})" if code else "")
        for (kind, code), zones in sorted(found.items())
    ]
    return f"group {group} refused: {'; '.join(classes)}" + "".join(f": {text}" for text in sorted(words))


def _without_launch_api(report: WaveReport, status: ObjectRef) -> Iterator[Event]:
    codes = {
        refusal.code
        for result in report.results
        for refusal in result.refusals
        if refusal.kind is RefusalKind.NO_LAUNCH_API
    }
    if codes:
        message = (
            f"LaunchInstances is unknown here or not permitted ({', '.join(sorted(codes))}); "
            "groups are scaled by their desired capacity, it is tried again in an hour"
        )
        yield event(status, WARNING, "LaunchInstancesUnavailable", message)


def _by_group(results: Iterable[LaunchResult]) -> dict[GroupName, list[LaunchResult]]:
    found: dict[GroupName, list[LaunchResult]] = {}
    for result in results:
        found.setdefault(result.launch.group, []).append(result)
    return found


def _distinct(decision: Decision) -> Iterable[Verdict]:
    """Each verdict once: pods of a class share theirs."""
    return {identity(verdict): verdict for verdict in decision.verdicts.values()}.values()


def _names(verdict: Verdict, why: Why) -> bool:
    raised = (objection for objections in (*verdict.objections.values(), verdict.reasons) for objection in objections)
    return verdict.outcome is Outcome.WAITING and any(objection.why is why for objection in raised)


def _uids(snapshot: Snapshot, wanted: Iterable[PodKey]) -> dict[PodKey, Uid]:
    keys = frozenset(wanted)
    if not keys:
        return {}
    return {pod.key: pod.uid for pod in snapshot.pods if pod.node is None and pod.key in keys}
