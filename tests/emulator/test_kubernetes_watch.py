"""Watches: what a client sees, misses and is told; faults on demand."""

import aiohttp
import anyio
import pytest

from tests.emulator.kubernetes_client import PODS, QUIET, Client, pod, running

pytestmark = pytest.mark.anyio


async def version(client: Client) -> str:
    listed = await client.must("GET", PODS)
    return str(listed["metadata"]["resourceVersion"])


async def test_a_watch_tells_each_change_in_order() -> None:
    async with running(QUIET) as client:
        since = await version(client)
        await client.must("POST", PODS, pod("a"))
        async with client.watch(f"{PODS}?watch=true&resourceVersion={since}&timeoutSeconds=5") as events:
            patch = {"metadata": {"labels": {"x": "y"}}}
            await client.must("PATCH", f"{PODS}/a", patch, Content_Type="application/merge-patch+json")
            await client.must("DELETE", f"{PODS}/a")
            seen = [await anext(events) for _ in range(3)]
        assert [verb for verb, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
        versions = [int(row["metadata"]["resourceVersion"]) for _, row in seen]
        assert versions == sorted(set(versions))


async def test_an_object_enters_and_leaves_a_selector() -> None:
    async with running(QUIET) as client:
        since = await version(client)
        path = f"{PODS}?watch=true&resourceVersion={since}&labelSelector=x%3Dy&timeoutSeconds=5"
        async with client.watch(path) as events:
            await client.must("POST", PODS, pod("a"))
            merge = "application/merge-patch+json"
            await client.must("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, Content_Type=merge)
            await client.must("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "z"}}}, Content_Type=merge)
            assert [(await anext(events))[0] for _ in range(2)] == ["ADDED", "DELETED"]


async def test_bookmarks_come_only_when_asked_for() -> None:
    async with running(QUIET) as client:
        since = await version(client)
        await client.must("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "newer"}})
        path = f"{PODS}?watch=true&resourceVersion={since}&timeoutSeconds=1"
        async with client.watch(f"{path}&allowWatchBookmarks=true") as events:
            verb, marked = await anext(events)
        assert verb == "BOOKMARK"
        assert marked["kind"] == "Pod"
        assert int(marked["metadata"]["resourceVersion"]) > int(since)
        async with client.watch(path) as events:
            assert [verb async for verb, _ in events] == []  # and it ends by its timeout


async def test_a_watch_without_a_version_starts_with_all_objects() -> None:
    async with running(QUIET) as client:
        await client.must("POST", PODS, pod("a"))
        asked = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        for query in ("", "resourceVersion=0", asked):
            async with client.watch(f"{PODS}?watch=1&timeoutSeconds=2&{query}") as events:
                verb, first = await anext(events)
                assert (verb, first["metadata"]["name"]) == ("ADDED", "a")
                if query == asked:
                    verb, mark = await anext(events)
                    assert verb == "BOOKMARK"
                    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_lost_history_is_an_error_event() -> None:
    async with running(QUIET) as client:
        since = await version(client)
        await client.must("POST", PODS, pod("a"))
        await client.must("POST", "/emu/compact")
        async with client.watch(f"{PODS}?watch=1&resourceVersion={since}") as events:
            seen = [event async for event in events]
        assert [(verb, told["code"], told["reason"]) for verb, told in seen] == [("ERROR", 410, "Expired")]


async def test_a_cut_ends_a_stream_in_the_middle_of_a_line() -> None:
    async with running(QUIET) as client:
        since = await version(client)
        url = f"{client.cluster.url}{PODS}?watch=1&resourceVersion={since}"
        with anyio.fail_after(5):
            async with client.session.get(url) as response:
                assert (await client.must("POST", "/emu/cut", {"path": "pods"}))["cut"] == 1
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.content.read()


@pytest.mark.parametrize("status", [401, 410, 429, 500])
async def test_faults_answer_for_a_path_and_a_while(status: int) -> None:
    async with running(QUIET) as client:
        await client.must("POST", "/emu/faults", {"path": "pods", "status": status, "times": 2, "retryAfter": 3})
        for _ in range(2):
            async with client.session.get(client.cluster.url + PODS) as response:
                assert (response.status, response.headers["Retry-After"]) == (status, "3")
        await client.must("GET", PODS)
        await client.must("POST", "/emu/faults", {"path": "pods", "status": status})
        await client.must("GET", "/api/v1/nodes")
        assert (await client.ask("GET", PODS))[0] == status
        await client.must("DELETE", "/emu/faults")
        await client.must("GET", PODS)


async def test_connections_drop_and_requests_are_counted() -> None:
    async with running(QUIET) as client:
        await client.must("DELETE", "/emu/requests")
        await client.must("POST", "/emu/faults", {"path": "nodes", "drop": True, "method": "POST"})
        await client.must("GET", "/api/v1/nodes")
        with pytest.raises(aiohttp.ClientError):
            await client.ask("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
        assert client.cluster.store.values("nodes") == []
        await client.must("DELETE", "/emu/faults")
        await client.must("POST", "/emu/faults", {"path": "nodes", "lose": True, "method": "POST"})
        with pytest.raises(aiohttp.ClientError):
            await client.ask("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
        assert len(client.cluster.store.values("nodes")) == 1  # done, and nobody was told
        seen = await client.must("GET", "/emu/requests?path=nodes")
        assert [row["method"] for row in seen][:2] == ["GET", "POST"]
        assert seen[0]["at"] <= seen[1]["at"]


async def test_a_bad_fault_rule_is_refused() -> None:
    async with running(QUIET) as client:
        assert (await client.ask("POST", "/emu/faults", {"path": "("}))[0] == 400
        assert (await client.ask("POST", "/emu/nothing"))[0] == 404
