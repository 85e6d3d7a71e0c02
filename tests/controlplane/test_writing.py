"""What we write, as a real API server takes it: leases, events, cordons, evictions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from autoscaler import clock
from autoscaler.core.model import Pod, Uid
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes import kinds
from autoscaler.kubernetes.act import Eviction, cordon, evict, patch_node
from autoscaler.kubernetes.cache import Reflector
from autoscaler.kubernetes.convert import Interner
from autoscaler.kubernetes.events import EventNote, EventRecorder, ObjectRef
from autoscaler.kubernetes.lease import Elector, LeaseSettings
from autoscaler.kubernetes.transport import Api
from tests.controlplane.cluster import NAMESPACE, Cluster, hollow, pod, pods_path
from tests.controlplane.test_reading import connected, pace, until

pytestmark = [pytest.mark.controlplane, pytest.mark.anyio]

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/leader"
BUDGETS = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets"


@asynccontextmanager
async def elector(cluster: Cluster, identity: str) -> AsyncIterator[Elector]:
    times = {"lease_duration": 2.0, "renew_deadline": 1.4, "retry_period": 0.2}
    settings = LeaseSettings(identity=identity, jitter=lambda: 0.5, namespace=NAMESPACE, name="leader", **times)
    async with connected(cluster) as api:
        yield Elector(api, settings)


async def test_one_of_several_leads_and_hands_over(controlplane: Cluster) -> None:
    leading: list[str] = []
    names = [f"candidate-{number}" for number in range(4)]
    scopes = {name: anyio.CancelScope() for name in names}

    async def stand(name: str) -> None:
        async def lead() -> None:
            leading.append(name)
            try:
                await anyio.sleep_forever()
            finally:
                leading.remove(name)

        async with elector(controlplane, name) as own:
            with scopes[name]:
                await own.run(lead)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(stand, name)
        await until(lambda: leading, "a leader")
        (first,) = leading
        found = controlplane.client.get(LEASE)["spec"]
        assert (found["holderIdentity"], found["leaseTransitions"]) == (first, 0)
        with anyio.move_on_after(3):
            await until(lambda: leading != [first], "nothing: the leader renews its lease")
        assert leading == [first]
        assert controlplane.client.get(LEASE)["spec"]["renewTime"] > found["renewTime"]
        scopes[first].cancel()
        await until(lambda: leading and leading != [first], "a successor")
        (second,) = leading
        assert controlplane.client.get(LEASE)["spec"]["holderIdentity"] == second
        for scope in scopes.values():
            scope.cancel()


async def test_events_are_taken_as_written(controlplane: Cluster) -> None:
    controlplane.add_nodes([hollow("node-a")])
    controlplane.add_pods([pod("web")])
    (uid,) = [each["metadata"]["uid"] for each in controlplane.pods()]
    about = ObjectRef("Pod", "web", NAMESPACE, uid)
    long = "x" * 2000
    at = clock.now()
    notes = [
        EventNote(about=about, reason="TriggeredScaleUp", message="pod triggered scale-up: [{a 0->1}]", at=at),
        EventNote(about=about, reason="TriggeredScaleUp", message="pod triggered scale-up: [{a 0->1}]", at=at),
        EventNote(about=about, reason="NotTriggerScaleUp", message=long, at=at, is_warning=True),
        EventNote(about=ObjectRef("Node", "node-a"), reason="AutoscalerTest", message="of no namespace", at=at),
    ]
    async with connected(controlplane) as api:
        recorder = EventRecorder(api, duplicates=True)
        assert all(recorder.record(note) for note in notes)
        recorder.close()
        await recorder.run()
    assert (recorder.written, recorder.failed) == (4, 0)
    (repeated,) = controlplane.events("TriggeredScaleUp")
    assert repeated["count"] == 2
    assert repeated["source"]["component"] == "cluster-autoscaler"
    assert repeated["involvedObject"]["uid"] == uid
    (shortened,) = controlplane.events("NotTriggerScaleUp")
    assert len(shortened["message"]) == 1024
    events = "/api/v1/namespaces/default/events"
    of_node = controlplane.client.items(events, fieldSelector="reason=AutoscalerTest")
    assert [each["involvedObject"]["name"] for each in of_node] == ["node-a"]
    controlplane.client.delete(events, fieldSelector="reason=AutoscalerTest")


async def test_a_stale_patch_of_a_node_is_not_taken(controlplane: Cluster) -> None:
    controlplane.add_nodes([hollow("node-a")])
    (stale,) = [each["metadata"]["resourceVersion"] for each in controlplane.nodes()]
    async with connected(controlplane) as api:
        assert await cordon(api, "node-a")
        (node,) = controlplane.nodes()
        assert node["spec"]["unschedulable"] is True
        patch = {"metadata": {"annotations": {"priority-autoscaler/test": "1"}}}
        assert not await patch_node(api, "node-a", patch, stale)
        await until(lambda: taints_of(controlplane) == ["node.kubernetes.io/unschedulable"], "the taint of a cordon")
        (node,) = controlplane.nodes()
        assert await patch_node(api, "node-a", patch, node["metadata"]["resourceVersion"])
        assert await cordon(api, "node-a", is_cordoned=False)
        await until(lambda: not taints_of(controlplane), "the taint to go")
        assert not await cordon(api, "node-b")


def taints_of(cluster: Cluster) -> list[str]:
    (node,) = cluster.nodes()
    return [taint["key"] for taint in node["spec"].get("taints", ())]


def budget(cluster: Cluster, name: str, least: int) -> None:
    """A PDB over the app, once its controller has counted."""
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": "web"}}}
    cluster.client.create(BUDGETS, {"metadata": {"name": name}, "spec": spec})


def allowed(cluster: Cluster, name: str) -> int | None:
    status = cluster.client.get(f"{BUDGETS}/{name}").get("status", {})
    return status.get("disruptionsAllowed") if status.get("expectedPods") else None


def run_pods(cluster: Cluster) -> None:
    """What a kubelet would report of every bound pod."""
    cluster.wait_judged()
    for each in cluster.pods():
        ready = {"type": "Ready", "status": "True"}
        path = f"{pods_path(each['metadata']['name'])}/status"
        cluster.client.patch(path, {"status": {"phase": "Running", "conditions": [ready]}})


async def pods_of(api: Api) -> dict[str, Pod]:
    reflector = Reflector(api, kinds.pods(Interner()), pace())
    async with anyio.create_task_group() as tasks:
        await tasks.start(reflector.watch)
        tasks.cancel_scope.cancel()
    return {each.name: each for each in reflector.objects.values() if each.namespace == NAMESPACE}


async def test_evictions_obey_the_budget(controlplane: Cluster) -> None:
    controlplane.add_nodes([hollow("node-a")])
    controlplane.add_pods(pod(f"web-{number}", labels={"app": "web"}) for number in range(3))
    run_pods(controlplane)
    budget(controlplane, "web", 2)
    await until(lambda: allowed(controlplane, "web") == 1, "the budget to be counted")
    async with connected(controlplane) as api:
        pods = await pods_of(api)

        async def answer(wanted: Pod) -> Eviction:
            return (await evict(api, wanted, grace_seconds=0)).outcome

        assert await answer(pods["web-0"]) is Eviction.ACCEPTED
        assert await answer(pods["web-1"]) is Eviction.BLOCKED
        await until(lambda: len(controlplane.pods()) == 2, "the evicted pod to be gone")
        assert await answer(pods["web-0"]) is Eviction.GONE
        budget(controlplane, "second", 0)
        with pytest.raises(KubernetesError, match="more than one PodDisruptionBudget") as refused:
            await answer(pods["web-1"])
        assert refused.value.status == 500
        for name in ("web", "second"):
            controlplane.client.delete(f"{BUDGETS}/{name}")
        # Not under a budget: a refused precondition would have taken its share of it first, for two minutes.
        assert await answer(replace(pods["web-1"], uid=Uid("another"))) is Eviction.GONE
        assert await answer(pods["web-1"]) is Eviction.ACCEPTED
