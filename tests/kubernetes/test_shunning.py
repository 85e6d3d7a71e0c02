"""Soft taints come few at a time, go when they are not wanted, and a drain's node is left alone."""

from __future__ import annotations

import anyio
import pytest

from autoscaler.core.model import NodeName
from autoscaler.kubernetes.draining.marks import CANDIDATE
from autoscaler.kubernetes.draining.nodes import NodeWriter
from autoscaler.kubernetes.draining.shunning import Shunning
from tests.emulator.kubernetes_client import until
from tests.kubernetes.drains import Scene, scene

pytestmark = pytest.mark.anyio

NAMES = {NodeName(f"node-{number}") for number in (1, 2, 3)}


def shunned(at: Scene) -> set[str]:
    nodes = at.cluster.nodes.objects.values()
    return {node.name for node in nodes if any(taint.key == CANDIDATE for taint in node.taints)}


async def test_few_are_written_at_a_time_and_what_is_not_wanted_is_taken_off() -> None:
    async with scene(nodes=3) as at, anyio.create_task_group() as tasks:
        shunning = Shunning(NodeWriter(at.api, lambda: True), most=2, seconds=5)
        tasks.start_soon(shunning.run)
        shunning.want(NAMES, at.cluster.nodes.objects.values())
        await until(lambda: len(shunned(at)) == 2)
        await anyio.sleep(0.3)
        assert len(at.client.cluster.faults.seen("/nodes/", "PUT")) == 2
        shunning.want(NAMES, at.cluster.nodes.objects.values())
        await until(lambda: shunned(at) == NAMES)
        shunning.want({NodeName("node-3")}, at.cluster.nodes.objects.values())
        await until(lambda: shunned(at) == {"node-3"})
        tasks.cancel_scope.cancel()


async def test_with_no_writes_allowed_what_was_left_is_taken_off_once() -> None:
    async with scene(nodes=3) as at, anyio.create_task_group() as tasks:
        before = Shunning(NodeWriter(at.api, lambda: True), most=9, seconds=5)
        tasks.start_soon(before.run)
        before.want(NAMES, at.cluster.nodes.objects.values())
        await until(lambda: shunned(at) == NAMES)
        after = Shunning(NodeWriter(at.api, lambda: True), most=0, seconds=5)
        tasks.start_soon(after.run)
        after.want(NAMES, at.cluster.nodes.objects.values())
        await until(lambda: not shunned(at))
        written = len(at.client.cluster.faults.seen("/nodes/", "PUT"))
        after.want(NAMES, at.cluster.nodes.objects.values())
        await anyio.sleep(0.3)
        assert len(at.client.cluster.faults.seen("/nodes/", "PUT")) == written
        tasks.cancel_scope.cancel()
