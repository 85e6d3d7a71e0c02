"""The controllers of Deployments, ReplicaSets, ReplicationControllers, StatefulSets and Jobs, in small.

Each brings the number of pods to what is wanted and tells so in its status. A
Deployment's rollout starts all new pods at once and takes old ones away as the
new become Ready.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from .admission import admit
from .indexes import Indexes
from .objects import Json, controller_of, is_active, is_finished, is_ready, section, set_condition, text, uid, whole
from .resources import BY_NAME, CONTROLLERS, DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS, STATEFUL_SETS, Kind
from .store import Event, Key, Store, Stored, timestamp
from .timers import Reconciler
from .writes import pod_grace

_AT_ONCE = 100  # pods made or deleted before others get their turn
HASH = "pod-template-hash"
Mark = tuple[Kind, Key]


def owner_reference(kind: Kind, owner: Json) -> Json:
    meta = section(owner, "metadata")
    return {
        "apiVersion": kind.api_version, "kind": kind.kind, "name": meta.get("name"), "uid": meta.get("uid"),
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def pod_from(kind: Kind, owner: Json, name: str = "") -> Json:
    """A pod from the owner's template, owned by it; `name` or a generated one."""
    template = section(owner, "spec", "template")
    copied: Json = msgspec.json.decode(msgspec.json.encode(template))
    meta = section(copied, "metadata")
    mine = {"name": name} if name else {"generateName": f"{text(owner, 'metadata', 'name')}-"}
    return {
        "metadata": {
            **mine, "namespace": text(owner, "metadata", "namespace"), "labels": section(meta, "labels"),
            "annotations": section(meta, "annotations"), "ownerReferences": [owner_reference(kind, owner)],
        },
        "spec": section(copied, "spec"),
    }  # fmt: skip


class Workloads:
    """Keeps workloads and their pods in line."""

    def __init__(self, store: Store, indexes: Indexes) -> None:
        self._store = store
        self._indexes = indexes
        self._acts: dict[Kind, Callable[[Kind, Stored], None]] = {
            DEPLOYMENTS: self._deployment, REPLICA_SETS: self._replicas, CONTROLLERS: self._replicas,
            STATEFUL_SETS: self._stateful, JOBS: self._job,
        }  # fmt: skip
        self.reconciler: Reconciler[Mark] = Reconciler(self._reconcile)
        store.subscribe(self._note)

    def _note(self, event: Event) -> None:
        if event.kind is NODES:
            return
        if event.kind in self._acts and event.verb != "DELETED":
            self.reconciler.mark((event.kind, event.new.key))
        if event.kind in (PODS, REPLICA_SETS):
            owner = controller_of(event.new.value)
            kind = BY_NAME.get((str(owner.get("apiVersion")), str(owner.get("kind")))) if owner else None
            if kind in self._acts and kind is not None:
                self.reconciler.mark((kind, (event.new.key[0], str(owner.get("name")))))

    def _reconcile(self, mark: Mark) -> None:
        kind, key = mark
        stored = self._store.find(kind, *key)
        if stored is not None and not text(stored.value, "metadata", "deletionTimestamp"):
            self._acts[kind](kind, stored)

    def _pods(self, owner: Stored) -> list[Stored]:
        return [pod for _, pod in self._indexes.owned_by(uid(owner.value), PODS)]

    def _make(self, kind: Kind, owner: Stored, name: str = "") -> None:
        pod = pod_from(kind, owner.value, name)
        admit(self._store, PODS, pod)
        self._store.create(PODS, pod)

    def _drop(self, pod: Stored) -> None:
        self._store.delete(PODS, pod.key, grace=pod_grace(pod.value, None))

    def _counts(self, owner: Stored) -> tuple[int, int]:
        """How many pods count, and how many of them are Ready."""
        crew = self._indexes.crew(uid(owner.value))
        return len(crew.active), crew.ready

    def _adjust(self, kind: Kind, owner: Stored, wanted: int) -> None:
        """Make or delete pods towards the wanted number, some at a time."""
        surplus = self._counts(owner)[0] - wanted
        for _ in range(min(-surplus, _AT_ONCE)):
            self._make(kind, owner)
        if surplus > 0:
            active = sorted(self._indexes.crew(uid(owner.value)).active.values(), key=_least_useful)
            for pod in active[: min(surplus, _AT_ONCE)]:
                self._drop(pod)
        if abs(surplus) > _AT_ONCE:
            self.reconciler.mark((kind, owner.key))

    def _report(self, kind: Kind, owner: Stored, counts: Json) -> None:
        def report(value: Json) -> None:
            seen = whole(value, "metadata", "generation", default=1)
            value["status"] = {**section(value, "status"), "observedGeneration": seen, **counts}

        self._store.change(kind, owner.key, report)

    def _replicas(self, kind: Kind, owner: Stored) -> None:
        self._adjust(kind, owner, whole(owner.value, "spec", "replicas", default=1))
        count, ready = self._counts(owner)
        counts = {"replicas": count, "readyReplicas": ready, "availableReplicas": ready}
        self._report(kind, owner, counts | {"fullyLabeledReplicas": count})

    def _deployment(self, kind: Kind, owner: Stored) -> None:
        spec = section(owner.value, "spec")
        wanted = whole(spec, "replicas", default=1)
        mark = _template_hash(owner.value)
        owned = [one for _, one in self._indexes.owned_by(uid(owner.value), REPLICA_SETS)]
        new = next((one for one in owned if section(one.value, "metadata", "labels").get(HASH) == mark), None)
        if new is None:
            new = self._store.create(REPLICA_SETS, _replica_set(owner.value, mark, wanted, len(owned) + 1))
        self._copy_annotations(owner, new)
        self._resize(new, wanted)
        ready = whole(new.value, "status", "readyReplicas")
        spare = max(0, wanted - ready)
        for old in owned:
            if old.key != new.key:
                kept = min(spare, whole(old.value, "spec", "replicas"))
                self._resize(old, kept)
                spare -= kept
        sets = [one.value for _, one in self._indexes.owned_by(uid(owner.value), REPLICA_SETS)]
        total = sum(whole(one, "status", "replicas") for one in sets)
        available = sum(whole(one, "status", "availableReplicas") for one in sets)
        revision = text(new.value, "metadata", "annotations", "deployment.kubernetes.io/revision")

        def report(value: Json) -> None:
            value["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = revision
            value["status"] = section(value, "status") | {
                "observedGeneration": whole(value, "metadata", "generation", default=1), "replicas": total,
                "updatedReplicas": whole(new.value, "status", "replicas"), "readyReplicas": available,
                "availableReplicas": available, "unavailableReplicas": max(0, wanted - available),
            }  # fmt: skip
            enough = {"type": "Available", "status": "True" if available >= wanted else "False"}
            set_condition(value, enough | {"reason": "MinimumReplicas"}, timestamp())
            reason = "NewReplicaSetAvailable" if available >= wanted else "ReplicaSetUpdated"
            set_condition(value, {"type": "Progressing", "status": "True", "reason": reason}, timestamp())

        self._store.change(kind, owner.key, report)

    def _copy_annotations(self, owner: Stored, new: Stored) -> None:
        """Copy the Deployment's onto its new ReplicaSet, where they stay: none is ever taken away.

        Source: kubernetes/pkg/controller/deployment/util, SetNewReplicaSetAnnotations
        """
        wanted = {
            key: value
            for key, value in section(owner.value, "metadata", "annotations").items()
            if not key.startswith(("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied"))
        }
        present = section(new.value, "metadata", "annotations")
        if any(present.get(key) != value for key, value in wanted.items()):
            self._store.change(REPLICA_SETS, new.key, lambda value: value["metadata"]["annotations"].update(wanted))

    def _resize(self, replica_set: Stored, replicas: int) -> None:
        if whole(replica_set.value, "spec", "replicas") != replicas:
            self._store.change(REPLICA_SETS, replica_set.key, lambda value: value["spec"].update(replicas=replicas))

    def _stateful(self, kind: Kind, owner: Stored) -> None:
        wanted = whole(owner.value, "spec", "replicas", default=1)
        pods = {pod.key[1]: pod for pod in self._pods(owner)}
        names = [f"{owner.key[1]}-{ordinal}" for ordinal in range(wanted)]
        for name in names:
            if name not in pods:
                self._make(kind, owner, name)
            elif is_finished(pods[name].value):
                self._drop(pods[name])
        for name, pod in pods.items():
            if name not in names and is_active(pod.value):
                self._drop(pod)
        count, ready = self._counts(owner)
        self._report(kind, owner, {"replicas": count, "readyReplicas": ready, "availableReplicas": ready})

    def _job(self, kind: Kind, owner: Stored) -> None:
        spec = section(owner.value, "spec")
        pods = self._pods(owner)
        done = sum(text(pod.value, "status", "phase") == "Succeeded" for pod in pods)
        failed = sum(text(pod.value, "status", "phase") == "Failed" for pod in pods)
        completions = whole(spec, "completions", default=1)
        wanted = 0 if spec.get("suspend") is True else min(whole(spec, "parallelism", default=1), completions - done)
        self._adjust(kind, owner, max(0, wanted))
        self._report(kind, owner, {"active": self._counts(owner)[0], "succeeded": done, "failed": failed})
        if done >= completions:
            row = {"type": "Complete", "status": "True"}
            self._store.change(kind, owner.key, lambda value: set_condition(value, row, timestamp()))


def _least_useful(pod: Stored) -> tuple[bool, bool, int]:
    """Unassigned before assigned, unready before ready, young before old."""
    assigned = bool(text(pod.value, "spec", "nodeName"))
    return (assigned, is_ready(pod.value), -pod.version)


def _template_hash(deployment: Json) -> str:
    encoded = msgspec.json.encode(section(deployment, "spec", "template"), order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:10]


def _replica_set(deployment: Json, mark: str, replicas: int, revision: int) -> Json:
    spec = section(deployment, "spec")
    template: Json = msgspec.json.decode(msgspec.json.encode(section(spec, "template")))
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = mark
    selector = section(spec, "selector")
    matched = section(selector, "matchLabels") | {HASH: mark}
    return {
        "metadata": {
            "name": f"{text(deployment, 'metadata', 'name')}-{mark}",
            "namespace": text(deployment, "metadata", "namespace"),
            "labels": template["metadata"]["labels"], "ownerReferences": [owner_reference(DEPLOYMENTS, deployment)],
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"replicas": replicas, "selector": selector | {"matchLabels": matched}, "template": template},
    }  # fmt: skip
