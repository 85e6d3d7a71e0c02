"""Starts a control plane on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

Certificates for everybody, RBAC on, audit on, every port a free one; all
state in one folder. The processes end with the block, by SIGTERM, and with
this process should it be killed. Nodes need no heartbeat: no kubelet is there
to give one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.controlplane.authority import Authority
from tests.controlplane.client import Client, Refused, wait_for

ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
# Their ConfigMaps are read from etcd itself, so that a compaction there is felt as a version that is gone.
UNCACHED = "configmaps#0"
# All but those that hold volumes back until their pods are gone, which takes a while.
CONTROLLERS = "*,-persistentvolume-protection-controller,-persistentvolumeclaim-protection-controller"
READY_SECONDS = 60.0


class Process:
    """One binary at work, its words in a file."""

    def __init__(self, binary: Path, arguments: Sequence[str], log: Path) -> None:
        self.name = binary.name
        self._log = log
        leash = [sys.executable, str(Path(__file__).with_name("leash.py")), str(os.getpid())]
        with log.open("wb") as file:
            self._process = subprocess.Popen([*leash, str(binary), *arguments], stdout=file, stderr=file)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def require_running(self) -> None:
        """Fail with its last words once it has ended."""
        code = self._process.poll()
        assert code is None, f"{self.name} ended with {code}: {self._log.read_text(errors='replace')[-2000:]}"


@dataclass(frozen=True)
class ControlPlane:
    """Where a running control plane is."""

    folder: Path
    binaries: Path
    server: str
    etcd: str

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator."""
        return self.folder / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    @classmethod
    @contextmanager
    def start(cls, binaries: Path, folder: Path) -> Iterator[ControlPlane]:
        """Run one for the length of the block; returns once it schedules."""
        starter = _Starter(binaries, folder)
        try:
            yield starter.start()
        finally:
            starter.stop()


class _Starter:
    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._processes: list[Process] = []
        self._authority = Authority(folder)
        self._ports = free_ports(5)
        self._server = f"https://127.0.0.1:{self._ports[2]}"
        self._etcd = f"http://127.0.0.1:{self._ports[0]}"

    def start(self) -> ControlPlane:
        self._certify()
        self._start_etcd()
        self._start_api_server()
        with Client(self._folder / "admin.kubeconfig") as client:
            self._wait(lambda: _is_ready(client), "the API server to be ready")
            self._start_controllers()
            self._start_scheduler()
            accounts = "/api/v1/namespaces/default/serviceaccounts"
            self._wait(lambda: client.items(accounts), "the default ServiceAccount")
        for port, name in ((self._ports[3], "kube-controller-manager"), (self._ports[4], "kube-scheduler")):
            self._wait(partial(_listens, port), f"{name} to listen")
        return ControlPlane(self._folder, self._binaries, self._server, self._etcd)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.stop()

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        def holds() -> object:
            for process in self._processes:
                process.require_running()
            return condition()

        wait_for(holds, what, READY_SECONDS)

    def _run(self, name: str, **flags: str | int | Path) -> None:
        arguments = [f"--{key.replace('_', '-')}={value}" for key, value in flags.items()]
        self._processes.append(Process(self._binaries / name, arguments, self._folder / f"{name}.log"))

    def _certify(self) -> None:
        sign = self._authority.sign
        sign("apiserver", "kube-apiserver")
        sign("admin", "admin", ["system:masters"])
        for user in ("kube-scheduler", "kube-controller-manager"):
            sign(user, f"system:{user}")
        for name in ("admin", "kube-scheduler", "kube-controller-manager"):
            self._authority.write_kubeconfig(name, self._server)
        self._authority.write_token_key("tokens")

    def _start_etcd(self) -> None:
        peer = f"http://127.0.0.1:{self._ports[1]}"
        self._run(
            "etcd",
            data_dir=self._folder / "etcd",
            listen_client_urls=self._etcd,
            advertise_client_urls=self._etcd,
            listen_peer_urls=peer,
            initial_advertise_peer_urls=peer,
            initial_cluster=f"default={peer}",
            unsafe_no_fsync="true",
            watch_progress_notify_interval="1s",  # so that bookmarks of quiet kinds move on; kubeadm's figure is 5s
            log_level="warn",
        )

    def _start_api_server(self) -> None:
        folder = self._folder
        policy = folder / "audit-policy.yaml"
        policy.write_text(json.dumps(AUDIT_POLICY))
        self._run(
            "kube-apiserver",
            etcd_servers=self._etcd,
            etcd_compaction_interval="0",
            watch_cache_sizes=UNCACHED,
            bind_address="127.0.0.1",
            advertise_address="127.0.0.1",
            endpoint_reconciler_type="none",
            disable_admission_plugins="StorageObjectInUseProtection",
            secure_port=self._ports[2],
            cert_dir=folder,
            tls_cert_file=folder / "apiserver.crt",
            tls_private_key_file=folder / "apiserver.key",
            client_ca_file=folder / "ca.crt",
            service_account_issuer=ISSUER,
            service_account_key_file=folder / "tokens.pub",
            service_account_signing_key_file=folder / "tokens.key",
            service_cluster_ip_range="10.0.0.0/24",
            authorization_mode="Node,RBAC",
            audit_policy_file=policy,
            audit_log_path=folder / "audit.log",
        )

    def _start_controllers(self) -> None:
        folder = self._folder
        self._run(
            "kube-controller-manager",
            kubeconfig=folder / "kube-controller-manager.kubeconfig",
            bind_address="127.0.0.1",
            secure_port=self._ports[3],
            cert_dir=folder,
            leader_elect="false",
            controllers=CONTROLLERS,
            use_service_account_credentials="true",
            service_account_private_key_file=folder / "tokens.key",
            root_ca_file=folder / "ca.crt",
            node_monitor_grace_period="876000h",
            kube_api_qps=500,
            kube_api_burst=1000,
        )

    def _start_scheduler(self) -> None:
        config = self._folder / "kube-scheduler.yaml"
        write_scheduler_config(config, self._folder / "kube-scheduler.kubeconfig")
        self._run(
            "kube-scheduler",
            config=config,
            bind_address="127.0.0.1",
            secure_port=self._ports[4],
            cert_dir=self._folder,
        )


def write_scheduler_config(path: Path, kubeconfig: Path, **settings: Any) -> None:
    """Write a scheduler's configuration: the defaults, except that it may bind faster than 50 pods a second."""
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 1000, "burst": 2000},
        **settings,
    }
    path.write_text(json.dumps(config))


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens, all different."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _is_ready(client: Client) -> bool:
    try:
        return bool(client.get("/readyz")["text"] == "ok")
    except (Refused, HTTPException, OSError):  # not listening, not yet ready, not yet authorised
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
