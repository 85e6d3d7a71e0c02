"""What a pass reads, when it must not, and what wakes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from autoscaler.core.model import GroupName
from autoscaler.core.podspec import LabelSelector, Requirement, SpreadConstraint
from autoscaler.core.schedulers import Profile, Schedulers, Selecting, Service
from autoscaler.kubernetes.cache import Pace
from autoscaler.kubernetes.cluster import CONFIG_INVALID, PRIORITY_CONFIG_MAP, ClusterCache, ClusterSettings
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.kubernetes.faulty import FaultyServer, Refuse, faulty_server, until

pytestmark = pytest.mark.anyio

PODS, NODES = "/api/v1/pods", "/api/v1/nodes"
CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
SETTINGS = ClusterSettings(pace=Pace(first_delay=0.01, max_delay=0.05, absent_delay=0.05, jitter=lambda: 0.5))
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "lastTransitionTime": "2026-01-01T12:00:00Z",
}


def pod(name: str, node: str = "", *conditions: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, **meta},
        "spec": {"containers": [{"name": "c"}], **({"nodeName": node} if node else {})},
        "status": {"phase": "Pending", "conditions": list(conditions)},
    }


def node(name: str, **spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T12:00:00Z"}
    status = {"allocatable": {"cpu": "4"}, "conditions": [ready]}
    return {"metadata": {"name": name, "uid": name}, "spec": spec, "status": status}


def config(priorities: str | None, uid: str = "cm") -> dict[str, Any]:
    data = {} if priorities is None else {"priorities": priorities}
    return {"metadata": {"name": PRIORITY_CONFIG_MAP, "namespace": "kube-system", "uid": uid}, "data": data}


@asynccontextmanager
async def synced(
    *objects: tuple[str, dict[str, Any]], settings: ClusterSettings = SETTINGS
) -> AsyncIterator[tuple[FaultyServer, ClusterCache]]:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        for path, value in objects:
            server.put(path, value)
        cache = ClusterCache(api, settings)
        async with anyio.create_task_group() as tasks:
            await tasks.start(cache.run)
            yield server, cache
            tasks.cancel_scope.cancel()


def owning(name: str, uid: str, selector: dict[str, Any]) -> dict[str, Any]:
    spec = {"replicas": 3, "selector": selector, "template": {}}
    return {"metadata": {"name": name, "namespace": "shop", "uid": uid}, "spec": spec}


SELECTING = (
    ("/apis/apps/v1/replicasets", owning("web", "rs", {"matchLabels": {"app": "web"}})),
    ("/apis/apps/v1/statefulsets", owning("db", "sts", {"matchLabels": {"app": "db"}})),
    ("/api/v1/replicationcontrollers", owning("old", "rc", {"app": "old"})),
    (
        "/api/v1/services",
        {"metadata": {"name": "web", "namespace": "shop", "uid": "s"}, "spec": {"selector": {"a": "1"}}},
    ),
)


async def test_selectors_are_read_where_a_scheduler_derives_its_own_from_them() -> None:
    spread = (SpreadConstraint("zone", 1, True, None),)
    given = Schedulers(profiles={"default-scheduler": Profile(default_spread=spread)})
    async with synced(*SELECTING, settings=replace(SETTINGS, schedulers=given)) as (_, cache):
        found = cache.view().schedulers
        assert found.profiles == given.profiles
        assert list(found.services) == [Service("shop", (("a", "1"),))]
        assert found.selectors == {
            Selecting(kind, "shop", name): LabelSelector((Requirement("app", "In", (name,)),))
            for kind, name in (("ReplicaSet", "web"), ("StatefulSet", "db"), ("ReplicationController", "old"))
        }


async def test_without_such_a_scheduler_neither_services_nor_selectors_are_read() -> None:
    async with synced(*SELECTING) as (_, cache):
        assert cache.view().schedulers.services == ()
        assert [each.selector for each in cache.view().workloads.values()] == [None] * 3
        assert not [each for each in cache.reflectors() if each.kind.name == "Service"]


async def test_a_view_holds_what_the_server_has() -> None:
    labels = {"metadata": {"name": "shop", "uid": "s", "labels": {"team": "a"}}}
    replicas = {"metadata": {"name": "web", "namespace": "shop", "uid": "rs", "annotations": {
        "priority-autoscaler/max-wait": "5m", "example.com/of-no-interest": "3"}}}  # fmt: skip
    high = {"metadata": {"name": "high", "uid": "h"}, "value": 1000}
    async with synced(
        (PODS, pod("web-1")),
        (NODES, node("n1")),
        ("/api/v1/namespaces", labels),
        ("/apis/apps/v1/replicasets", replicas),
        ("/apis/scheduling.k8s.io/v1/priorityclasses", high),
        (CONFIG_MAPS, config("10: [od]\n20: [spot]")),
    ) as (_, cache):
        view = cache.view()
        assert [each.name for each in view.pods] == ["web-1"]
        assert [each.name for each in view.nodes] == ["n1"]
        assert {name: dict(each) for name, each in view.namespaces.items()} == {"shop": {"team": "a"}}
        (workload,) = view.workloads.values()
        assert (workload.kind, workload.name, dict(workload.annotations)) == (
            "ReplicaSet", "web", {"priority-autoscaler/max-wait": "5m"},
        )  # fmt: skip
        assert [each.value for each in view.priority_classes] == [1000]
        assert view.tiers.priority_of(GroupName("spot-a")) == 20
        assert not view.faults
        assert not cache.stale(anyio.current_time())
        assert cache.stale(anyio.current_time() + 181) == [each.kind.name for each in cache.reflectors()]


async def test_without_rights_for_optional_kinds_the_rest_is_enough() -> None:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        server.put(PODS, pod("web-1"))
        for path in ("/api/v1/namespaces", "/apis/apps/v1/replicasets", "/apis/batch/v1/jobs", CONFIG_MAPS):
            server.absent[path] = 403
        cache = ClusterCache(api, replace(SETTINGS, pace=replace(SETTINGS.pace, absent_delay=60)))
        async with anyio.create_task_group() as tasks:
            await tasks.start(cache.run)
            assert not cache.stale(anyio.current_time())
            assert len(cache.view().pods) == 1
            tasks.cancel_scope.cancel()


async def test_nothing_is_synced_while_pods_cannot_be_read() -> None:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        server.absent[PODS] = 500
        cache = ClusterCache(api, SETTINGS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.run)
            await until(lambda: cache.nodes.synced and cache.pods.failures > 1)
            assert "Pod" in cache.stale(anyio.current_time())
            server.absent.clear()
            await until(lambda: not cache.stale(anyio.current_time()))
            tasks.cancel_scope.cancel()


async def test_only_what_a_decision_can_hang_on_wakes() -> None:
    async with synced((PODS, pod("web-1")), (NODES, node("n1"))) as (server, cache):

        async def wakes(path: str, value: dict[str, Any] | str) -> bool:
            before = cache.generation
            reflector: Any = cache.pods if path == PODS else cache.nodes
            seen = reflector.generation
            if isinstance(value, str):
                server.delete(path, value)
            else:
                server.put(path, value)
            await until(lambda: reflector.generation != seen)
            return cache.generation != before

        assert not await wakes(PODS, pod("web-2"))  # the scheduler has not seen it yet
        assert await wakes(PODS, pod("web-2", "", UNSCHEDULABLE))
        assert not await wakes(PODS, pod("web-2", "", UNSCHEDULABLE, {"type": "Other", "status": "True"}))
        assert await wakes(PODS, pod("web-2", "n1"))
        assert await wakes(PODS, pod("web-2", "n1", deletionTimestamp="2026-01-01T12:00:00Z"))
        assert await wakes(PODS, "web-2")
        heartbeat = node("n1")
        heartbeat["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T13:00:00Z"
        assert not await wakes(NODES, heartbeat)
        assert await wakes(NODES, node("n1", unschedulable=True))
        assert await wakes(NODES, "n1")


async def test_pods_that_come_and_go_are_not_urgent_and_those_that_wait_are() -> None:
    async with synced((PODS, pod("web-1")), (NODES, node("n1"))) as (server, cache):

        async def hurries(change: dict[str, Any] | str) -> bool:
            seen, urgent = cache.generation, cache.urgent
            if isinstance(change, str):
                server.delete(PODS, change)
            else:
                server.put(PODS, change)
            await until(lambda: cache.generation != seen)
            return cache.urgent != urgent

        assert not await hurries(pod("web-1", "n1"))
        assert not await hurries(pod("web-1", "n1", deletionTimestamp="2026-01-01T12:00:00Z"))
        assert not await hurries("web-1")
        assert await hurries(pod("web-2", "", UNSCHEDULABLE))
        assert await hurries(pod("web-2", "n1"))


async def test_waiting_for_a_change() -> None:
    async with synced((PODS, pod("web-1"))) as (server, cache):
        seen = cache.generation
        with anyio.move_on_after(0.02) as quiet:
            await cache.wait_change(seen)
        assert quiet.cancelled_caught
        server.put(PODS, pod("web-1", "", UNSCHEDULABLE))
        with anyio.fail_after(5):
            assert await cache.wait_change(seen) > seen


async def test_the_last_good_tiers_stay_and_the_fault_is_told() -> None:
    spot = GroupName("spot-a")
    async with synced((CONFIG_MAPS, config("10: [spot]"))) as (server, cache):
        assert cache.view().tiers.priority_of(spot) == 10
        server.put(CONFIG_MAPS, config("10: ['(']"))
        await until(lambda: bool(cache.view().faults))
        (fault,) = cache.view().faults
        assert (fault.reason, fault.name, fault.uid) == (CONFIG_INVALID, PRIORITY_CONFIG_MAP, "cm")
        assert "priority 10: regex" in fault.detail
        assert "the last good one stays" in fault.detail
        assert cache.view().tiers.priority_of(spot) == 10
        server.put(CONFIG_MAPS, config("30: [spot]"))
        await until(lambda: not cache.view().faults)
        assert cache.view().tiers.priority_of(spot) == 30
        server.put(CONFIG_MAPS, config(None))
        await until(lambda: bool(cache.view().faults))
        server.delete(CONFIG_MAPS, PRIORITY_CONFIG_MAP)
        await until(lambda: "deleted" in cache.view().faults[0].detail)
        assert cache.view().tiers.priority_of(spot) == 30


async def test_a_minute_of_faults_on_every_kind_loses_nothing() -> None:
    async with synced((PODS, pod("web-1")), (NODES, node("n1"))) as (server, cache):
        for number in range(30):
            server.put(PODS, pod(f"web-{number}", "n1"))
            server.put(NODES, node(f"n{number}"))
            server.faults.append(Refuse([500, 410, 429][number % 3], "Told"))
            if number % 7 == 0:
                server.forget()
                server.cut()
            await anyio.sleep(0.003)
        server.faults.clear()
        await until(lambda: len(cache.pods.objects) == 30 and len(cache.nodes.objects) == 30)
        assert not cache.stale(anyio.current_time())


async def test_what_cannot_be_read_is_named_in_the_view() -> None:
    broken = node("n2")
    broken["status"]["allocatable"]["cpu"] = "many"
    async with synced((NODES, node("n1")), (NODES, broken)) as (_, cache):
        view = cache.view()
        assert [each.name for each in view.nodes] == ["n1"]
        assert [(error.kind, error.key) for error in view.unreadable] == [("Node", "n2")]
        assert cache.malformed == 1


def policy(text: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "priority-autoscaler", "namespace": "kube-system", "uid": "p"},
        "data": {"policy": text},
    }


async def test_the_operators_policy_is_followed_and_the_last_good_one_kept() -> None:
    async with synced() as (server, cache):
        server.put(CONFIG_MAPS, policy("paused: true\ndisruption: {cluster: 2}"))
        await until(lambda: cache.operator.paused)
        server.put(CONFIG_MAPS, policy("paused: perhaps"))
        await until(lambda: cache.policy_fault is not None)
        assert cache.operator.paused
        assert cache.operator.budget is not None
        (fault,) = cache.view().faults
        assert (fault.reason, fault.name) == ("PolicyConfigMapInvalid", "priority-autoscaler")
        assert fault.detail.endswith("the last good one stays")
        server.put(CONFIG_MAPS, policy("paused: false"))
        await until(lambda: cache.view().operator.budget is None and not cache.view().faults)


async def test_an_unreadable_policy_pauses_until_there_is_a_good_one() -> None:
    async with synced((CONFIG_MAPS, policy("disruption: [1"))) as (server, cache):
        assert cache.operator.paused
        server.put(CONFIG_MAPS, policy("disruption: {perGroup: 1}"))
        await until(lambda: not cache.operator.paused)


async def test_budgets_are_read_with_what_they_allow_now() -> None:
    path = "/apis/policy/v1/poddisruptionbudgets"

    def budget(name: str, observed: int, **selector: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 2},
            "spec": {"selector": selector},
            "status": {"disruptionsAllowed": 1, "observedGeneration": observed},
        }

    odd = {"matchExpressions": [{"key": "a", "operator": "Perhaps"}]}
    async with synced(
        (path, budget("new", 1)),
        (path, budget("known", 2, matchLabels={"app": "web"})),
        (path, budget("odd", 2, **odd)),
    ) as (_, cache):
        found = {one.name: one for one in cache.view().budgets}
        assert {name: one.disruptions_allowed for name, one in found.items()} == {"new": 0, "known": 1}
        assert found["known"].selector is not None
        (fault,) = cache.view().unreadable
        assert "shop/odd" in str(fault)


async def test_a_bad_annotation_that_is_taken_off_a_pod_is_forgotten() -> None:
    """Also once the pod has no annotation at all."""
    key = "priority-autoscaler/on-demand"
    async with synced((PODS, pod("web-1", annotations={key: "onyl"}))) as (server, cache):
        assert len(cache.tuned.faults) == 1
        server.put(PODS, pod("web-1"))
        with anyio.fail_after(10):
            while cache.tuned.faults:
                await cache.wait_change()
        assert cache.view().annotated.last_good == {}
