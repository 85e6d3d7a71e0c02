"""Asks the real kube-scheduler which nodes it would take for a pod, without letting it bind.

A second kube-scheduler with all its filters runs beside the cluster's own and
shows us, through its extender hook, the nodes that passed them. We answer by
what the pod's annotation says: none of them (a probe), one of them (the place
that was promised), or any but the cordoned ones, to which we send nobody. So
neither question nor pin changes the pod's constraints. It never preempts:
nothing that is loaded may move.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.controlplane import cluster
from tests.controlplane.client import Json, Refused, wait_for
from tests.controlplane.cluster import Cluster
from tests.controlplane.mirror import Mirror
from tests.controlplane.server import Process, free_ports, write_scheduler_config

SCHEDULER, BARRIER = "autoscaler-test-oracle", "autoscaler-test-barrier"
ONLY_TAINTS = {
    "disabled": [{"name": "*"}],
    "enabled": [{"name": name} for name in ("PrioritySort", "TaintToleration", "DefaultBinder")],
}
PIN = "autoscaler-test/pin"  # a node's name; PROBE or ANY
PROBE, ANY = "?", "*"
# Keys by which worlds may taint nodes: the barrier sees all of these nodes, but none that is only just being made.
TAINTS = ("dedicated", "gpu", "soft", "node.kubernetes.io/unschedulable")


class Oracle:
    """The second scheduler and what it told."""

    def __init__(self, running: Cluster, mirror: Mirror) -> None:
        self._cluster = running
        self._mirror = mirror
        self._passed: dict[str, frozenset[str]] = {}  # by pod name, as first asked
        self._barriers = 0
        self.cordoned: frozenset[str] = frozenset()
        self.while_waiting: Callable[[], None] = lambda: None
        self.url = ""

    @classmethod
    @contextmanager
    def start(
        cls, running: Cluster, binaries: Path, folder: Path, plugins: Mapping[str, Json] | None = None
    ) -> Iterator[Oracle]:
        """Run the scheduler for the length of the block, `plugins` being the arguments of some.

        Its configuration is the folder's `oracle.yaml`.
        """
        with Mirror.of(running.client) as mirror:
            oracle = cls(running, mirror)
            with ThreadingHTTPServer(("127.0.0.1", 0), _handler(oracle)) as server:
                oracle.url = f"http://127.0.0.1:{server.server_port}"
                thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="oracle", daemon=True)
                thread.start()
                process = oracle._start(binaries, folder, plugins or {})
                try:
                    yield oracle
                finally:
                    process.stop()
                    server.shutdown()
                    thread.join()

    def wait_for_nodes(self, names: Collection[str]) -> None:
        """Return once the scheduler knows these nodes, without the taint of new ones."""

        def sees_all() -> bool:
            self._barriers += 1
            name = f"barrier-{self._barriers}"
            tolerations = [{"key": key, "operator": "Exists"} for key in TAINTS]
            barrier = cluster.pod(name, tolerations=tolerations, schedulerName=BARRIER)
            passed = self._ask([_asking(barrier, PROBE)])[name]
            self._cluster.client.delete(cluster.path_of(barrier))
            return passed >= set(names)

        wait_for(sees_all, "the scheduler to see the nodes")

    def ask(self, pods: Iterable[Json]) -> dict[str, frozenset[str]]:
        """Create the pods and return, by name, the nodes that each could be bound to now; none is bound."""
        return self._ask([_for_oracle(pod, PROBE) for pod in pods])

    def judgement(self, names: Collection[str]) -> dict[str, frozenset[str]]:
        """The same of pods that somebody else created for this scheduler, each with a pin."""
        self._wait_judged(pod for pod in self._cluster.pods() if pod["metadata"]["name"] in names)
        return {name: self._passed.get(name, frozenset()) for name in names}

    def _ask(self, asked: Sequence[Json]) -> dict[str, frozenset[str]]:
        names = {pod["metadata"]["name"] for pod in asked}
        for name in names:
            self._passed.pop(name, None)
        self._wait_judged(self._cluster.add_pods(asked))
        return {name: self._passed.get(name, frozenset()) for name in names}

    def bind(self, pods: Iterable[tuple[Json, str]]) -> set[str]:
        """Create pods one after another, each to be bound to the node named with it, or to nothing else.

        One that waited for a later one gets another chance, as it would from
        the scheduler itself. Returns the names of those that are not bound.
        """
        left = {pod["metadata"]["name"]: _for_oracle(pod, node) for pod, node in pods}
        before = 0
        while len(left) != before:
            before = len(left)
            judged = self._wait_judged([self._create_anew(pod) for pod in left.values()])
            bound = {pod["metadata"]["name"] for pod in judged if cluster.node_of(pod)}
            left = {name: pod for name, pod in left.items() if name not in bound}
        return set(left)

    def _create_anew(self, pod: Json) -> Json:
        client = self._cluster.client
        try:
            return client.create(cluster.path_of(pod, ""), pod)
        except Refused as error:
            if error.status != 409:
                raise
        client.delete(cluster.path_of(pod))
        return client.create(cluster.path_of(pod, ""), pod)

    def answer(self, asked: Json) -> Json:
        """What the scheduler is told: which of the nodes that passed its filters it may take."""
        meta = asked["Pod"]["metadata"]
        passed: list[str] = asked["NodeNames"]
        self._passed.setdefault(meta["name"], frozenset(passed))
        pin = meta["annotations"][PIN]
        kept = [name for name in passed if pin == name or (pin == ANY and name not in self.cordoned)]
        refused = {name: "not asked for" for name in passed if name not in kept}
        return {"NodeNames": kept, "FailedNodes": {}, "FailedAndUnresolvableNodes": refused, "Error": ""}

    def _wait_judged(self, created: Iterable[Json]) -> list[Json]:
        return self._mirror.wait_all(
            {pod["metadata"]["uid"] for pod in created},
            lambda pod: bool(cluster.node_of(pod)) or cluster.is_refused(pod),
            meanwhile=self.while_waiting,
        )

    def _start(self, binaries: Path, folder: Path, arguments_of: Mapping[str, Json]) -> Process:
        path = folder / "oracle.yaml"
        configured = [{"name": name, "args": row} for name, row in arguments_of.items()]
        plugins = {"postFilter": {"disabled": [{"name": "*"}]}}
        hook = {"urlPrefix": self.url, "filterVerb": "filter", "nodeCacheCapable": True, "enableHTTPS": False}
        profiles = [
            {"schedulerName": SCHEDULER, "plugins": plugins, "pluginConfig": configured},
            {"schedulerName": BARRIER, "plugins": {"multiPoint": ONLY_TAINTS}},
        ]
        write_scheduler_config(path, self._cluster.kubeconfig, profiles=profiles, extenders=[hook])
        port = free_ports(1)[0]
        arguments = [f"--config={path}", "--bind-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={folder}"]
        return Process(binaries / "kube-scheduler", arguments, folder / "oracle.log")


def _for_oracle(pod: Json, pin: str) -> Json:
    return _asking({**pod, "spec": {**pod["spec"], "schedulerName": SCHEDULER}}, pin)


def _asking(pod: Json, pin: str) -> Json:
    meta = {**pod["metadata"], "annotations": {**pod["metadata"].get("annotations", {}), PIN: pin}}
    return {**pod, "metadata": meta}


def _handler(oracle: Oracle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two packets: the second would wait 40 ms for an answer

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps(oracle.answer(json.loads(body))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
