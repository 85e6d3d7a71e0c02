"""Gaps: which objects do the files lack that pods ask about, and how are they added?

Asked for `simulate` alone, as who prints pods and nodes easily forgets the
rest. Decisions do not hang on it: what cannot be judged is refused anyway,
and here is told what would help. One warning for each gap, however many pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autoscaler.core.model import Pod
from autoscaler.core.scheduling.selectors import Namespaces
from autoscaler.core.storage import ClaimKey, Storage
from autoscaler.kubernetes.offline import ClusterObjects

_NAMED = 3  # pods by name in one warning


def tell_gaps(cluster: ClusterObjects) -> Iterator[str]:
    """Yield a warning for each kind that pods ask about and of which there is no object at all."""
    pods = [pod for pod in cluster.pods if not pod.is_finished]
    if not cluster.namespaces:
        yield from _without_namespaces(pods)
    yield from _without_storage([pod for pod in pods if not pod.node and pod.spec.claims], cluster.storage)


def _without_namespaces(pods: Iterable[Pod]) -> Iterator[str]:
    namespaces = Namespaces({})
    waiting: list[Pod] = []
    running: list[Pod] = []
    for pod in pods:
        terms = pod.spec.anti_affinity if pod.node else (*pod.spec.affinity, *pod.spec.anti_affinity)
        if any(namespaces.is_doubtful(term) for term in terms):
            (running if pod.node else waiting).append(pod)
    remedy = "there is no Namespace in the input: add what `kubectl get namespaces -o json` prints"
    if waiting:
        yield f"{_names(waiting)}: namespaceSelector of a pod affinity or anti-affinity cannot be judged; {remedy}"
    if running:
        told = "namespaceSelector of the anti-affinity is taken to mean every namespace"
        yield f"{_names(running)}: {told}; {remedy}"


def _without_storage(pods: Iterable[Pod], storage: Storage) -> Iterator[str]:
    """A claim that is missing among others is the pod's own fault, and its objection says so."""
    asking: dict[str, list[Pod]] = {}
    for pod in pods:
        for kind in {
            _missing_kind(ClaimKey(pod.namespace, ref.claim_of(pod.name)), storage) for ref in pod.spec.claims
        }:
            asking.setdefault(kind, []).append(pod)
    asking.pop("", None)
    for kind, users in sorted(asking.items()):
        yield (
            f"{_names(users)}: no node can be promised, as there is no {kind} in the input: add what "
            "`kubectl get persistentvolumeclaims,persistentvolumes,storageclasses -A -o json` prints"
        )


def _missing_kind(key: ClaimKey, storage: Storage) -> str:
    """The kind that is missing altogether where the claim leads, or nothing."""
    if not storage.claims:
        return "PersistentVolumeClaim"
    claim = storage.claims.get(key)
    if claim is None:
        return ""
    if claim.is_bound:
        return "" if storage.volumes else "PersistentVolume"
    return "StorageClass" if claim.storage_class and not storage.classes else ""


def _names(pods: Iterable[Pod]) -> str:
    names = sorted(f"{pod.namespace}/{pod.name}" for pod in pods)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"Pod {', '.join(names[:_NAMED])}{more}"
