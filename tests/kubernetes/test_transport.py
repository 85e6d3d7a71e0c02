"""Requests reach the server as configured, and every failure has a name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import MERGE_PATCH, KubernetesSettings, TokenBucket, connect
from tests.kubernetes.faulty import FaultyServer, Refuse, faulty_server

pytestmark = pytest.mark.anyio


def kubeconfig(folder: Path, server: FaultyServer, user: dict[str, Any]) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return str(path)


async def test_reads_and_writes() -> None:
    async with faulty_server() as server:
        settings = KubernetesSettings(master_url=server.url, user_agent="tester/1")
        async with connect(settings) as api:
            assert b'"items": []' in await api.get_bytes("/api/v1/pods", {"limit": "5"})
            await api.send("PATCH", "/api/v1/nodes/n1", {"spec": {"unschedulable": True}}, MERGE_PATCH)
        assert server.requests == [("GET", "/api/v1/pods", {"limit": "5"}), ("PATCH", "/api/v1/nodes/n1", {})]
        assert server.bodies == [{"spec": {"unschedulable": True}}]


async def test_a_refusal_carries_status_and_reason() -> None:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        server.faults.append(Refuse(409, "Conflict"))
        with pytest.raises(KubernetesError, match="GET /x: 409 told to say 409") as caught:
            await api.get_bytes("/x")
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")


async def test_no_server_is_unreachable() -> None:
    async with faulty_server() as server:
        url = server.url
    async with connect(KubernetesSettings(master_url=url)) as api:
        with pytest.raises(KubernetesError, match="GET /api") as caught:
            await api.get_bytes("/api")
        assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


async def test_a_server_that_is_silent_times_out() -> None:
    async with faulty_server() as server:
        settings = KubernetesSettings(master_url=server.url, silence_timeout=0.05)
        async with connect(settings) as api:
            query = {"watch": "true", "resourceVersion": "1"}
            async with api.stream("/api/v1/pods", query) as chunks:
                with pytest.raises(KubernetesError) as caught:
                    await anext(chunks)
        assert caught.value.reason == "Timeout"


async def test_a_token_is_sent_and_read_again_after_a_refusal(tmp_path: Path) -> None:
    async with faulty_server() as server:
        token = tmp_path / "token"
        token.write_text("old")
        path = kubeconfig(tmp_path, server, {"tokenFile": str(token)})
        async with connect(KubernetesSettings(kubeconfig=path)) as api:
            server.valid_token = "old"
            await api.get_bytes("/api")
            server.valid_token = "new"
            token.write_text("new")
            await api.get_bytes("/api")
            assert server.tokens == ["Bearer old", "Bearer old", "Bearer new"]


async def test_an_exec_plugin_gives_tokens_and_is_run_again_when_one_expired(tmp_path: Path) -> None:
    async with faulty_server() as server:
        counter = tmp_path / "runs"
        counter.write_text("")
        program = tmp_path / "plugin.py"
        program.write_text(
            "import json, pathlib\n"
            f"runs = pathlib.Path({str(counter)!r})\n"
            "runs.write_text(runs.read_text() + 'x')\n"
            "status = {'token': 'token-%d' % len(runs.read_text())}\n"
            "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential',"
            " 'status': status}))\n"
        )
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(program)],
            "interactiveMode": "Never",
        }
        server.valid_token = "token-1"
        async with connect(KubernetesSettings(kubeconfig=kubeconfig(tmp_path, server, {"exec": plugin}))) as api:
            await api.get_bytes("/api")
            server.valid_token = "token-2"
            await api.get_bytes("/api")
            server.valid_token = "never"
            with pytest.raises(KubernetesError) as caught:
                await api.get_bytes("/api")
            assert caught.value.status == 401
        assert server.tokens[:3] == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_the_master_url_replaces_the_address_in_the_kubeconfig(tmp_path: Path) -> None:
    async with faulty_server() as server, faulty_server() as other:
        path = kubeconfig(tmp_path, server, {"token": "t"})
        async with connect(KubernetesSettings(kubeconfig=path, master_url=other.url + "/")) as api:
            await api.get_bytes("/api")
        assert not server.requests
        assert other.tokens == ["Bearer t"]


@pytest.mark.parametrize("text", ["", "a: [", "current-context: x", "[]"])
async def test_an_unusable_kubeconfig_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(KubernetesError, match="kubeconfig") as caught:
        async with connect(KubernetesSettings(kubeconfig=str(path))):
            pass
    assert caught.value.reason == "Configuration"


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubernetesError, match="nowhere"):
        async with connect(KubernetesSettings(kubeconfig=str(tmp_path / "nowhere"))):
            pass


async def test_the_bucket_lets_a_burst_through_then_paces() -> None:
    bucket = TokenBucket(qps=100, burst=3)
    begun = anyio.current_time()
    for _ in range(3):
        await bucket.wait_turn()
    for _ in range(5):
        await bucket.wait_turn()
    assert anyio.current_time() - begun >= 0.049
