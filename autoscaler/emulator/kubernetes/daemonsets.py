"""The DaemonSet controller: one pod for each node that it may run on, pinned by name; the scheduler binds it."""

from __future__ import annotations

from .admission import admit
from .fit import Needs, NodeState, needs_of, tolerates
from .indexes import Indexes
from .objects import Json, controller_of, is_finished, is_ready, is_terminating, rows, section, text, uid, whole
from .resources import DAEMON_SETS, NODES, PODS
from .store import Event, Key, Store, Stored
from .timers import Reconciler
from .workloads import pod_from
from .writes import pod_grace

_TOLERATED = (
    ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"),
    ("not-ready", "NoSchedule"),
)  # fmt: skip


class DaemonSets:
    """Keeps each DaemonSet on its nodes."""

    def __init__(self, store: Store, indexes: Indexes) -> None:
        self._store = store
        self._indexes = indexes
        self.reconciler: Reconciler[Key] = Reconciler(self._reconcile)
        store.subscribe(self._note)

    def _note(self, event: Event) -> None:
        if event.kind is DAEMON_SETS and event.verb != "DELETED":
            self.reconciler.mark(event.new.key)
        elif event.kind is PODS:
            owner = controller_of(event.new.value)
            if owner.get("kind") == "DaemonSet":
                self.reconciler.mark((event.new.key[0], str(owner.get("name"))))
        elif event.kind is NODES and (event.old is None or event.verb == "DELETED" or _moved(event)):
            for stored in self._store.items(DAEMON_SETS):
                self.reconciler.mark(stored.key)

    def _reconcile(self, key: Key) -> None:
        owner = self._store.find(DAEMON_SETS, *key)
        if owner is None or is_terminating(owner.value):
            return
        try:
            needs = needs_of(section(owner.value, "spec", "template", "spec"))
        except ValueError:
            return
        needs.tolerations = [*needs.tolerations, *_tolerations()]
        pods: dict[str, Stored] = {}
        for _, pod in self._indexes.owned_by(uid(owner.value), PODS):
            pods[_node_of(pod.value)] = pod
        nodes = {stored.key[1]: stored for stored in self._store.items(NODES)}
        wanted = {name for name, node in nodes.items() if _eligible(needs, node)}
        for name in sorted(wanted - pods.keys()):
            self._make(owner, name)
        for name, pod in pods.items():
            outdated = name in nodes and name not in wanted
            if not is_terminating(pod.value) and (outdated or name not in nodes or is_finished(pod.value)):
                grace = pod_grace(pod.value, None) if name in nodes else 0
                self._store.delete(PODS, pod.key, grace=grace)
        ready = sum(is_ready(pod.value) for name, pod in pods.items() if name in wanted)
        self._report(owner, len(wanted), ready)

    def _make(self, owner: Stored, node: str) -> None:
        pod = pod_from(DAEMON_SETS, owner.value)
        spec = pod["spec"]
        spec["tolerations"] = [*rows(spec, "tolerations"), *_tolerations()]
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        affinity = spec.setdefault("affinity", {})
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": required}
        admit(self._store, PODS, pod)
        self._store.create(PODS, pod)

    def _report(self, owner: Stored, wanted: int, ready: int) -> None:
        def report(value: Json) -> None:
            value["status"] = {
                "observedGeneration": whole(value, "metadata", "generation", default=1),
                "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted, "numberReady": ready,
                "numberAvailable": ready, "updatedNumberScheduled": wanted, "numberMisscheduled": 0,
                "numberUnavailable": wanted - ready,
            }  # fmt: skip

        self._store.change(DAEMON_SETS, owner.key, report)


def _tolerations() -> list[Json]:
    return [
        {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect} for name, effect in _TOLERATED
    ]


def _node_of(pod: Json) -> str:
    """The node a daemon pod is meant for, bound or not."""
    required = section(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in rows(required, "nodeSelectorTerms"):
        for field in rows(term, "matchFields"):
            return str(field.get("values", [""])[0])
    return text(pod, "spec", "nodeName")


def _eligible(needs: Needs, node: Stored) -> bool:
    state = NodeState(node.key[1])
    state.read(node.value, node.version)
    hard = [taint for taint in state.taints if taint.get("effect") in ("NoSchedule", "NoExecute")]
    return needs.selects(state.name, state.labels) and all(tolerates(needs.tolerations, taint) for taint in hard)


def _moved(event: Event) -> bool:
    old = event.old.value if event.old else {}
    return any(section(old, *path) != section(event.new.value, *path) for path in (("metadata", "labels"), ("spec",)))
