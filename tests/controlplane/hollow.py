"""A cluster of hollow machines on a real control plane; it stands where the emulated one stands in a world.

API server, scheduler and controllers are real. The kubelets are the
emulator's: they run bound pods, end deleted ones, and speak to the API server
as the administrator. What is asked of a store or a kubelet runs on one thread.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from autoscaler import clock
from autoscaler.emulator.aws.server import AwsEmulator, EmulatorConfig
from autoscaler.emulator.aws.world import Delays as AwsDelays
from autoscaler.emulator.kubernetes.indexes import Indexes
from autoscaler.emulator.kubernetes.kubelet import Delays, Kubelet
from autoscaler.emulator.kubernetes.resources import NODES, PODS, Kind
from autoscaler.emulator.kubernetes.store import Event
from autoscaler.emulator.kubernetes.timers import Timers
from autoscaler.emulator.world import EmulatedWorld
from tests.controlplane.client import Json, Refused
from tests.controlplane.cluster import AuditLog, Cluster
from tests.controlplane.remote import MIRRORED, RemoteStore, collection, selection
from tests.controlplane.running import NOT_OURS

METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
RENEWAL = 10.0  # seconds between two heartbeats of a node, where somebody counts them
QUICK = AwsDelays(launch=0.1, boot=0.2, terminate=0.2, retry=0.5)
ResultT = TypeVar("ResultT")


@dataclass
class Asked:
    """What one user has asked of the API server, read from the audit log as it grows."""

    audit: AuditLog | None
    user: str
    start: int = 0
    _rows: list[Json] = field(default_factory=list)

    def rows(self) -> list[Json]:
        """The answered requests, as the log has them. Without a log the test is left out."""
        if self.audit is None:
            pytest.skip(NOT_OURS)
        with self.audit.path.open("rb") as file:
            file.seek(self.start)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.start += len(line)
                if self.user.encode() in line:
                    self._rows.append(json.loads(line))
        return [row for row in self._rows if row["user"]["username"] == self.user]

    def seen(self, path: str = "", method: str = "") -> list[Json]:
        """Requests whose path (with query) the regex finds, as the emulator tells them."""
        told = [{"method": METHODS.get(row["verb"], "GET"), "path": row["requestURI"]} for row in self.rows()]
        return [row for row in told if re.search(path, row["path"]) and method in ("", row["method"])]


@contextmanager
def joined(cluster: Cluster) -> Iterator[AwsEmulator]:
    """A quick AWS whose machines join the cluster as nodes, for the length of the block."""
    kubeconfig = cluster.kubeconfig.read_text()
    with (
        TemporaryDirectory() as folder,
        HollowCluster.start(cluster, kubeconfig, Asked(cluster.audit, "")) as hollow,
        AwsEmulator.start(EmulatorConfig(delays=QUICK)) as aws,
    ):
        world_of(aws, hollow, Path(folder))
        yield aws


def world_of(aws: AwsEmulator, hollow: HollowCluster, folder: Path) -> EmulatedWorld:
    """The world of which they are the halves."""
    stand_in: Any = hollow
    return EmulatedWorld(aws, stand_in, folder)


class HollowCluster:
    """Machines without anything in them that a real control plane takes for nodes."""

    def __init__(self, cluster: Cluster, portal: BlockingPortal, kubeconfig: str, faults: Asked) -> None:
        self.store = RemoteStore(cluster.client)
        self.indexes = Indexes(self.store)
        self.timers = Timers()
        self.kubelet = Kubelet(self.store, self.indexes, self.timers, Delays(register=0.1, ready=0.1))
        self.faults = faults
        self._cluster = cluster
        self._portal = portal
        self._kubeconfig = kubeconfig
        self.store.subscribe(self._bury)

    @classmethod
    @contextmanager
    def start(cls, cluster: Cluster, kubeconfig: str, asked: Asked) -> Iterator[HollowCluster]:
        """Machines may join for the length of the block; `kubeconfig` is what controllers get."""
        with start_blocking_portal() as portal:
            made = cls(cluster, portal, kubeconfig, asked)
            timers = portal.start_task_soon(made.timers.run)
            if not cluster.is_ours:
                portal.call(made._renew)
            try:
                with made._followed():
                    yield made
                if timers.done():
                    timers.result()  # a kubelet's own fault
            except Exception as failure:
                if timers.done():
                    failure.add_note(f"the kubelets had ended: {timers.exception()!r}")
                raise
            finally:
                timers.cancel()
                made.store.forget_nodes()

    def call(self, act: Callable[..., ResultT], *args: object) -> ResultT:
        """Run `act` on the thread of stores and kubelets."""
        return self._portal.call(act, *args)

    def write_kubeconfig(self, path: Path) -> None:
        path.write_text(self._kubeconfig)
        path.chmod(0o600)

    @contextmanager
    def _followed(self) -> Iterator[None]:
        threads = []
        with ExitStack() as watches:
            for kind in MIRRORED:
                events = watches.enter_context(self._cluster.client.watch(collection(kind), **selection(kind)))
                threads.append(threading.Thread(target=self._follow, args=(kind, events), daemon=True))
                threads[-1].start()
            yield
        for thread in threads:
            thread.join()

    def _follow(self, kind: Kind, events: Iterator[Json]) -> None:
        for event in events:
            self.call(self.store.learn, kind, event["type"], event["object"])

    def _bury(self, event: Event) -> None:
        """End the pods of a node that has gone; the real pod garbage collector does so within a minute."""
        if event.kind is NODES and event.verb == "DELETED":
            for pod in self.indexes.on_node(event.new.key[1]):
                self.timers.after(0.0, partial(self.store.delete, PODS, pod.key))

    def _renew(self) -> None:
        """Give the heartbeats that another cluster counts."""
        spec: dict[str, Any] = {"renewTime": clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "leaseDurationSeconds": 40}
        for node in self.store.items(NODES):
            name = node.key[1]
            body = {"metadata": {"name": name}, "spec": {**spec, "holderIdentity": name}}
            try:
                self._cluster.client.patch(f"{LEASES}/{name}", body)
            except Refused:
                owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.value["metadata"]["uid"]}
                body["metadata"]["ownerReferences"] = [owner]
                self._cluster.client.create(LEASES, body)
        self.timers.after(RENEWAL, self._renew)
