"""Writes name one object, and say what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.act import Eviction, annotate, cordon, evict, patch_node
from autoscaler.kubernetes.transport import Api, KubernetesSettings, connect
from tests.kubernetes.faulty import FaultyServer, Refuse, faulty_server
from tests.kubernetes.wires import pod

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FaultyServer, Api]]:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        yield server, api


async def test_patches() -> None:
    async with connected() as (server, api):
        assert await cordon(api, "n1")
        assert await cordon(api, "n1", is_cordoned=False)
        assert await patch_node(api, "n1", {"spec": {"taints": []}}, resource_version="7")
        assert await annotate(api, "/api/v1/namespaces/shop/pods/web-1", {"a": "b", "gone": None})
        assert server.bodies == [
            {"spec": {"unschedulable": True}},
            {"spec": {"unschedulable": None}},
            {"spec": {"taints": []}, "metadata": {"resourceVersion": "7"}},
            {"metadata": {"annotations": {"a": "b", "gone": None}}},
        ]


@pytest.mark.parametrize("status", [404, 409])
async def test_an_object_that_is_gone_or_changed_is_an_answer(status: int) -> None:
    async with connected() as (server, api):
        server.faults.append(Refuse(status))
        assert not await cordon(api, "n1")


async def test_anything_else_is_an_error() -> None:
    async with connected() as (server, api):
        server.faults.append(Refuse(500))
        with pytest.raises(KubernetesError):
            await cordon(api, "n1")


@pytest.mark.parametrize(
    ("status", "answer"),
    [(0, Eviction.ACCEPTED), (429, Eviction.BLOCKED), (404, Eviction.GONE), (409, Eviction.GONE)],
)
async def test_evictions(status: int, answer: Eviction) -> None:
    async with connected() as (server, api):
        if status:
            server.faults.append(Refuse(status))
        assert (await evict(api, pod(), grace_seconds=5)).outcome is answer
        assert server.requests[0][1] == "/api/v1/namespaces/shop/pods/web-1/eviction"
        if not status:
            assert server.bodies[0]["deleteOptions"] == {"preconditions": {"uid": "u1"}, "gracePeriodSeconds": 5}
