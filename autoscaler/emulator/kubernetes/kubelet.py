"""Hollow kubelets: launched instances become Nodes, bound pods run, deleted ones end, after set delays.

It serves every node of the store, however it got there. An instance may be
told never to register or never to become Ready; a node may be made NotReady,
and then nothing on it starts or ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .indexes import Indexes
from .objects import Json, condition, is_finished, is_ready, is_terminating, rows, set_condition, text, uid
from .resources import NODES, PODS
from .status import bad_request
from .store import Event, Key, Store, timestamp
from .timers import Timers

NOT_READY = "node.kubernetes.io/not-ready"
RUN_SECONDS = "emulator/run-seconds"  # annotation of a pod that ends by itself, Succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds: launch to Node, Node to Ready, bound to Running, deleted to gone."""

    register: float = 0.3
    ready: float = 0.3
    start: float = 0.05
    stop: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that boots a kubelet. Quantities as Kubernetes writes them."""

    id: str
    instance_type: str = "m5.large"
    zone: str = "eu-west-3a"
    region: str = "eu-west-3"
    market: str = "on-demand"
    private_dns: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Json, ...] = ()
    capacity: Mapping[str, str] = field(default_factory=lambda: {"cpu": "2", "memory": "8Gi", "pods": "29"})
    allocatable: Mapping[str, str] = field(default_factory=dict)
    registers: bool = True
    becomes_ready: bool = True

    @classmethod
    def from_json(cls, value: Json) -> Instance:
        """An instance from the control API. Raises ApiError 400 for an unknown or missing field."""
        try:
            made = cls(**value)
        except TypeError as fault:
            raise bad_request(f"no instance: {fault}") from fault
        return made

    @property
    def node_name(self) -> str:
        return self.private_dns or f"{self.id}.{self.region}.compute.internal"


class Kubelet:
    """All kubelets of the cluster."""

    def __init__(self, store: Store, indexes: Indexes, timers: Timers, delays: Delays) -> None:
        self._store = store
        self._indexes = indexes
        self._timers = timers
        self.delays = delays
        self.instances: dict[str, Instance] = {}
        self._starting: set[str] = set()
        self._stopping: set[str] = set()
        self._addresses = 0
        store.subscribe(self._note)

    def launch(self, instance: Instance) -> None:
        """An instance was launched: its Node comes, then becomes Ready."""
        self.instances[instance.id] = instance
        if instance.registers:
            self._timers.after(self.delays.register, lambda: self._register(instance))

    def terminate(self, instance_id: str) -> None:
        """An instance has gone: its Node and the pods on it go. Unknown ids are ignored."""
        instance = self.instances.pop(instance_id, None)
        if instance is not None and self._store.find(NODES, "", instance.node_name) is not None:
            self._store.delete(NODES, ("", instance.node_name))

    def set_ready(self, name: str, ready: bool, reason: str = "KubeletNotReady") -> None:
        """Make a node Ready or NotReady. Raises ApiError 404."""
        self._store.get(NODES, "", name)
        row = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet posts ready status"}
        if not ready:
            row |= {"status": "False", "reason": reason, "message": "made so on demand"}

        def change(node: Json) -> None:
            set_condition(node, row, timestamp())
            kept = [taint for taint in rows(node, "spec", "taints") if taint.get("key") != NOT_READY]
            if not ready:
                kept += [{"key": NOT_READY, "effect": "NoSchedule"}, {"key": NOT_READY, "effect": "NoExecute"}]
            node["spec"]["taints"] = kept
            if not kept:
                del node["spec"]["taints"]

        self._store.change(NODES, ("", name), change)

    def status(self) -> list[dict[str, Any]]:
        return [asdict(instance) for instance in self.instances.values()]

    def _register(self, instance: Instance) -> None:
        if instance.id not in self.instances or self._store.find(NODES, "", instance.node_name) is not None:
            return
        self._addresses += 1
        self._store.create(NODES, node_of(instance, self._addresses))
        if instance.becomes_ready:
            self._timers.after(self.delays.ready, lambda: self._become_ready(instance))

    def _become_ready(self, instance: Instance) -> None:
        if instance.id in self.instances:
            self.set_ready(instance.node_name, ready=True)

    def _note(self, event: Event) -> None:
        if event.kind is NODES and event.verb == "MODIFIED" and event.old is not None:
            if is_ready(event.new.value) and not is_ready(event.old.value):
                for stored in self._indexes.on_node(event.new.key[1]):
                    self._serve(stored.key, stored.value)
        elif event.kind is PODS and event.verb != "DELETED":
            self._serve(event.new.key, event.new.value)

    def _serve(self, key: Key, pod: Json) -> None:
        if not text(pod, "spec", "nodeName"):
            return
        identity = uid(pod)
        if is_terminating(pod):
            if identity not in self._stopping:
                self._stopping.add(identity)
                self._timers.after(self.delays.stop, lambda: self._stop(key, identity))
        elif text(pod, "status", "phase") in ("", "Pending") and identity not in self._starting:
            self._starting.add(identity)
            self._timers.after(self.delays.start, lambda: self._start(key, identity))

    def _alive(self, key: Key, identity: str) -> Json | None:
        """The pod, when it is still the same one and its node's kubelet works."""
        stored = self._store.find(PODS, *key)
        if stored is None or uid(stored.value) != identity:
            return None
        node = self._store.find(NODES, "", text(stored.value, "spec", "nodeName"))
        return stored.value if node is not None and is_ready(node.value) else None

    def _start(self, key: Key, identity: str) -> None:
        self._starting.discard(identity)
        pod = self._alive(key, identity)
        if pod is None or is_terminating(pod) or is_finished(pod):
            return
        self._addresses += 1
        number = self._addresses
        self._store.change(PODS, key, lambda value: run_pod(value, number))
        seconds = text(pod, "metadata", "annotations", RUN_SECONDS)
        if seconds:
            self._timers.after(float(seconds), lambda: self._finish(key, identity))

    def _finish(self, key: Key, identity: str) -> None:
        if self._alive(key, identity) is None:
            return

        def finish(pod: Json) -> None:
            pod["status"]["phase"] = "Succeeded"
            for name in ("Ready", "ContainersReady"):
                set_condition(pod, {"type": name, "status": "False", "reason": "PodCompleted"}, timestamp())

        self._store.change(PODS, key, finish)

    def _stop(self, key: Key, identity: str) -> None:
        self._stopping.discard(identity)
        if self._alive(key, identity) is not None:
            self._store.delete(PODS, key)


def run_pod(pod: Json, number: int) -> None:
    """Make an own copy of a bound pod Running and Ready."""
    now = timestamp()
    status = pod.setdefault("status", {})
    address = f"10.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}"
    status |= {"phase": "Running", "startTime": now, "podIP": address, "podIPs": [{"ip": address}]}
    status["containerStatuses"] = [
        {
            "name": text(container, "name"), "image": text(container, "image"), "imageID": "", "ready": True,
            "started": True, "restartCount": 0, "state": {"running": {"startedAt": now}}, "lastState": {},
        }
        for container in rows(pod, "spec", "containers")
    ]  # fmt: skip
    for name in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"):
        set_condition(pod, {"type": name, "status": "True"}, now)
    if not condition(pod, "PodScheduled"):
        set_condition(pod, {"type": "PodScheduled", "status": "True"}, now)


def node_of(instance: Instance, number: int) -> Json:
    """The Node that a kubelet registers: not Ready yet."""
    now = timestamp()
    architecture = instance.labels.get("kubernetes.io/arch", "amd64")
    names = {
        "kubernetes.io/hostname": instance.node_name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture,
        "node.kubernetes.io/instance-type": instance.instance_type, "topology.kubernetes.io/zone": instance.zone,
        "topology.kubernetes.io/region": instance.region,
    }  # fmt: skip
    address = f"10.{200 + number // 65536 % 56}.{number // 256 % 256}.{number % 256}"
    unready = {"reason": "KubeletNotReady", "message": "container runtime network not ready"}
    node: Json = {
        "metadata": {"name": instance.node_name, "labels": names | dict(instance.labels)},
        "spec": {
            "providerID": f"aws:///{instance.zone}/{instance.id}",
            "taints": [{"key": NOT_READY, "effect": "NoSchedule"}, *instance.taints],
        },
        "status": {
            "capacity": dict(instance.capacity), "allocatable": dict(instance.allocatable or instance.capacity),
            "addresses": [
                {"type": "InternalIP", "address": address}, {"type": "Hostname", "address": instance.node_name},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.36.0", "osImage": "Hollow Linux", "kernelVersion": "6.12.0",
                "containerRuntimeVersion": "hollow://1", "architecture": architecture, "operatingSystem": "linux",
                "machineID": instance.id, "systemUUID": instance.id, "bootID": "", "kubeProxyVersion": "",
            },
            "conditions": [],
        },
    }  # fmt: skip
    for name in ("MemoryPressure", "DiskPressure", "PIDPressure"):
        set_condition(node, {"type": name, "status": "False", "reason": "KubeletHasSufficient"}, now)
    set_condition(node, {"type": "Ready", "status": "False", **unready}, now)
    return node
