"""The status ConfigMap over real HTTP: made, replaced, never over another's head, and never in the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.kubernetes.status_map import LAST_UPDATED, StatusMap
from tests.kubernetes.test_state import MAPS, Cluster, cluster

pytestmark = pytest.mark.anyio

NAME = "cluster-autoscaler-status"


async def stored(running: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await running.api.get_bytes(f"{MAPS}/{NAME}"))
    return found


def paper(running: Cluster, *answers: bool) -> StatusMap:
    """A map with a fence that gives these answers, and then lets all pass."""
    left = list(answers)
    return StatusMap(running.api, "kube-system", NAME, lambda: left.pop(0) if left else True)


async def test_it_is_made_and_then_replaced() -> None:
    async with cluster() as running:
        status = paper(running)
        assert await status.write("one\n", "first")
        assert await status.write("two\n", "second")
        found = await stored(running)
        assert found["data"] == {"status": "two\n"}
        assert found["metadata"]["annotations"] == {LAST_UPDATED: "second"}
        assert running.writes() == ["POST", "PUT"]


async def test_what_cluster_autoscaler_left_is_taken_over_and_keeps_what_others_wrote_on_it() -> None:
    async with cluster() as running:
        meta = {"name": NAME, "namespace": "kube-system", "annotations": {"team": "shop", LAST_UPDATED: "old"}}
        left = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"status": "theirs"}}
        await running.api.send("POST", MAPS, left)
        assert await paper(running).write("ours\n", "now")
        found = await stored(running)
        assert found["data"] == {"status": "ours\n"}
        assert found["metadata"]["annotations"] == {"team": "shop", LAST_UPDATED: "now"}


async def test_a_conflict_is_read_and_written_again_and_so_is_a_deletion() -> None:
    async with cluster() as running:
        first, second = paper(running), paper(running)
        assert await first.write("one\n", "1")
        assert await second.write("two\n", "2")
        assert await first.write("three\n", "3")
        assert (await stored(running))["data"] == {"status": "three\n"}
        await running.api.send("DELETE", f"{MAPS}/{NAME}", {})
        assert await first.write("four\n", "4")
        assert (await stored(running))["data"] == {"status": "four\n"}


async def test_the_fence_is_asked_before_each_try() -> None:
    async with cluster() as running:
        assert await paper(running).write("successor\n", "2")
        assert await paper(running, False).write("stale\n", "1") is None
        assert await paper(running, True, False).write("stale\n", "1") is None, "after the conflict it leads no more"
        assert (await stored(running))["data"] == {"status": "successor\n"}


async def test_a_failed_write_is_told_once_and_the_next_one_counts() -> None:
    async with cluster() as running:
        status = paper(running)
        running.server.faults.add({"path": MAPS, "status": 403, "times": 3})
        with capture_logs() as logs:
            for _ in range(3):
                assert await status.write("one\n", "1") is False
        assert [line["event"] for line in logs] == ["status.write_failed"]
        assert await status.write("one\n", "1")
