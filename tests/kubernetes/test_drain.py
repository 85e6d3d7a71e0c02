"""A node is emptied at the pace of its budgets, and ends; or everything is as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest

from autoscaler.core.decision import DrainCause
from autoscaler.core.scaledown.outcome import Ending
from autoscaler.emulator.kubernetes.resources import BUDGETS, NODES, named
from autoscaler.kubernetes.draining.engine import SCALE_DOWN_DISABLED, NodeDrain
from autoscaler.kubernetes.draining.marks import DELAYS_DELETION, NOT_BALANCED, STAMP, Stamp, Step, read_stamp
from autoscaler.kubernetes.draining.settings import Band
from tests import builders
from tests.emulator.kubernetes_client import deployment, until
from tests.kubernetes.drains import QUICK, Scene, scene

pytestmark = pytest.mark.anyio


def marks(at: Scene) -> tuple[bool, bool, bool]:
    node = at.node()
    return at.is_marked(), bool(node["spec"].get("unschedulable")), NOT_BALANCED in node["metadata"]["labels"]


def stamp_of(at: Scene) -> Stamp:
    stamp = read_stamp(at.node()["metadata"]["annotations"])
    assert stamp is not None
    return stamp


def budget_of(at: Scene) -> dict[str, Any]:
    return at.client.cluster.store.get(BUDGETS, "default", "web").value


async def test_a_node_is_marked_emptied_and_ends() -> None:
    async with scene() as at:
        for name in ("a", "b"):
            await at.put(name)
        await at.put("mirror", annotations={"kubernetes.io/config.mirror": "x"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at.drain)
            await until(lambda: marks(at) == (True, True, True))
            stamp = json.loads(at.node()["metadata"]["annotations"][STAMP])
            assert (stamp["owner"], stamp["cause"], stamp["step"], stamp["cordoned"]) == (
                "me", "Unneeded", "Marked", True,
            )  # fmt: skip
            assert not at.evictions()
        assert at.ended == ["i-0001"]
        assert {(name, str(result)) for name, result, _ in at.told} == {("a", "succeeded"), ("b", "succeeded")}
        assert not at.client.cluster.faults.seen("/nodes/", "PATCH")
        assert at.node() == {}


async def test_low_priorities_go_first() -> None:
    async with scene() as at:
        for name, priority in (("high", 1000), ("low", -5), ("middle", 10)):
            value = {"metadata": {"name": name}, "value": priority}
            await at.client.must("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", value)
            await at.put(name, spec={"priorityClassName": name})
        await at.drain()
        assert [name for name, _ in at.evictions()] == ["low", "middle", "high"]


async def test_bands_wait_for_each_other_and_take_daemonset_pods_along() -> None:
    bands = (Band(0, 1), Band(50, 1))
    async with scene(settings=replace(QUICK, bands=bands)) as at:
        await at.client.must(
            "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "top"}, "value": 100}
        )
        await at.put("top", spec={"priorityClassName": "top"})
        await at.put("agent", annotations={"cluster-autoscaler.kubernetes.io/daemonset-pod": "true"})
        assert (await at.drain()).ending is Ending.REMOVED
        assert [name for name, _ in at.evictions()] == ["agent", "top"]
        (_, first), (_, second) = at.evictions()
        assert second - first >= 0.05  # the kubelet's time to stop a pod


async def test_a_budget_sets_the_pace() -> None:
    async with scene(nodes=2) as at:
        path = "/apis/apps/v1/namespaces/default/deployments"
        await at.client.must("POST", path, deployment("web", 8))
        store = at.client.cluster.store
        await until(lambda: sum(one["status"].get("phase") == "Running" for one in store.values("pods")) == 8)
        await until(lambda: sum(pod.node is not None for pod in at.cluster.pods.objects.values()) == 8)
        await at.protect(7)
        healthy: list[int] = []
        store.subscribe(lambda _: healthy.append(budget_of(at)["status"].get("currentHealthy", 8)))
        end = await at.drain()
        assert end.ending is Ending.REMOVED
        assert end.evicted >= 2
        assert min(healthy) == 7
        assert len(at.pods_on(2)) == 8


async def test_a_budget_that_allows_nothing_is_not_hammered_and_undoes_the_drain() -> None:
    async with scene() as at:
        for name in ("a", "b", "c"):
            await at.put(name)
        await at.protect(2)
        end = await at.drain()
        assert end.ending is Ending.FAILED
        assert "could not be evicted within 3 s" in end.detail
        assert "disruption budget" in end.detail
        assert end.evicted == 1
        assert 4 <= len(at.evictions()) <= 8
        assert marks(at) == (False, False, False)
        assert sorted(str(result) for _, result, _ in at.told) == ["failed", "failed", "succeeded"]


async def test_the_api_server_says_how_long_to_wait() -> None:
    async with scene() as at:
        await at.put("a")
        at.client.cluster.faults.add({"path": "/eviction", "status": 429, "retryAfter": 2, "times": 1})
        assert (await at.drain()).ending is Ending.REMOVED
        (_, first), (_, second) = at.evictions()
        assert second - first >= 1.9


async def test_errors_are_tried_again_and_a_refusal_is_not() -> None:
    async with scene() as at:
        await at.put("a")
        at.client.cluster.faults.add({"path": "/eviction", "status": 500, "times": 1})
        assert (await at.drain()).ending is Ending.REMOVED
    async with scene() as at:
        await at.put("a")
        at.client.cluster.faults.add({"path": "/eviction", "status": 403})
        assert (await at.drain()).ending is Ending.FAILED
        assert len(at.evictions()) == 1
        assert marks(at) == (False, False, False)


async def test_what_was_there_before_is_left() -> None:
    async with scene() as at:
        before = {"unschedulable": True, "taints": [{"key": "own", "effect": "NoSchedule"}]}
        at.client.cluster.store.change(NODES, ("", "node-1"), lambda node: node["spec"].update(before))
        at.client.cluster.store.change(
            NODES, ("", "node-1"), lambda node: node["metadata"]["labels"].update({NOT_BALANCED: "mine"})
        )
        at.objection = "needed again"
        end = await at.drain()
        assert (end.ending, end.detail) == (Ending.CALLED_OFF, "needed again")
        node = at.node()
        assert node["spec"]["unschedulable"] is True
        keys = {taint["key"] for taint in node["spec"]["taints"]}
        assert keys == {"own", "node.kubernetes.io/unschedulable"}
        assert node["metadata"]["labels"][NOT_BALANCED] == "mine"
        assert not at.is_marked()
        assert not at.ended


async def test_a_pod_that_came_keeps_an_empty_node() -> None:
    async with scene() as at:
        order = at.order(cause=DrainCause.EMPTY)
        await at.put("late")
        end = await at.drain(order)
        assert (end.ending, end.detail) == (Ending.CALLED_OFF, "pod default/late runs here now")
        assert marks(at) == (False, False, False)
        assert not at.evictions()


async def test_a_pod_that_the_cache_does_not_show_keeps_its_node() -> None:
    async with scene() as at:
        order = at.order(cause=DrainCause.EMPTY)
        at.client.cluster.faults.add({"path": "/pods.*watch", "drop": True})
        for stream in list(at.client.cluster.watches.streams):
            if "/pods" in stream.path:
                at.client.cluster.watches.cut(stream)
        body = {"metadata": {"name": "hidden"}, "spec": {"nodeName": "node-1", "containers": [{"name": "c"}]}}
        await at.client.must("POST", "/api/v1/namespaces/default/pods", body)
        end = await at.drain(order)
        assert (end.ending, end.detail) == (Ending.CALLED_OFF, "pod default/hidden runs here now")
        assert not at.ended


async def test_paused_stops_what_has_not_begun() -> None:
    async with scene() as at:
        await at.put("a")
        at.paused = True
        end = await at.drain()
        assert (end.ending, end.detail) == (Ending.CALLED_OFF, "paused")
        assert marks(at) == (False, False, False)
        assert not at.evictions()


@pytest.mark.parametrize("act", ["uncordon", "untaint", "disable"])
async def test_people_have_the_last_word(act: str) -> None:
    async with scene() as at:
        await at.put("a")
        await at.protect(1)

        def change(node: dict[str, Any]) -> None:
            if act == "uncordon":
                node["spec"].pop("unschedulable")
            elif act == "untaint":
                node["spec"].pop("taints")
            else:
                node["metadata"]["annotations"][SCALE_DOWN_DISABLED] = "true"

        async with anyio.create_task_group() as tasks:

            async def meddle() -> None:
                await until(at.evictions)
                at.client.cluster.store.change(NODES, ("", "node-1"), change)

            tasks.start_soon(meddle)
            end = await at.drain()
        assert end.ending is Ending.STOPPED
        assert marks(at) == (False, False, False)


async def test_a_drain_that_was_killed_is_taken_over_where_it_stood() -> None:
    async with scene() as at:
        await at.put("a")
        await at.protect(1)
        drain = NodeDrain(at.order(), at.tools("old"), at)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain.run)
            await until(at.evictions)
            tasks.cancel_scope.cancel()
        assert drain.has_evicted
        await until(lambda: all(STAMP in node.annotations for node in at.cluster.nodes.objects.values()))
        stamp = stamp_of(at)
        assert (stamp.owner, stamp.step) == ("old", Step.EVICTING)
        assert marks(at) == (True, True, False), "cluster-autoscaler would leave the label"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(NodeDrain(at.order(adopted=stamp), at.tools("new"), at).run)
            await until(lambda: marks(at) == (True, True, True))
            stamp = stamp_of(at)
            tasks.cancel_scope.cancel()
        at.client.cluster.store.delete(BUDGETS, ("default", "web"))
        end = await at.drain(at.order(adopted=stamp), "newest")
        assert end.ending is Ending.REMOVED
        assert at.ended == ["i-0001"]


async def test_a_process_that_lost_its_node_to_a_successor_ends_nothing() -> None:
    async with scene() as at:
        await at.put("a")
        await at.protect(1)
        async with anyio.create_task_group() as tasks:

            async def steal() -> None:
                await until(at.evictions)
                stolen = json.dumps({**json.loads(at.node()["metadata"]["annotations"][STAMP]), "owner": "new"})
                at.client.cluster.store.change(
                    NODES, ("", "node-1"), lambda node: node["metadata"]["annotations"].update({STAMP: stolen})
                )

            tasks.start_soon(steal)
            end = await at.drain()
        assert end.ending is Ending.TAKEN
        assert at.is_marked()
        assert not at.ended


async def test_without_the_lease_nothing_is_written() -> None:
    async with scene() as at:
        await at.put("a")
        at.may_write = False
        with anyio.move_on_after(0.5):
            await at.drain()
        assert not at.client.cluster.faults.seen("", "PUT")
        assert not at.evictions()


async def test_a_refused_end_is_undone() -> None:
    async with scene(settings=replace(QUICK, end_patience=0.1)) as at:
        at.ends = False
        end = await at.drain(at.order(cause=DrainCause.EMPTY))
        assert (end.ending, end.detail) == (Ending.FAILED, "instance i-0001 could not be terminated")
        assert marks(at) == (False, False, False)


async def test_those_who_delay_the_end_and_volumes_are_waited_for() -> None:
    async with scene() as at:
        store = at.client.cluster.store
        delay = {DELAYS_DELETION + "x": ""}
        store.change(NODES, ("", "node-1"), lambda node: node["metadata"].update(annotations=delay))
        body = {"metadata": {"name": "va"}, "spec": {"nodeName": "node-1", "source": {"persistentVolumeName": "pv"}}}
        await at.client.must("POST", "/apis/storage.k8s.io/v1/volumeattachments", body)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at.drain, at.order(cause=DrainCause.EMPTY))
            await until(lambda: at.client.cluster.faults.seen("^/api/v1/nodes/node-1$", "GET")[2:])
            store.change(NODES, ("", "node-1"), lambda node: node["metadata"]["annotations"].pop(DELAYS_DELETION + "x"))
            await until(lambda: at.client.cluster.faults.seen("volumeattachments", "GET"))
            assert not at.ended
            store.delete(named("volumeattachments"), ("", "va"))
        assert at.ended == ["i-0001"]


async def attach(at: Scene, claim: str) -> None:
    """A bound claim whose volume is attached to the node, seen by the cache."""
    body = {"metadata": {"name": claim, "namespace": "default"}, "spec": {"volumeName": f"pv-{claim}"}}
    at.client.cluster.store.create(named("persistentvolumeclaims"), body)
    source = {"persistentVolumeName": f"pv-{claim}"}
    body = {"metadata": {"name": f"va-{claim}"}, "spec": {"nodeName": "node-1", "source": source}}
    at.client.cluster.store.create(named("volumeattachments"), body)
    await until(lambda: any(claim == one.name for each in at.cluster.storage for one in each.objects.values()))


async def test_volumes_of_pods_that_stay_are_not_waited_for() -> None:
    agent = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "x", "controller": True}
    async with scene(settings=replace(QUICK, evicts_daemonsets=False)) as at:
        for name, owners in (("agent", [agent]), ("web", [])):
            claim = {"name": "data", "persistentVolumeClaim": {"claimName": f"of-{name}"}}
            await at.put(name, ownerReferences=owners, spec={"volumes": [claim]})
            await attach(at, f"of-{name}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at.drain)
            await until(lambda: at.pods_on() == {"agent"})
            await anyio.sleep(0.3)  # longer than it asks again
            assert not at.ended
            at.client.cluster.store.delete(named("volumeattachments"), ("", "va-of-web"))
            await until(lambda: at.ended == ["i-0001"])


async def test_a_node_whose_kubelet_is_dead_goes_once_the_grace_is_over() -> None:
    async with scene() as at:
        await at.put("a", spec={"terminationGracePeriodSeconds": 1})
        at.client.cluster.kubelet.set_ready("node-1", ready=False)
        await until(lambda: not next(iter(at.cluster.nodes.objects.values())).ready)
        end = await at.drain(at.order(cause=DrainCause.UNREADY))
        assert end.ending is Ending.REMOVED


async def test_a_conflict_is_made_good() -> None:
    async with scene() as at:
        at.client.cluster.faults.add({"path": "/nodes/node-1", "method": "PUT", "status": 409, "times": 2})
        assert (await at.drain(at.order(cause=DrainCause.EMPTY))).ending is Ending.REMOVED


def test_a_pod_is_given_its_own_grace_or_the_longest_permitted() -> None:
    def grace(seconds: int | None) -> int:
        return replace(QUICK, max_grace=60).grace_of(builders.pod("a", of=builders.spec(grace_seconds=seconds)))

    assert [grace(5), grace(600), grace(0), grace(None)] == [5, 60, 0, 30]


def test_the_time_of_a_drain_is_bounded() -> None:
    assert QUICK.longest(0) == pytest.approx(0.1 + 3 + 1 + 30 + 3)
    assert QUICK.longest(10) - QUICK.longest(1) == pytest.approx(27)
