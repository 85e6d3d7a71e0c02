"""The parts that act by themselves: scheduler, kubelets, controllers, budgets."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from autoscaler.emulator.kubernetes import KubernetesEmulator
from tests.emulator.kubernetes_client import PODS, QUICK, Client, deployment, machine, phases, pod, running, until

pytestmark = pytest.mark.anyio
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
NOT_READY = "node.kubernetes.io/not-ready"


def one_pod(client: Client, name: str) -> dict[str, Any]:
    found = [value for value in client.cluster.store.values("pods") if value["metadata"]["name"] == name]
    return found[0] if found else {}


def scheduled(client: Client, name: str) -> dict[str, Any]:
    rows = one_pod(client, name).get("status", {}).get("conditions", [])
    return next((row for row in rows if row["type"] == "PodScheduled"), {})


def node_of(client: Client, name: str) -> str:
    return str(one_pod(client, name).get("spec", {}).get("nodeName", ""))


async def join(client: Client, *machines: Any) -> None:
    for one in machines:
        client.cluster.kubelet.launch(one)
    names = {one.node_name for one in machines}
    await until(lambda: names <= {name for name, ready in readiness(client).items() if ready})


def readiness(client: Client) -> dict[str, bool]:
    return {
        node["metadata"]["name"]: any(
            row["type"] == "Ready" and row["status"] == "True" for row in node["status"]["conditions"]
        )
        for node in client.cluster.store.values("nodes")
    }


async def test_a_launched_instance_becomes_a_ready_node_and_goes_with_its_pods() -> None:
    async with running() as client:
        client.cluster.kubelet.launch(
            machine(1, labels={"pool": "spot"}, taints=({"key": "a", "effect": "NoSchedule"},))
        )
        await until(lambda: readiness(client) == {"node-1": False})
        first = client.cluster.store.values("nodes")[0]
        assert first["spec"]["providerID"] == "aws:///eu-west-3a/i-0001"
        assert first["metadata"]["labels"]["topology.kubernetes.io/zone"] == "eu-west-3a"
        assert first["metadata"]["labels"]["pool"] == "spot"
        assert [taint["key"] for taint in first["spec"]["taints"]] == [NOT_READY, "a"]
        await until(lambda: readiness(client) == {"node-1": True})
        assert [taint["key"] for taint in client.cluster.store.values("nodes")[0]["spec"]["taints"]] == ["a"]
        await client.must("POST", PODS, pod("here", tolerations=[{"operator": "Exists"}]))
        await until(lambda: phases(client) == ["Running"])
        client.cluster.kubelet.terminate("i-0001")
        await until(lambda: not client.cluster.store.values("nodes") and not client.cluster.store.values("pods"))


async def test_instances_may_never_register_or_never_be_ready() -> None:
    async with running() as client:
        silent, sick = machine(1, registers=False), machine(2, becomes_ready=False)
        for one in (silent, sick):
            client.cluster.kubelet.launch(one)
        await join(client, machine(3))
        assert readiness(client) == {"node-2": False, "node-3": True}


async def test_the_unschedulable_are_marked_with_each_reason() -> None:
    async with running() as client:
        await join(client, machine(1), machine(2, taints=({"key": "a", "effect": "NoSchedule"},)), machine(3))
        cordon = {"spec": {"unschedulable": True}}
        await client.must("PATCH", "/api/v1/nodes/node-3", cordon, Content_Type="application/merge-patch+json")
        await client.must("POST", PODS, pod("big", cpu="3"))
        condition = await until(lambda: scheduled(client, "big"))
        assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
        told = "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
        assert condition["message"] == told + "1 node(s) were unschedulable."
        events = await until(lambda: client.cluster.store.values("events"))
        assert [event["reason"] for event in events] == ["FailedScheduling"]
        tainted = await until(lambda: client.cluster.store.values("nodes")[2]["spec"].get("taints"))
        assert tainted == [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]


async def test_waiting_pods_go_to_new_nodes_by_priority_then_age() -> None:
    async with running() as client:
        high = {"metadata": {"name": "high"}, "value": 10}
        await client.must("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
        for name, more in (("old", {}), ("young", {}), ("vip", {"priorityClassName": "high"})):
            await client.must("POST", PODS, pod(name, cpu="1500m", **more))
        await until(lambda: all(scheduled(client, name) for name in ("old", "young", "vip")))
        await join(client, machine(1))
        await until(lambda: node_of(client, "vip"))
        await join(client, machine(2))
        assert await until(lambda: node_of(client, "old")) == "node-2"
        await client.must("DELETE", f"{PODS}/vip?gracePeriodSeconds=0")
        assert await until(lambda: node_of(client, "young")) == "node-1"


@pytest.mark.parametrize(
    ("wish", "node"),
    [
        ({"nodeSelector": {"pool": "b"}}, "node-2"),
        ({"nodeName": "node-1"}, "node-1"),
        ({"affinity": {"expression": {"key": "pool", "operator": "NotIn", "values": ["a"]}}}, "node-2"),
        ({"affinity": {"expression": {"key": "size", "operator": "Gt", "values": ["3"]}}}, "node-1"),
        ({"schedulerName": "other"}, ""),
        ({"schedulingGates": [{"name": "wait"}]}, ""),
        ({"nodeSelector": {"pool": "c"}}, ""),
    ],
)
async def test_wishes_are_respected(wish: dict[str, Any], node: str) -> None:
    async with running() as client:
        await join(client, machine(1, labels={"pool": "a", "size": "4"}), machine(2, labels={"pool": "b"}))
        if "affinity" in wish:
            term = {"matchExpressions": [wish["affinity"]["expression"]]}
            required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
            wish = {"affinity": {"nodeAffinity": required}}
        await client.must("POST", PODS, pod("a", **wish))
        await client.must("POST", PODS, pod("later"))
        await until(lambda: node_of(client, "later"))
        assert node_of(client, "a") == node


async def test_a_binding_is_done_once() -> None:
    async with running() as client:
        await client.must("POST", PODS, pod("a", schedulerName="other"))
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"name": "node-1"}}
        await client.must("POST", f"{PODS}/a/binding", binding)
        status, answer = await client.ask("POST", f"{PODS}/a/binding", binding)
        assert (status, answer["reason"]) == (409, "Conflict")
        assert scheduled(client, "a")["status"] == "True"


async def test_a_deployment_scales_heals_rolls_and_goes() -> None:
    async with running() as client:
        await join(client, machine(1))
        await client.must("POST", DEPLOYMENTS, deployment("web", 3))
        await until(lambda: phases(client) == ["Running"] * 3)
        scale = await client.must("GET", f"{DEPLOYMENTS}/web/scale")
        assert scale["status"]["selector"] == "app=web"
        await client.must("PUT", f"{DEPLOYMENTS}/web/scale", scale | {"spec": {"replicas": 5}})
        await until(lambda: phases(client) == ["Running"] * 5)
        victim = client.cluster.store.values("pods")[0]["metadata"]
        owner = victim["ownerReferences"][0]
        assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True)
        await client.must("DELETE", f"{PODS}/{victim['name']}")
        await until(lambda: phases(client) == ["Running"] * 5 and not one_pod(client, victim["name"]))
        template = {"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}}
        merge = "application/strategic-merge-patch+json"
        await client.must("PATCH", f"{DEPLOYMENTS}/web", template, Content_Type=merge)

        def rolled() -> bool:
            pods = client.cluster.store.values("pods")
            return len(pods) == 5 and all(value["metadata"]["labels"].get("version") == "2" for value in pods)

        await until(rolled)
        status = (await client.must("GET", f"{DEPLOYMENTS}/web"))["status"]
        assert status["observedGeneration"] == 3
        await client.must("DELETE", f"{DEPLOYMENTS}/web")
        await until(lambda: not client.cluster.store.values("pods") and not client.cluster.store.values("replicasets"))


async def test_a_daemon_set_follows_the_nodes() -> None:
    async with running() as client:
        await join(client, machine(1), machine(2, labels={"pool": "gpu"}))
        daemon = deployment("agent", 0) | {"metadata": {"name": "agent"}}
        daemon["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "gpu"}
        del daemon["spec"]["replicas"]
        await client.must("POST", "/apis/apps/v1/namespaces/default/daemonsets", daemon)
        await until(lambda: phases(client) == ["Running"])
        await join(client, machine(3, labels={"pool": "gpu"}))
        await until(lambda: phases(client) == ["Running"] * 2)
        placed = {value["spec"]["nodeName"] for value in client.cluster.store.values("pods")}
        assert placed == {"node-2", "node-3"}


async def test_stateful_sets_and_jobs_run_their_pods() -> None:
    async with running() as client:
        await join(client, machine(1))
        stateful = deployment("db", 2)
        await client.must("POST", "/apis/apps/v1/namespaces/default/statefulsets", stateful)
        await until(
            lambda: [value["metadata"]["name"] for value in client.cluster.store.values("pods")] == ["db-0", "db-1"]
        )
        spec = pod("once", restartPolicy="Never")["spec"]
        template = {"metadata": {"annotations": {"emulator/run-seconds": "0.01"}}, "spec": spec}
        job = {"metadata": {"name": "once"}, "spec": {"completions": 2, "parallelism": 1, "template": template}}
        await client.must("POST", "/apis/batch/v1/namespaces/default/jobs", job)
        await until(lambda: client.cluster.store.values("jobs")[0]["status"].get("succeeded") == 2)
        assert Counter(phases(client)) == {"Running": 2, "Succeeded": 2}


async def budget(client: Client, name: str, **bound: Any) -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}, **bound}
    await client.must("POST", BUDGETS, {"metadata": {"name": name}, "spec": spec})
    await until(
        lambda: "observedGeneration" in client.cluster.store.values("poddisruptionbudgets")[0].get("status", {})
    )


async def evict(client: Client, name: str) -> tuple[int, Any]:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return await client.ask("POST", f"{PODS}/{name}/eviction", eviction)


@pytest.mark.parametrize(
    ("bound", "granted", "desired"),
    [
        ({"minAvailable": 3}, 1, 3),
        ({"minAvailable": "50%"}, 2, 2),
        ({"maxUnavailable": 1}, 1, 3),
        ({"maxUnavailable": "40%"}, 2, 2),
    ],
)
async def test_a_budget_grants_so_many_evictions_at_once(bound: dict[str, Any], granted: int, desired: int) -> None:
    async with running() as client:
        await join(client, machine(1))
        await client.must("POST", DEPLOYMENTS, deployment("web", 4))
        await until(lambda: phases(client) == ["Running"] * 4)
        await budget(client, "web", **bound)
        client.cluster.kubelet.set_ready("node-1", False)  # so that no pod goes or starts meanwhile
        names = [value["metadata"]["name"] for value in client.cluster.store.values("pods")]
        answers = [await evict(client, name) for name in names]
        assert [status for status, _ in answers] == [201] * granted + [429] * (4 - granted)
        refusal = answers[-1][1]
        assert refusal["details"]["causes"][0]["reason"] == "DisruptionBudget"
        assert f"needs {desired} healthy pods" in refusal["details"]["causes"][0]["message"]


async def test_eviction_of_the_odd_ones() -> None:
    async with running() as client:
        assert (await evict(client, "absent"))[0] == 404
        await client.must("POST", DEPLOYMENTS, deployment("web", 1))
        await until(lambda: phases(client) == ["Pending"])
        await budget(client, "one", minAvailable=1)
        first = client.cluster.store.values("pods")[0]["metadata"]["name"]
        assert (await evict(client, first))[0] == 201  # a pending pod needs no budget
        await join(client, machine(1))
        await until(lambda: phases(client) == ["Running"])
        await budget(client, "two", minAvailable=1)
        status, answer = await evict(client, client.cluster.store.values("pods")[0]["metadata"]["name"])
        assert (status, answer["reason"]) == (500, "InternalError")
        assert "more than one PodDisruptionBudget" in answer["message"]


async def test_a_namespace_takes_its_objects_along() -> None:
    async with running() as client:
        await client.must("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
        await client.must("POST", "/api/v1/namespaces/team/pods", pod("a"))
        await client.must("DELETE", "/api/v1/namespaces/team")
        await until(lambda: not client.cluster.store.values("pods", "team"))


async def test_a_full_cluster_is_loaded_and_still_answers() -> None:
    async with running() as client:
        nodes = [
            {
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n-{number}"},
                "status": {"allocatable": {"cpu": "1", "memory": "8Gi", "pods": "20"}},
            }
            for number in range(100)
        ]  # fmt: skip
        pods = [
            {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}}
            | pod(f"p-{number}", nodeName=f"n-{number % 100}")
            for number in range(1000)
        ]
        for value in pods:
            value["metadata"]["namespace"] = "shop"
        assert client.cluster.store.load([*nodes, *pods]) == 1100
        await client.must("POST", PODS, pod("one-more"))
        message = (await until(lambda: scheduled(client, "one-more")))["message"]
        assert message == "0/100 nodes are available: 100 Insufficient cpu."
        await client.must("DELETE", "/api/v1/namespaces/shop/pods/p-42?gracePeriodSeconds=0")
        assert await until(lambda: node_of(client, "one-more")) == "n-42"


def test_it_runs_in_a_thread_for_callers_that_do_not_await() -> None:
    with KubernetesEmulator.start(QUICK) as cluster:
        cluster.call(cluster.kubelet.launch, machine(1))
        while not cluster.call(cluster.store.values, "nodes"):
            anyio.run(anyio.sleep, 0.01)
        created = cluster.call(cluster.store.values, "nodes")[0]["metadata"]["creationTimestamp"]
        assert datetime.fromisoformat(created).utcoffset() == timedelta(0)


async def test_a_failure_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with running():
            raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"), KubernetesEmulator.start(QUICK):
        raise KeyError("mine")
