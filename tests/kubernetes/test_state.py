"""What a successor finds: written whole, read in parts, bounded, and never in the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from autoscaler import clock
from autoscaler.core.model import CapacityPool, GroupName, InstanceId, InstanceType, Market, NodeName, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.emulator.kubernetes import KubernetesEmulator, Options
from autoscaler.emulator.kubernetes.resources import named
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.state import LARGEST_VALUE, STATE_CONFIG_MAP, SavedState, StateStore
from autoscaler.kubernetes.transport import MERGE_PATCH, Api, KubernetesSettings, connect

pytestmark = pytest.mark.anyio

MAPS = "/api/v1/namespaces/kube-system/configmaps"
MAP = f"{MAPS}/{STATE_CONFIG_MAP}"
NOW = clock.now().replace(microsecond=0)


def pool(number: int = 0) -> CapacityPool:
    return CapacityPool(InstanceType(f"m{number}.xlarge"), Zone("eu-west-3a"), Market.SPOT)


def state(*, dry: int = 1, instances: int = 1, detail: str = "InsufficientInstanceCapacity") -> SavedState:
    """So many dry pools and so many instances; the later ones are the younger."""
    memory = CapacityMemory()
    for number in range(dry):
        memory = memory.with_dry([pool(number)], NOW + timedelta(hours=1, seconds=number), detail)
    memory = memory.group_failed(GroupName("spot-a"), "no Node in time", NOW, Policy())
    seen = {InstanceId(f"i-{number:017x}"): NOW - timedelta(seconds=instances - number) for number in range(instances)}
    return SavedState(capacity=memory, first_seen=seen)


@dataclass
class Cluster:
    server: KubernetesEmulator
    api: Api

    async def data(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(await self.api.get_bytes(MAP))["data"]
        return found

    async def put(self, data: dict[str, str]) -> None:
        meta = {"name": STATE_CONFIG_MAP, "namespace": "kube-system"}
        await self.api.send("POST", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})

    def writes(self) -> list[str]:
        return [each["method"] for each in self.server.faults.seen() if each["method"] in ("POST", "PUT")]


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    with anyio.fail_after(60):
        async with (
            KubernetesEmulator.serve(Options(scheduler=False, controllers=False)) as server,
            connect(KubernetesSettings(master_url=server.url)) as api,
        ):
            yield Cluster(server, api)


MEMORY = ScaleDownMemory(
    unneeded={NodeName("n1"): NOW - timedelta(minutes=4)},
    waiting={NodeName("n2"): NOW},
    blocked={NodeName("n3"): NOW + timedelta(days=1)},  # however late this test runs
    added={GroupName("spot-a"): NOW},
    removed={GroupName("spot-b"): NOW},
    failed={GroupName("od-a"): NOW},
)


async def test_what_scale_down_remembers_is_taken_over() -> None:
    async with cluster() as at:
        assert await StateStore(at.api, "kube-system").save(SavedState(scale_down=MEMORY))
        assert (await StateStore(at.api, "kube-system").load()).scale_down == MEMORY


async def test_after_a_long_absence_no_node_counts_as_unneeded() -> None:
    async with cluster() as at:
        await StateStore(at.api, "kube-system").save(SavedState(scale_down=MEMORY))
        data = await at.data()
        kept = json.loads(data["scaleDown"])
        kept["at"] = "2026-01-01T12:00:00Z"
        kept["blocked"] = {"n3": "2026-01-01T12:00:00Z"}
        at.server.store.delete(named("configmaps"), ("kube-system", STATE_CONFIG_MAP))
        await at.put({**data, "scaleDown": json.dumps(kept)})
        found = (await StateStore(at.api, "kube-system").load()).scale_down
        assert (found.unneeded, found.waiting, found.blocked) == ({}, {}, {})
        assert found.added == MEMORY.added


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"unneeded": {"n1": "yesterday"}}', '{"unneeded": {"n1": "2026-01-01T12:00:00"}}']
)
async def test_a_memory_that_cannot_be_read_is_none(text: str) -> None:
    async with cluster() as at:
        await at.put({"version": "1", "scaleDown": text})
        assert (await StateStore(at.api, "kube-system").load()).scale_down == ScaleDownMemory()


async def test_a_successor_reads_what_was_saved() -> None:
    async with cluster() as here:
        first = StateStore(here.api, "kube-system")
        assert await first.load() == SavedState()
        assert await first.save(state(dry=3, instances=2))
        successor = StateStore(here.api, "kube-system")
        assert await successor.load() == state(dry=3, instances=2)
        assert await successor.save(SavedState())
        assert await StateStore(here.api, "kube-system").load() == SavedState()
        assert here.writes() == ["POST", "PUT"]


async def test_only_changes_are_written() -> None:
    async with cluster() as here:
        store = StateStore(here.api, "kube-system")
        for count in (1, 1, 2, 2):
            assert await store.save(state(instances=count))
        assert (here.writes(), store.written) == (["POST", "PUT"], 2)


async def test_what_users_put_beside_it_stays() -> None:
    async with cluster() as here:
        store = StateStore(here.api, "kube-system")
        assert await store.save(state())
        await here.api.send("PATCH", MAP, {"metadata": {"labels": {"team": "platform"}}}, MERGE_PATCH)
        assert await store.save(state(dry=2)), "a conflict costs one more try"
        labels = json.loads(await here.api.get_bytes(MAP))["metadata"]["labels"]
        assert labels == {"team": "platform", "app.kubernetes.io/managed-by": "priority-autoscaler"}


async def test_a_deleted_config_map_comes_back() -> None:
    async with cluster() as here:
        store = StateStore(here.api, "kube-system")
        assert await store.save(state())
        await here.api.send("DELETE", MAP)
        assert await store.save(state(dry=2))
        assert await StateStore(here.api, "kube-system").load() == state(dry=2)


async def test_a_lost_answer_is_written_again() -> None:
    async with cluster() as here:
        store = StateStore(here.api, "kube-system")
        here.server.faults.add({"path": MAPS, "method": "POST", "drop": True, "times": 1})
        assert not await store.save(state())
        assert store.failed == 1
        assert await store.save(state())


async def test_who_no_longer_leads_writes_nothing() -> None:
    leads = [True]
    async with cluster() as here:
        old = StateStore(here.api, "kube-system", lambda: leads.pop(0) if leads else False)
        new = StateStore(here.api, "kube-system")
        assert await new.save(state(dry=1))
        assert await new.save(state(dry=2))
        assert not await old.save(state(dry=3)), "it led when it asked, and no longer after the conflict"
        assert not await old.save(state(dry=4))
        assert await StateStore(here.api, "kube-system").load() == state(dry=2)
        assert old.failed == 0


@pytest.mark.parametrize("status", [403, 409, 422, 429, 500, 503])
async def test_a_refused_write_is_counted_and_tried_again(status: int) -> None:
    async with cluster() as here:
        store = StateStore(here.api, "kube-system")
        here.server.faults.add({"path": MAPS, "method": "POST", "status": status})
        assert not await store.save(state())
        assert (store.written, store.failed) == (0, 1)
        here.server.faults.clear()
        assert await store.save(state())


async def test_a_role_without_the_right_to_read_starts_empty() -> None:
    async with cluster() as here:
        here.server.faults.add({"path": MAP, "status": 403})
        assert await StateStore(here.api, "kube-system").load() == SavedState()


async def test_an_outage_is_waited_for() -> None:
    async with cluster() as here:
        assert await StateStore(here.api, "kube-system").save(state())
        here.server.faults.add({"path": MAP, "status": 503, "times": 1})
        assert await StateStore(here.api, "kube-system").load() == state()


GOOD = {
    "version": "1",
    "capacity": json.dumps(state().capacity.to_state()),
    "firstSeen": json.dumps({"i-1": "2026-01-01T00:00:00Z"}),
    "scaleDown": json.dumps({"added": {"spot-a": "2026-01-01T00:00:00Z"}}),
}


@pytest.mark.parametrize(
    ("change", "has_capacity", "has_first_seen"),
    [
        ({}, True, True),
        ({"version": "2"}, False, False),
        ({"version": ""}, False, False),
        ({"capacity": ""}, False, True),
        ({"capacity": "{"}, False, True),
        ({"capacity": "[]"}, False, True),
        ({"capacity": '{"version": 99}'}, False, True),
        ({"capacity": '{"version": 1, "pools": [["m5.large"]]}'}, False, True),
        ({"firstSeen": "nonsense"}, True, False),
        ({"firstSeen": "[]"}, True, False),
        ({"firstSeen": '{"i-1": "yesterday"}'}, True, False),
        ({"firstSeen": '{"i-1": "2026-01-01T00:00:00"}'}, True, False),
        ({"firstSeen": '{"i-1": 7}'}, True, False),
        ({"other": "of another version"}, True, True),
    ],
)
async def test_what_cannot_be_read_is_left_out_alone(
    change: dict[str, str], has_capacity: bool, has_first_seen: bool
) -> None:
    async with cluster() as here:
        await here.put(GOOD | change)
        store = StateStore(here.api, "kube-system")
        found = await store.load()
        assert bool(found.capacity.pools) == has_capacity
        assert bool(found.first_seen) == has_first_seen
        assert await store.save(state(dry=2)), "and is replaced by the next good one"
        assert (await here.data()).keys() == GOOD.keys()


async def test_the_oldest_goes_when_there_is_too_much() -> None:
    async with cluster() as here:
        big = state(dry=1_500, instances=9_000, detail="InsufficientInstanceCapacity " * 10)
        assert await StateStore(here.api, "kube-system").save(big)
        data = await here.data()
        assert 2 * LARGEST_VALUE < 500_000
        assert LARGEST_VALUE * 0.9 < len(data["capacity"]) <= LARGEST_VALUE
        assert LARGEST_VALUE * 0.9 < len(data["firstSeen"]) <= LARGEST_VALUE
        found = await StateStore(here.api, "kube-system").load()
        kept, seen = len(found.capacity.pools), len(found.first_seen)
        assert found.capacity.pools.keys() == {pool(number) for number in range(1_500 - kept, 1_500)}
        assert found.first_seen.keys() == {InstanceId(f"i-{number:017x}") for number in range(9_000 - seen, 9_000)}


class Shelf(Api):
    """An API server in memory that takes whatever comes, for a test in virtual time."""

    def __init__(self) -> None:
        self.written: list[tuple[float, str, Any]] = []

    async def get_bytes(self, path: str, *rest: Any) -> bytes:
        raise KubernetesError(404, "NotFound", f"{path}: nothing yet {rest}")

    async def send(self, method: str, path: str, body: Any = None, *rest: Any) -> bytes:
        await anyio.sleep(0.1)
        self.written.append((anyio.current_time(), f"{method} {path}", body["data"]["firstSeen"], *rest))
        return json.dumps(body).encode()


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"])
async def test_it_is_saved_every_five_seconds_and_at_the_end(anyio_backend: object) -> None:
    shelf, instances = Shelf(), 0
    began = anyio.current_time()

    def read() -> SavedState:
        return state(instances=instances)

    with anyio.move_on_after(27):
        async with StateStore(shelf, "kube-system").kept(read):
            await anyio.sleep(0.5)
            for _ in range(12):  # a change a second
                instances += 1
                await anyio.sleep(1)
            try:
                await anyio.sleep_forever()
            finally:
                instances += 1  # what winding up adds is saved too
    told = [(round(at - began), what, len(json.loads(seen))) for at, what, seen in shelf.written]
    assert told == [
        (5, f"POST {MAPS}", 5),
        (10, f"PUT {MAP}", 10),
        (15, f"PUT {MAP}", 12),
        (27, f"PUT {MAP}", 13),
    ]
