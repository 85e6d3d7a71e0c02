"""May this pod be moved off its node? cluster-autoscaler's rules, in their order.

The first rule with a definite outcome wins; a pod that no rule decides moves.
Whether it finds a place elsewhere is asked later. Rules that look at the kind
of pod alone are answered once per kind.
Source: kubernetes/autoscaler, pkg/simulator/drainability/rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import Phase, Pod
from autoscaler.core.podspec import PodSpec
from autoscaler.core.scaledown.budgets import PdbLedger
from autoscaler.core.scaledown.policy import ScaleDownPolicy
from autoscaler.core.snapshot import DaemonSet
from autoscaler.core.workload import Workload

PREFIX = "cluster-autoscaler.kubernetes.io/"
SAFE_TO_EVICT = PREFIX + "safe-to-evict"
SAFE_VOLUMES = PREFIX + "safe-to-evict-local-volumes"
PLACEHOLDER = "priority-autoscaler/placeholder"
DEFAULT_GRACE = timedelta(seconds=30)
LONG_TERMINATING = timedelta(seconds=30)  # past the end of the grace period
REPLICATED = frozenset(("ReplicationController", "Job", "ReplicaSet", "StatefulSet"))
API_GROUPS = {"ReplicationController": "", "ReplicaSet": "apps", "StatefulSet": "apps", "DaemonSet": "apps",
              "Job": "batch"}  # fmt: skip
_FINISHED = frozenset((Phase.SUCCEEDED, Phase.FAILED))
COUNTED = frozenset(("ReplicationController", "ReplicaSet"))  # by --min-replica-count


class Fate(StrEnum):
    """What becomes of a pod when its node goes."""

    IGNORED = "ignored"  # not there, as far as the drain is concerned
    STAYS = "stays"  # needs no new place: of a DaemonSet, finished, or air
    MOVES = "moves"
    BLOCKS = "blocks"


class Ruling(NamedTuple):
    """The outcome for one pod; `why` and `detail` where it blocks."""

    fate: Fate
    why: Why | None = None
    detail: str = ""


IGNORED = Ruling(Fate.IGNORED)
STAYS = Ruling(Fate.STAYS)
MOVES = Ruling(Fate.MOVES)
Rule = Callable[["Rulebook", Pod], Ruling | None]


class Owners:
    """Which controllers exist; of a kind that nobody told of, nothing is known."""

    def __init__(self, workloads: Iterable[Workload], daemonsets: Iterable[DaemonSet]) -> None:
        self._known = {(one.kind, one.namespace, one.name): one.replicas for one in workloads}
        self._known.update({("DaemonSet", one.namespace, one.name): None for one in daemonsets})
        self._kinds = {kind for kind, _, _ in self._known}

    def lacks(self, kind: str, namespace: str, name: str) -> bool:
        """Tell whether a controller is surely gone."""
        return kind in self._kinds and (kind, namespace, name) not in self._known

    def replicas(self, kind: str, namespace: str, name: str) -> int | None:
        return self._known.get((kind, namespace, name))


class Kind(NamedTuple):
    """Pods that all rules judge alike. `is_placeholder`: air that would buy a node anew."""

    spec: PodSpec
    ruling: Ruling
    is_air: bool
    is_placeholder: bool
    is_of_daemonset: bool
    is_mirror: bool


Kinds = list[tuple[Kind, list[Pod]]]


@dataclass(slots=True, kw_only=True)
class Rulebook:
    """The rules of one pass. `cutoff` is the priority below which pods are air."""

    at: datetime
    policy: ScaleDownPolicy
    owners: Owners
    pdbs: PdbLedger
    cutoff: int
    _kinds: dict[tuple[object, ...], Kind] = field(default_factory=dict)

    def kinds_of(self, pods: Iterable[Pod]) -> Kinds:
        """Sort pods into kinds, PDBs aside: those are shared by the pass."""
        groups: dict[tuple[object, ...], list[Pod]] = {}
        for pod in pods:
            if pod.deleted_at is not None or pod.phase in _FINISHED or pod.namespace == "kube-system":
                key: tuple[object, ...] = (id(pod),)
            else:
                key = (id(pod.spec), id(pod.annotations), id(pod.owner), pod.namespace)
            members = groups.get(key)
            if members is None:
                groups[key] = [pod]
            else:
                members.append(pod)
        known = self._kinds
        found = []
        for key, members in groups.items():
            kind = known.get(key)
            if kind is None:
                kind = known[key] = self._kind(members[0])
            found.append((kind, members))
        return found

    def judge(self, pod: Pod) -> Ruling:
        """Say what becomes of one pod."""
        return self._kind(pod).ruling

    def _kind(self, pod: Pod) -> Kind:
        airy = is_air(pod, self.cutoff)
        return Kind(
            spec=pod.spec,
            ruling=STAYS if airy else self._decide(pod),
            is_air=airy,
            is_placeholder=airy and pod.spec.priority == self.cutoff and not pod.is_finished,
            is_of_daemonset=pod.is_of_daemonset,
            is_mirror=pod.is_mirror,
        )

    def _decide(self, pod: Pod) -> Ruling:
        for rule in RULES:
            ruling = rule(self, pod)
            if ruling is not None:
                return STAYS if ruling is MOVES and pod.is_finished else ruling
        return STAYS if pod.is_finished else MOVES


def is_air(pod: Pod, cutoff: int) -> bool:
    """Tell whether anybody with priority takes the pod's room: expendable, or a placeholder at the cutoff."""
    priority = pod.spec.priority
    if priority > cutoff:
        return False
    if priority < cutoff or pod.annotations.get(PLACEHOLDER) == "true":
        return True
    return bool(pod.spec.images) and all(_is_pause(image) for image in pod.spec.images)


def _is_pause(image: str) -> bool:
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return name == "pause" or name.startswith("pause-")


def is_long_terminating(pod: Pod, at: datetime) -> bool:
    """Tell whether the pod should be gone by now.

    The deletion timestamp is when the grace period ends; cluster-autoscaler adds the grace period once more.
    """
    if pod.deleted_at is None:
        return False
    grace = DEFAULT_GRACE if pod.spec.grace_seconds is None else timedelta(seconds=pod.spec.grace_seconds)
    return at > pod.deleted_at + grace + LONG_TERMINATING


def _blocks(pod: Pod, why: Why, fact: str) -> Ruling:
    owner = f", owned by {pod.owner.kind} {pod.owner.name}" if pod.owner is not None else ", owned by nobody"
    return Ruling(Fate.BLOCKS, why, f"{fact}{owner}")


def _mirror(_: Rulebook, pod: Pod) -> Ruling | None:
    return IGNORED if pod.is_mirror else None


def _long_terminating(book: Rulebook, pod: Pod) -> Ruling | None:
    return IGNORED if is_long_terminating(pod, book.at) else None


def _replica_count(book: Rulebook, pod: Pod) -> Ruling | None:
    owner = pod.owner
    if not book.policy.skip_custom_controllers or owner is None or owner.kind not in API_GROUPS:
        return None
    if owner.api_version and owner.api_version.rpartition("/")[0] != API_GROUPS[owner.kind]:
        return None  # another group uses the same word
    if book.owners.lacks(owner.kind, pod.namespace, owner.name):
        return _blocks(pod, Why.CONTROLLER_NOT_FOUND, "its controller is gone")
    replicas = book.owners.replicas(owner.kind, pod.namespace, owner.name)
    least = book.policy.min_replica_count
    if owner.kind in COUNTED and replicas is not None and replicas < least:
        return _blocks(pod, Why.MIN_REPLICAS_REACHED, f"{replicas} replicas, fewer than {least}")
    return None


def _daemonset(_: Rulebook, pod: Pod) -> Ruling | None:
    return STAYS if pod.is_of_daemonset else None


def _safe_to_evict(_: Rulebook, pod: Pod) -> Ruling | None:
    return MOVES if pod.annotations.get(SAFE_TO_EVICT) == "true" else None


def _terminal(_: Rulebook, pod: Pod) -> Ruling | None:
    is_over = pod.phase is Phase.SUCCEEDED and pod.spec.restart_policy in ("Never", "OnFailure")
    return STAYS if is_over or pod.phase is Phase.FAILED else None


def _on_completion(_: Rulebook, pod: Pod) -> Ruling | None:
    if pod.annotations.get(SAFE_TO_EVICT) != "on-completion":
        return None
    return _blocks(pod, Why.BLOCKED_BY_ON_COMPLETION_POD, f"{SAFE_TO_EVICT}: on-completion")


def _replicated(book: Rulebook, pod: Pod) -> Ruling | None:
    if pod.owner is None:
        return _blocks(pod, Why.NOT_REPLICATED, "no controller would replace it")
    if book.policy.skip_custom_controllers and pod.owner.kind not in REPLICATED:
        return _blocks(pod, Why.NOT_REPLICATED, "its controller is of a kind that we do not know")
    return None


def _system(book: Rulebook, pod: Pod) -> Ruling | None:
    if not book.policy.skip_system_pods or pod.namespace != "kube-system" or book.pdbs.covers(pod):
        return None
    if book.at - pod.created > book.policy.system_pods_block_for:
        return MOVES
    return _blocks(pod, Why.UNMOVABLE_KUBE_SYSTEM_POD, "a kube-system pod without a PDB")


def _not_safe_to_evict(_: Rulebook, pod: Pod) -> Ruling | None:
    if pod.annotations.get(SAFE_TO_EVICT) != "false":
        return None
    return _blocks(pod, Why.NOT_SAFE_TO_EVICT_ANNOTATION, f"{SAFE_TO_EVICT}: false")


def _local_storage(book: Rulebook, pod: Pod) -> Ruling | None:
    if not book.policy.skip_local_storage or not pod.spec.local_volumes:
        return None
    safe = pod.annotations.get(SAFE_VOLUMES, "").split(",")  # names are not trimmed, as in cluster-autoscaler
    volume = next((name for name in pod.spec.local_volumes if name not in safe), None)
    return None if volume is None else _blocks(pod, Why.LOCAL_STORAGE_REQUESTED, f"local volume {volume}")


RULES: tuple[Rule, ...] = (
    _mirror,
    _long_terminating,
    _replica_count,
    _daemonset,
    _safe_to_evict,
    _terminal,
    _on_completion,
    _replicated,
    _system,
    _not_safe_to_evict,
    _local_storage,
)


def refusal(pod: Pod, ruling: Ruling) -> tuple[Objection, ...]:
    """What a blocking pod says against its node: that one does, and by which rule."""
    assert ruling.why is not None
    detail = f"{pod.key}: {ruling.detail}"
    if ruling.why is Why.BLOCKED_BY_ON_COMPLETION_POD:
        return (Objection(ruling.why, detail),)
    return Objection(Why.BLOCKED_BY_POD, detail), Objection(ruling.why, detail)
