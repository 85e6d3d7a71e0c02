"""A drain on a real control plane: the disruption controller blocks, the Eviction API answers 429, all ends well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio import to_thread

from autoscaler.core.decision import DrainCause
from autoscaler.core.model import GroupName, InstanceId, NodeName, Pod
from autoscaler.core.scaledown.outcome import Ending
from autoscaler.kubernetes.act import Eviction, evict
from autoscaler.kubernetes.cache import Pace
from autoscaler.kubernetes.cluster import ClusterCache, ClusterSettings
from autoscaler.kubernetes.draining.engine import DrainOrder, DrainTools, End, NodeDrain
from autoscaler.kubernetes.draining.evictor import Result
from autoscaler.kubernetes.draining.marks import is_marked
from autoscaler.kubernetes.draining.settings import DrainSettings
from autoscaler.kubernetes.draining.volumes import Volumes
from autoscaler.kubernetes.transport import Api
from tests.controlplane.client import Refused
from tests.controlplane.cluster import NAMESPACE, Cluster, hollow, node_of, pods_path
from tests.controlplane.test_reading import connected, until
from tests.controlplane.test_scaling import deploy
from tests.controlplane.test_writing import allowed, budget

pytestmark = [pytest.mark.controlplane, pytest.mark.anyio]

# Without kubelets nobody ends a pod within its grace: none is given.
SETTINGS = DrainSettings(delay_after_taint=0.5, eviction_patience=6.0, max_grace=0)
CACHE = ClusterSettings(pace=Pace(first_delay=0.05, jitter=lambda: 0.5), namespace=NAMESPACE)


@dataclass
class Scene:
    """A cache over the cluster, and whom the drain works for."""

    cluster: Cluster
    api: Api
    cache: ClusterCache
    ended: list[str] = field(default_factory=list)
    told: list[tuple[str, str, Result, str]] = field(default_factory=list)

    async def terminate(self, order: DrainOrder) -> bool:
        self.ended.append(order.node)
        return True

    def tell_pod(self, order: DrainOrder, pod: Pod, result: Result, detail: str) -> None:
        self.told.append((order.node, pod.name, result, detail))

    async def drain(self, name: str) -> End:
        async def nothing(_: DrainOrder) -> str:
            return ""

        node = next(each for each in self.cache.nodes.objects.values() if each.name == name)
        order = DrainOrder(
            node=NodeName(name), uid=node.uid, cause=DrainCause.UNNEEDED, group=GroupName("g"),
            instance=InstanceId("i-1"), pods=3,
        )  # fmt: skip
        tools = DrainTools(
            api=self.api, cluster=self.cache, settings=SETTINGS, identity="me", may_write=lambda: True,
            is_paused=lambda: False, objection=nothing, volumes=Volumes(self.api),
        )  # fmt: skip
        with anyio.fail_after(90):
            return await NodeDrain(order, tools, self).run()

    def is_marked(self, name: str) -> bool:
        return any(is_marked(each) for each in self.cache.nodes.objects.values() if each.name == name)


@asynccontextmanager
async def scene(cluster: Cluster) -> AsyncIterator[Scene]:
    async with connected(cluster) as api:
        cache = ClusterCache(api, CACHE)
        async with anyio.create_task_group() as tasks:
            await tasks.start(cache.run)
            tasks.start_soon(be_kubelets, cluster)
            yield Scene(cluster, api, cache)
            tasks.cancel_scope.cancel()


async def be_kubelets(cluster: Cluster) -> None:
    """Report every bound pod as running and ready, a moment after it was bound."""

    def report() -> None:
        for each in cluster.pods():
            meta, status = each["metadata"], each.get("status", {})
            if node_of(each) and status.get("phase") != "Running" and "deletionTimestamp" not in meta:
                ready = {"type": "Ready", "status": "True"}
                body = {"status": {"phase": "Running", "conditions": [ready]}}
                try:
                    cluster.client.patch(f"{pods_path(meta['name'])}/status", body)
                except Refused as error:
                    if error.status not in (404, 409):
                        raise

    while True:
        await anyio.sleep(0.3)
        await to_thread.run_sync(report)


def places(cluster: Cluster) -> list[str]:
    return sorted(node_of(each) or "" for each in cluster.pods("app=web") if each["status"].get("phase") == "Running")


async def test_a_budget_sets_the_pace_and_nobody_is_left_behind(own: Cluster) -> None:
    own.add_nodes([hollow("node-a", cpu="16", memory="64Gi")])
    deploy(own, "web", 3)
    budget(own, "web", 2)
    async with scene(own) as at:
        await until(lambda: places(own) == ["node-a"] * 3, "the pods to run")
        own.add_nodes([hollow("node-b", cpu="16", memory="64Gi")])
        await until(lambda: allowed(own, "web") == 1, "the budget to be counted")
        await until(lambda: len(at.cache.nodes.objects) == 2, "the nodes to be seen")
        end = await at.drain("node-a")
        assert end.ending is Ending.REMOVED, end
        assert end.evicted == 3
        assert at.ended == ["node-a"]
        await until(lambda: places(own) == ["node-b"] * 3, "the pods to run elsewhere")


async def test_a_budget_that_allows_nothing_blocks_and_the_node_is_as_before(own: Cluster) -> None:
    own.add_nodes([hollow("node-a", cpu="16", memory="64Gi")])
    deploy(own, "web", 2)
    budget(own, "web", 2)
    async with scene(own) as at:
        await until(lambda: places(own) == ["node-a"] * 2, "the pods to run")
        await until(lambda: allowed(own, "web") == 0, "the budget to be counted")
        pods = [each for each in at.cache.pods.objects.values() if each.namespace == NAMESPACE]
        answer = await evict(at.api, pods[0], grace_seconds=0)
        assert answer.outcome is Eviction.BLOCKED
        assert "disruption budget" in answer.detail
        end = await at.drain("node-a")
        assert end.ending is Ending.FAILED, end
        assert not at.ended
        assert {result for _, _, result, _ in at.told} == {Result.FAILED}
        await until(lambda: not at.is_marked("node-a"), "the marks to be taken off")
        (node,) = own.nodes()
        assert not node["spec"].get("unschedulable")
        assert places(own) == ["node-a"] * 2
