"""Which pending pods a pass works for, and what becomes of the others.

A pod is left alone for reasons of its own (gated, terminating, expendable…);
whether a place can be found is asked later, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler.core.decision import Objection, Outcome, Verdict, Why
from autoscaler.core.duration import parse_duration
from autoscaler.core.model import Pod, PodKey
from autoscaler.core.snapshot import Snapshot

DELAY_ANNOTATION = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"


@dataclass(slots=True)
class Candidates:
    """Pods that need a place, and verdicts on those that are not asked for one."""

    pods: list[Pod] = field(default_factory=list)
    verdicts: dict[PodKey, Verdict] = field(default_factory=dict)
    delay_ends: datetime | None = None  # the first of those that wait for their delay


def choose_candidates(snapshot: Snapshot, pending: Iterable[Pod]) -> Candidates:
    """Judge every pending pod by itself."""
    found = Candidates()
    last: Pod | None = None
    shared: Verdict | None = None
    is_plain = False
    for pod in pending:
        # Replicas mostly come one after the other, and share all of these.
        if (
            last is None
            or pod.spec is not last.spec
            or pod.owner is not last.owner
            or pod.annotations is not last.annotations
        ):
            last, shared = pod, _judge_spec(pod, snapshot)
            is_plain = shared is None and not pod.is_of_daemonset and not _delay(pod, snapshot)
        if is_plain and pod.unschedulable_since and pod.deleted_at is None and pod.nominated_node is None:
            found.pods.append(pod)
            continue
        verdict = shared or _judge_pod(pod, snapshot) or _judge_age(pod, snapshot, found)
        if verdict is None:
            found.pods.append(pod)
        else:
            found.verdicts[pod.key] = verdict
    return found


def _judge_spec(pod: Pod, snapshot: Snapshot) -> Verdict | None:
    """Reasons that all pods of one spec share."""
    spec, policy = pod.spec, snapshot.policy
    if spec.gates:
        return _ignored(Why.GATED, "scheduling gates: " + ", ".join(spec.gates))
    if policy.allowed_schedulers and spec.scheduler not in policy.allowed_schedulers:
        return _ignored(Why.OTHER_SCHEDULER, spec.scheduler)
    if spec.priority < policy.expendable_cutoff:
        detail = f"priority {spec.priority} is below {policy.expendable_cutoff}"
        return Verdict(outcome=Outcome.EXPENDABLE, reasons=(Objection(Why.BELOW_CUTOFF, detail),))
    return None


def _judge_pod(pod: Pod, snapshot: Snapshot) -> Verdict | None:
    if pod.deleted_at is not None:
        return _ignored(Why.TERMINATING)
    if pod.is_of_daemonset:
        return _ignored(Why.DAEMONSET_POD, "its own controller binds it to its node")
    if pod.nominated_node is not None:
        return Verdict(outcome=Outcome.FITS_EXISTING, node=pod.nominated_node)
    policy = snapshot.policy
    if (
        policy.await_scheduler
        and pod.unschedulable_since is None
        and pod.spec.scheduler not in policy.bypassed_schedulers
    ):
        return _ignored(Why.NOT_YET_JUDGED, pod.spec.scheduler)
    return None


def _judge_age(pod: Pod, snapshot: Snapshot, found: Candidates) -> Verdict | None:
    """Let a pod wait for its delay, and note when the first delay ends."""
    delay = _delay(pod, snapshot)
    ends = pod.created + delay
    if not delay or snapshot.at >= ends:
        return None
    found.delay_ends = min(ends, found.delay_ends or ends)
    return Verdict(
        outcome=Outcome.WAITING, reasons=(Objection(Why.TOO_YOUNG, f"scale-up delay until {ends:%H:%M:%S}"),)
    )


def _delay(pod: Pod, snapshot: Snapshot) -> timedelta:
    return max(snapshot.policy.new_pod_scale_up_delay, _own_delay(pod))


def _own_delay(pod: Pod) -> timedelta:
    """The pod's own delay; one that cannot be read counts as none. Only a longer one than the flag's counts."""
    text = pod.annotations.get(DELAY_ANNOTATION) if pod.annotations else None
    if not text:
        return timedelta(0)
    try:
        return parse_duration(text)
    except ValueError:
        return timedelta(0)


def _ignored(why: Why, detail: str = "") -> Verdict:
    return Verdict(outcome=Outcome.IGNORED, reasons=(Objection(why, detail),))
