"""Events are filtered as cluster-autoscaler's, counted up, and never fail anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest
import structlog

from autoscaler.kubernetes.events import EventNote, EventRecorder, ObjectRef
from autoscaler.kubernetes.transport import Api, KubernetesSettings, connect
from tests.kubernetes.faulty import FaultyServer, Refuse, faulty_server

pytestmark = pytest.mark.anyio

WEB = ObjectRef("Pod", "web-1", "shop", "u1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def note(
    about: ObjectRef = WEB, reason: str = "TriggeredScaleUp", message: str = "pod triggered scale-up"
) -> EventNote:
    return EventNote(about=about, reason=reason, message=message, at=NOON)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FaultyServer, Api]]:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        yield server, api


async def write_all(recorder: EventRecorder) -> None:
    recorder.close()
    with anyio.fail_after(10):
        await recorder.run()


async def test_an_event_looks_as_users_expect() -> None:
    async with connected() as (server, api):
        recorder = EventRecorder(api)
        assert recorder.record(note())
        await write_all(recorder)
        ((method, path, _),) = server.requests
        assert (method, path) == ("POST", "/api/v1/namespaces/shop/events")
        body = server.bodies[0]
        assert body["involvedObject"] == {
            "apiVersion": "v1", "kind": "Pod", "name": "web-1", "namespace": "shop", "uid": "u1",
        }  # fmt: skip
        assert body["source"] == {"component": "cluster-autoscaler"}
        assert (body["reason"], body["type"], body["count"]) == ("TriggeredScaleUp", "Normal", 1)
        assert body["lastTimestamp"] == "2026-01-01T12:00:00Z"
        assert body["metadata"]["name"].startswith("web-1.")


async def test_one_per_reason_and_object_unless_all_are_wanted() -> None:
    async with connected() as (server, api):
        recorder = EventRecorder(api)
        assert recorder.record(note())
        assert not recorder.record(note(message="another text"))
        assert recorder.record(note(reason="NotTriggerScaleUp"))
        assert recorder.record(note(ObjectRef("Pod", "web-2", "shop", "u2")))
        await write_all(recorder)
        assert (recorder.written, recorder.suppressed) == (3, 1)
        names = [body["metadata"]["name"] for body in server.bodies]
        assert len(set(names)) == 3


async def test_a_repeated_event_is_counted_up_and_written_anew_once_it_expired() -> None:
    async with connected() as (server, api):
        recorder = EventRecorder(api, duplicates=True)
        for _ in range(3):
            recorder.record(note())
        await write_all(recorder)
        assert [method for method, _, _ in server.requests] == ["POST", "PATCH", "PATCH"]
        assert [body["count"] for body in server.bodies] == [1, 2, 3]


async def test_an_event_that_expired_is_written_anew() -> None:
    async with connected() as (server, api):
        recorder = EventRecorder(api, duplicates=True)
        recorder.record(note())
        recorder.record(note())
        server.faults.append(Refuse(404, "NotFound", only="patch"))
        await write_all(recorder)
        assert [method for method, _, _ in server.requests] == ["POST", "PATCH", "POST"]
        assert (recorder.written, recorder.failed) == (2, 0)


async def test_a_refused_event_is_counted_and_the_next_one_goes_on() -> None:
    async with connected() as (server, api):
        server.faults.append(Refuse(403, "Forbidden"))
        recorder = EventRecorder(api)
        recorder.record(note())
        recorder.record(note(reason="NotTriggerScaleUp"))
        await write_all(recorder)
        assert (recorder.written, recorder.failed) == (1, 1)
        assert not recorder.record(note(reason="ScaleDown"))  # closed
        assert recorder.failed == 2


async def test_a_flood_is_counted_told_in_few_lines_and_not_written_again() -> None:
    async with connected() as (_, api):
        recorder = EventRecorder(api)
        flood = [note(reason=f"R{number}") for number in range(12_000)]
        with structlog.testing.capture_logs() as told:
            assert sum(map(recorder.record, flood)) == 10_000
            assert sum(map(recorder.record, flood)) == 0
        assert (recorder.suppressed, recorder.failed) == (10_000, 4_000)
        assert [line["in_a_row"] for line in told] == [2**power for power in range(12)]
        recorder.close()
        with anyio.move_on_after(0):
            await recorder.run()


async def test_a_cluster_wide_object_and_a_long_message() -> None:
    async with connected() as (server, api):
        recorder = EventRecorder(api)
        recorder.record(note(ObjectRef("Node", "n1"), message="x" * 5000))
        await write_all(recorder)
        body = server.bodies[0]
        assert body["metadata"]["namespace"] == "default"
        assert len(body["message"]) == 1024
