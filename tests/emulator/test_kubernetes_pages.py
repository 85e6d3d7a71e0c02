"""Ready-made pages: complete, stable, distinct; and changes streamed from them."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from autoscaler.emulator.kubernetes import Options, PagesPlan
from tests.emulator.kubernetes_client import running

PLAN = PagesPlan(pods=1200, nodes=50, templates=40, pending=3)


@pytest.mark.anyio
async def test_every_object_comes_once() -> None:
    async with running(Options(pages=PLAN)) as client:
        pods, query = [], "limit=500"
        while query:
            page = await client.must("GET", f"/api/v1/pods?{query}")
            pods += page["items"]
            token = page["metadata"].get("continue")
            query = f"limit=500&continue={token}" if token else ""
        assert len({pod["metadata"]["uid"] for pod in pods}) == 1200
        assert len({pod["metadata"]["creationTimestamp"] for pod in pods}) == 1200
        assert sum(pod["status"]["phase"] == "Pending" for pod in pods) == 3
        assert len({pod["metadata"]["ownerReferences"][0]["uid"] for pod in pods}) == 40
        nodes = await client.must("GET", "/api/v1/nodes")
        names = {node["metadata"]["name"] for node in nodes["items"]}
        assert len(names) == 50
        assert {pod["spec"]["nodeName"] for pod in pods} - {""} <= names
        sizes = [len(json.dumps(pod)) for pod in pods]
        assert min(sizes) > 6_000
        assert max(sizes) < 13_000


@pytest.mark.anyio
async def test_changes_are_streamed_and_then_listed() -> None:
    async with running(Options(pages=PLAN)) as client:
        since = (await client.must("GET", "/api/v1/pods?limit=1"))["metadata"]["resourceVersion"]
        async with client.watch(f"/api/v1/pods?watch=1&resourceVersion={since}") as events:
            await client.must("POST", "/emu/modify", {"pods": 300, "offset": 10})
            seen = [await anext(events) for _ in range(300)]
        assert {verb for verb, _ in seen} == {"MODIFIED"}
        versions = {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for _, pod in seen}
        listed = (await client.must("GET", "/api/v1/pods"))["items"]
        now = {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for pod in listed}
        assert versions.items() <= now.items()


@pytest.mark.anyio
async def test_other_kinds_are_the_stores() -> None:
    async with running(Options(pages=PLAN)) as client:
        sets = await client.must("GET", "/apis/apps/v1/replicasets")
        assert len(sets["items"]) == 40
        assert (await client.must("GET", "/apis/apps/v1/daemonsets"))["items"] == []
        assert (await client.ask("GET", "/api/v1/pods?labelSelector=a"))[0] == 400
        assert (await client.ask("POST", "/api/v1/namespaces/default/pods", {}))[0] == 405


@pytest.fixture
def process() -> Iterator[str]:
    words = [sys.executable, "-m", "autoscaler.emulator.kubernetes", "--pages", "pods=150000,nodes=5000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running_process:
        assert running_process.stdout is not None
        yield running_process.stdout.readline().removeprefix("listening on ").strip()
        running_process.terminate()


def test_it_runs_as_a_process(process: str) -> None:
    with urllib.request.urlopen(f"{process}/api/v1/pods?limit=500") as response:
        page = json.load(response)
    assert page["metadata"]["remainingItemCount"] == 149_500


def test_a_plan_is_read_from_words() -> None:
    assert PagesPlan.parse("pods=5,nodes=2") == PagesPlan(pods=5, nodes=2)
    with pytest.raises(ValueError, match="unknown: trees"):
        PagesPlan.parse("trees=5")
