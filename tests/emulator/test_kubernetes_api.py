"""Reads and writes over HTTP, as a client of a real API server would see them."""

import gzip
import json

import pytest

from autoscaler.emulator.kubernetes import Options
from autoscaler.emulator.kubernetes.objects import section
from autoscaler.emulator.kubernetes.resources import KINDS, Kind
from autoscaler.emulator.kubernetes.resources import PODS as PODS_KIND
from tests.emulator.kubernetes_client import PODS, QUIET, Client, deployment, machine, pod, running, until

pytestmark = pytest.mark.anyio
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def create_pods(client: Client, count: int) -> None:
    for number in range(count):
        await client.must("POST", PODS, pod(f"p-{number}"))


async def test_a_created_pod_has_identity_defaults_and_priority() -> None:
    async with running(QUIET) as client:
        high = {"metadata": {"name": "high"}, "value": 1000}
        await client.must("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
        made = await client.must("POST", PODS, pod("a", priorityClassName="high"))
        assert made["kind"] == "Pod"
        assert made["apiVersion"] == "v1"
        assert made["metadata"]["uid"]
        assert made["metadata"]["creationTimestamp"].endswith("Z")
        assert made["spec"]["priority"] == 1000
        assert {row["key"] for row in made["spec"]["tolerations"]} == {
            "node.kubernetes.io/not-ready",
            "node.kubernetes.io/unreachable",
        }
        assert made["status"] == {"phase": "Pending", "qosClass": "Burstable"}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (pod("a"), 409, "AlreadyExists"),
        ({"metadata": {}, "spec": pod("a")["spec"]}, 422, "Invalid"),
        ({"metadata": {"name": "b"}, "spec": {}}, 422, "Invalid"),
        (pod("b", priorityClassName="absent"), 403, "Forbidden"),
        ({"kind": "Node", "metadata": {"name": "b"}}, 400, "BadRequest"),
        (["no object"], 400, "BadRequest"),
    ],
)
async def test_refused_creations_say_why(body: object, status: int, reason: str) -> None:
    async with running(QUIET) as client:
        await client.must("POST", PODS, pod("a"))
        got, answer = await client.ask("POST", PODS, body)
        assert (got, answer["kind"], answer["reason"], answer["code"]) == (status, "Status", reason, status)


async def test_a_missing_namespace_kind_or_object_is_not_found() -> None:
    async with running(QUIET) as client:
        for path in ("/api/v1/namespaces/default/pods/x", "/api/v1/things", "/apis/x.io/v1/things", "/nothing"):
            status, answer = await client.ask("GET", path)
            assert (status, answer["reason"]) == (404, "NotFound")
        status, _ = await client.ask("POST", "/api/v1/namespaces/absent/pods", pod("a"))
        assert status == 404


async def test_pages_show_one_snapshot_while_objects_change() -> None:
    async with running(QUIET) as client:
        await create_pods(client, 5)
        first = await client.must("GET", f"{PODS}?limit=2")
        assert first["metadata"]["remainingItemCount"] == 3
        await client.must("DELETE", f"{PODS}/p-3")
        await client.must("POST", PODS, pod("p-2b"))
        names, meta = [row["metadata"]["name"] for row in first["items"]], first["metadata"]
        while "continue" in meta:
            page = await client.must("GET", f"{PODS}?limit=2&continue={meta['continue']}")
            assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
            names += [row["metadata"]["name"] for row in page["items"]]
            meta = page["metadata"]
        assert names == [f"p-{number}" for number in range(5)]


async def test_a_continue_token_expires_with_the_history() -> None:
    async with running(QUIET) as client:
        await create_pods(client, 3)
        token = (await client.must("GET", f"{PODS}?limit=1"))["metadata"]["continue"]
        await client.must("POST", "/emu/compact")
        status, answer = await client.ask("GET", f"{PODS}?limit=1&continue={token}")
        assert (status, answer["reason"]) == (410, "Expired")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("labelSelector=app%3Da", ["a"]),
        ("labelSelector=app%21%3Da", ["b", "c"]),
        ("labelSelector=app%20in%20(a,c),app", ["a", "c"]),
        ("labelSelector=!app", []),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=spec.nodeName%3Dn1", ["c"]),
        ("fieldSelector=status.phase%21%3DPending", ["c"]),
    ],
)
async def test_selectors_choose(query: str, names: list[str]) -> None:
    async with running(QUIET) as client:
        for name in ("a", "b"):
            await client.must("POST", PODS, pod(name))
        placed = pod("c", nodeName="n1") | {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Running"}}
        placed["metadata"]["namespace"] = "default"
        client.cluster.store.load([placed])
        found = await client.must("GET", f"/api/v1/pods?{query}")
        assert [row["metadata"]["name"] for row in found["items"]] == names


async def test_unknown_field_selectors_are_refused() -> None:
    async with running(QUIET) as client:
        assert (await client.ask("GET", f"{PODS}?fieldSelector=spec.color%3Dred"))[0] == 400
        assert (await client.ask("GET", f"{PODS}?labelSelector=%3D%3D"))[0] == 400


async def test_an_update_of_an_old_version_conflicts() -> None:
    async with running(QUIET) as client:
        path = "/apis/apps/v1/namespaces/default/deployments"
        old = await client.must("POST", path, deployment("web", 1))
        new = await client.must("PUT", f"{path}/web", old | {"spec": old["spec"] | {"replicas": 2}})
        assert new["metadata"]["generation"] == 2
        status, answer = await client.ask("PUT", f"{path}/web", old)
        assert (status, answer["reason"]) == (409, "Conflict")
        same = await client.must("PUT", f"{path}/web", new)
        assert same["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"]


async def test_status_and_spec_are_written_apart() -> None:
    async with running(QUIET) as client:
        made = await client.must("POST", PODS, pod("a"))
        made["status"]["phase"] = "Running"
        made["spec"]["priority"] = 7
        answer = await client.must("PUT", f"{PODS}/a/status", made)
        assert (answer["status"]["phase"], answer["spec"]["priority"]) == ("Running", 0)
        patch = {"metadata": {"annotations": {"k": "v"}}, "status": {"phase": "Failed"}}
        merged = "application/merge-patch+json"
        answer = await client.must("PATCH", f"{PODS}/a", patch, Content_Type=merged)
        assert (answer["status"]["phase"], answer["metadata"]["annotations"]) == ("Running", {"k": "v"})


async def test_finalizers_and_grace_hold_a_deletion() -> None:
    async with running(QUIET) as client:
        held = {"metadata": {"name": "held", "finalizers": ["x.io/wait"]}}
        path = "/api/v1/namespaces/default/configmaps"
        await client.must("POST", path, held)
        answer = await client.must("DELETE", f"{path}/held")
        assert answer["metadata"]["deletionTimestamp"]
        free = {"metadata": {"finalizers": None}}
        await client.must("PATCH", f"{path}/held", free, Content_Type="application/merge-patch+json")
        assert (await client.ask("GET", f"{path}/held"))[0] == 404
        await client.must("POST", PODS, pod("a", nodeName="nowhere"))
        answer = await client.must("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 5})
        assert answer["metadata"]["deletionGracePeriodSeconds"] == 5
        await client.must("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
        assert (await client.ask("GET", f"{PODS}/a"))[0] == 404


async def test_preconditions_and_dry_runs_change_nothing() -> None:
    async with running(QUIET) as client:
        await client.must("POST", f"{PODS}?dryRun=All", pod("a"))
        assert (await client.ask("GET", f"{PODS}/a"))[0] == 404
        await client.must("POST", PODS, pod("a"))
        status, _ = await client.ask("DELETE", f"{PODS}/a", {"preconditions": {"uid": "other"}})
        assert status == 409
        await client.must("DELETE", f"{PODS}/a?dryRun=All")
        await client.must("GET", f"{PODS}/a")


async def test_a_collection_is_deleted_by_selector() -> None:
    async with running(QUIET) as client:
        await create_pods(client, 3)
        await client.must("DELETE", f"{PODS}?labelSelector=app%20notin%20(p-1)")
        left = await client.must("GET", PODS)
        assert [row["metadata"]["name"] for row in left["items"]] == ["p-1"]


async def test_tables_and_metadata_come_when_accepted() -> None:
    async with running(QUIET) as client:
        await create_pods(client, 1)
        table = await client.must("GET", PODS, Accept=TABLE)
        assert table["kind"] == "Table"
        assert [column["name"] for column in table["columnDefinitions"]][:3] == ["Name", "Ready", "Status"]
        assert table["rows"][0]["cells"][:3] == ["p-0", "0/1", "Pending"]
        listed = await client.must("GET", PODS, Accept=METADATA)
        assert listed["kind"] == "PartialObjectMetadataList"
        assert listed["items"][0].keys() == {"metadata"}


async def test_events_are_one_storage_in_two_groups() -> None:
    async with running(QUIET) as client:
        event = {"metadata": {"name": "e"}, "reason": "R", "note": "words", "regarding": {"name": "a"}}
        await client.must("POST", "/apis/events.k8s.io/v1/namespaces/default/events", event)
        core = await client.must("GET", "/api/v1/namespaces/default/events/e")
        assert (core["message"], core["involvedObject"]) == ("words", {"name": "a"})
        newer = await client.must("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")
        assert (newer["note"], newer["apiVersion"]) == ("words", "events.k8s.io/v1")


async def test_a_token_is_required_when_set() -> None:
    async with running(Options(token="secret")) as client:
        assert (await client.ask("GET", "/api/v1/nodes"))[0] == 401
        assert (await client.ask("GET", "/api/v1/nodes", Authorization="Bearer secret"))[0] == 200
        assert "secret" in client.cluster.kubeconfig()


async def test_large_lists_are_compressed_when_asked() -> None:
    async with running(QUIET) as client:
        await create_pods(client, 1)
        big = {"metadata": {"name": "big"}, "data": {"text": "x" * 200_000}}
        await client.must("POST", "/api/v1/namespaces/default/configmaps", big)
        url = client.cluster.url + "/api/v1/configmaps"
        async with client.session.get(url, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            listed = json.loads(gzip.decompress(await response.read()))
        assert listed["items"][0]["data"]["text"] == "x" * 200_000
        async with client.session.get(url, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers


async def test_malformed_objects_can_be_put_in_and_are_served() -> None:
    async with running() as client:
        for name, value in (
            ("no-spec", {"metadata": {"name": "no-spec"}}),
            ("no-metadata", {"spec": 7}),
            ("empty", {}),
        ):
            body = {"resource": "pods", "namespace": "default", "name": name, "object": value}
            await client.must("POST", "/emu/raw", body)
        bad = pod("bad", cpu="many")
        await client.must(
            "POST", "/emu/raw", {"resource": "pods", "namespace": "default", "name": "bad", "object": bad}
        )
        listed = await client.must("GET", "/api/v1/pods")
        assert len(listed["items"]) == 4
        await client.must("GET", "/api/v1/pods", Accept=TABLE)
        await client.must("POST", PODS, pod("good"))  # the controllers still live


ODD = [
    {},
    {"metadata": 7, "spec": [], "status": "no"},
    {"metadata": {"labels": [1], "ownerReferences": [{"uid": 1, "controller": True}], "finalizers": "x"}, "spec": {}},
    {
        "spec": {
            "selector": {"matchExpressions": [{"values": 5}]},
            "minAvailable": "x%",
            "template": 1,
            "replicas": "two",
        }
    },
    {
        "spec": {
            "nodeName": "n",
            "containers": [{"resources": {"requests": {"cpu": {}}}}],
            "taints": [[]],
            "tolerations": 1,
        }
    },
    {"status": {"conditions": [1, {"type": []}], "allocatable": {"cpu": "many"}, "phase": 3}, "value": "high"},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource)
async def test_odd_objects_break_nothing(kind: Kind) -> None:
    async with running() as client:
        for number, value in enumerate(ODD):
            body = {"resource": kind.storage, "namespace": "default", "name": f"odd-{number}", "object": value}
            await client.must("POST", "/emu/raw", body)
            await client.must("POST", "/emu/raw", body)
        root = f"/apis/{kind.api_version}" if kind.group else "/api/v1"
        for accept in ("application/json", TABLE, METADATA):
            listed = await client.must("GET", f"{root}/{kind.plural}?limit=500", Accept=accept)
            assert len(listed["items" if "items" in listed else "rows"]) >= len(ODD)
        async with client.watch(f"{root}/{kind.plural}?watch=1&timeoutSeconds=2") as events:
            assert (await anext(events))[0] == "ADDED"
        client.cluster.kubelet.launch(machine(1))
        await client.must("POST", PODS, pod("healthy"))
        await until(lambda: "Running" in phases_of(client))


def phases_of(client: Client) -> list[object]:
    found = [stored.value for stored in client.cluster.store.items(PODS_KIND)]
    return [section(value, "status").get("phase") for value in found]
