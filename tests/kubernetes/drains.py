"""A cluster with nodes to be drained, and one drain on it as the loop would run it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from autoscaler.core.decision import DrainCause
from autoscaler.core.model import GroupName, InstanceId, Pod
from autoscaler.emulator.kubernetes import Delays, Options
from autoscaler.emulator.kubernetes.resources import PODS
from autoscaler.kubernetes.cluster import ClusterCache
from autoscaler.kubernetes.draining.engine import DrainOrder, DrainTools, End, NodeDrain
from autoscaler.kubernetes.draining.evictor import Result
from autoscaler.kubernetes.draining.marks import STAMP, TO_BE_DELETED
from autoscaler.kubernetes.draining.settings import DrainSettings
from autoscaler.kubernetes.draining.volumes import Volumes
from autoscaler.kubernetes.transport import Api, KubernetesSettings, connect
from tests.emulator.kubernetes_client import Client, machine, running, until
from tests.kubernetes.test_cluster import SETTINGS

WORLD = Options(kubelet=Delays(register=0.01, ready=0.01, start=0.01, stop=0.05), bookmark_every=0.1)
QUICK = DrainSettings(delay_after_taint=0.1, eviction_patience=3.0, max_grace=1, deletion_delay=3.0)
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


@dataclass(kw_only=True)
class Scene:
    """What a drain does to the cluster, and what it says."""

    client: Client
    api: Api
    cluster: ClusterCache
    settings: DrainSettings = QUICK
    told: list[tuple[str, Result, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    may_write: bool = True
    paused: bool = False
    objection: str = ""
    ends: bool = True

    def tools(self, identity: str = "me") -> DrainTools:
        async def objection(_: DrainOrder) -> str:
            return self.objection

        return DrainTools(
            api=self.api,
            cluster=self.cluster,
            settings=self.settings,
            identity=identity,
            may_write=lambda: self.may_write,
            is_paused=lambda: self.paused,
            objection=objection,
            volumes=Volumes(self.api),
        )

    async def terminate(self, order: DrainOrder) -> bool:
        if self.ends:
            self.ended.append(order.instance)
            self.client.cluster.kubelet.terminate(order.instance)
        return self.ends

    def tell_pod(self, _: DrainOrder, pod: Pod, result: Result, detail: str) -> None:
        self.told.append((pod.name, result, detail))

    def order(self, number: int = 1, cause: DrainCause = DrainCause.UNNEEDED, **more: Any) -> DrainOrder:
        name = f"node-{number}"
        node = next(one for one in self.cluster.nodes.objects.values() if one.name == name)
        pods = sum(pod.node == name for pod in self.cluster.pods.objects.values())
        order = DrainOrder(
            node=node.name, uid=node.uid, cause=cause, group=GroupName("g"), instance=InstanceId(f"i-{number:04d}"),
            pods=pods,
        )  # fmt: skip
        return replace(order, **more)

    async def drain(self, order: DrainOrder | None = None, identity: str = "me") -> End:
        with anyio.fail_after(30):
            return await NodeDrain(order or self.order(), self.tools(identity), self).run()

    def node(self, number: int = 1) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.client.cluster.store.values("nodes")
        return next((one for one in found if one["metadata"]["name"] == f"node-{number}"), {})

    def is_marked(self, number: int = 1) -> bool:
        node = self.node(number)
        taints = node.get("spec", {}).get("taints", [])
        return STAMP in node["metadata"].get("annotations", {}) or any(one["key"] == TO_BE_DELETED for one in taints)

    def pods_on(self, number: int = 1) -> set[str]:
        found = self.client.cluster.store.values("pods")
        return {one["metadata"]["name"] for one in found if one["spec"].get("nodeName") == f"node-{number}"}

    async def put(self, name: str, number: int = 1, **parts: Any) -> None:
        """A running pod on a node, seen by the cache."""
        spec = {"nodeName": f"node-{number}", "containers": [{"name": "c", "image": "web:1"}], **parts.pop("spec", {})}
        labels = {"app": parts.pop("app", "web")}
        body = {"metadata": {"name": name, "labels": labels, **parts}, "spec": spec}
        await self.client.must("POST", "/api/v1/namespaces/default/pods", body)
        await until(lambda: any(pod.name == name for pod in self.cluster.pods.objects.values()))
        store = self.client.cluster.store
        await until(lambda: store.get(PODS, "default", name).value["status"].get("phase") == "Running")

    async def protect(self, least: int, app: str = "web") -> None:
        """A budget that keeps so many pods of an application, in force."""
        spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}
        await self.client.must("POST", BUDGETS, {"metadata": {"name": app}, "spec": spec})
        store = self.client.cluster.store
        await until(
            lambda: all("disruptionsAllowed" in one.get("status", {}) for one in store.values("poddisruptionbudgets"))
        )

    def evictions(self) -> list[tuple[str, float]]:
        """Whose eviction was asked, and when."""
        seen = self.client.cluster.faults.seen("/eviction$", "POST")
        return [(row["path"].split("/")[-2], row["at"]) for row in seen]


@asynccontextmanager
async def scene(nodes: int = 1, settings: DrainSettings = QUICK) -> AsyncIterator[Scene]:
    async with running(WORLD) as client, connect(KubernetesSettings(master_url=client.cluster.url)) as api:
        cluster = ClusterCache(api, SETTINGS)
        async with anyio.create_task_group() as tasks:
            for number in range(1, nodes + 1):
                client.cluster.kubelet.launch(machine(number))
            await tasks.start(cluster.run)
            await until(lambda: sum(node.ready for node in cluster.nodes.objects.values()) == nodes)
            yield Scene(client=client, api=api, cluster=cluster, settings=settings)
            tasks.cancel_scope.cancel()
