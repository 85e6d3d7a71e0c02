"""The reflector against a server that fails: nothing is lost, nothing is hammered."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from autoscaler.core.model import Pod
from autoscaler.kubernetes import kinds
from autoscaler.kubernetes.cache import Pace, Reflector
from autoscaler.kubernetes.convert import Interner
from autoscaler.kubernetes.transport import Api, KubernetesSettings, connect
from autoscaler.kubernetes.wire import WirePod
from tests.kubernetes.faulty import Cut, Drip, ErrorEvent, Fault, FaultyServer, Junk, Refuse, faulty_server, until

pytestmark = pytest.mark.anyio

PODS = "/api/v1/pods"
FAST = Pace(page=3, first_delay=0.01, max_delay=0.05, absent_delay=0.05, jitter=lambda: 0.5)


def pod(name: str, cpu: str = "1", uid: str = "", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": uid or f"uid-{name}", **metadata},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]},
    }


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FaultyServer, Api]]:
    async with faulty_server() as server, connect(KubernetesSettings(master_url=server.url)) as api:
        yield server, api


def of_pods(api: Api, **pace: Any) -> Reflector[WirePod, Pod]:
    return Reflector(api, kinds.pods(Interner()), replace(FAST, **pace))


def seen(reflector: Reflector[WirePod, Pod]) -> dict[str, int]:
    return {each.name: each.spec.requests["cpu"] for each in reflector.objects.values()}


def held(server: FaultyServer) -> dict[str, int]:
    found = {}
    for name, value in server.collections[PODS].objects.items():
        found[name] = 1000 * int(value["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    return found


async def wait_equal(reflector: Reflector[WirePod, Pod], server: FaultyServer) -> None:
    await until(lambda: reflector.synced and seen(reflector) == held(server))


async def test_lists_in_pages_then_follows() -> None:
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        for number in range(8):
            server.put(PODS, pod(f"p{number}"))
        reflector = of_pods(api)
        await tasks.start(reflector.watch)
        assert seen(reflector) == held(server)
        assert server.count("list") == 3
        server.put(PODS, pod("p1", cpu="2"))
        server.delete(PODS, "p2")
        server.put(PODS, pod("new"))
        await wait_equal(reflector, server)
        assert server.count("list") == 3
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(500),
        Refuse(429, "TooManyRequests"),
        Refuse(410, "Expired"),
        Refuse(503, "ServiceUnavailable", "list"),
        Cut(40),
        Cut(0),
        ErrorEvent(410),
        ErrorEvent(500),
        Junk(),
        Drip(),
    ],
    ids=str,
)
async def test_one_fault_loses_nothing(fault: Fault) -> None:
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        for number in range(7):
            server.put(PODS, pod(f"p{number}"))
        server.faults.append(fault)
        reflector = of_pods(api)
        await tasks.start(reflector.watch)
        server.delete(PODS, "p3")
        server.put(PODS, pod("late"))
        await wait_equal(reflector, server)
        tasks.cancel_scope.cancel()


async def test_gone_in_the_middle_of_paging_lists_again() -> None:
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        for number in range(10):
            server.put(PODS, pod(f"p{number}"))
        server.faults.append(Drip(200))
        reflector = of_pods(api)
        tasks.start_soon(reflector.watch)
        await until(lambda: server.count("list") > 0)
        server.put(PODS, pod("between"))
        server.forget()
        await wait_equal(reflector, server)
        assert server.count("list") >= 6
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(6))
async def test_changes_and_faults_in_any_order_end_equal(seed: int) -> None:
    """Changes, cuts, refusals and compactions at random; the cache equals a fresh list afterwards."""
    chance = random.Random(seed)
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        for number in range(10):
            server.put(PODS, pod(f"p{number}"))
        reflector = of_pods(api)
        tasks.start_soon(reflector.watch)
        for _ in range(60):
            name = f"p{chance.randrange(15)}"
            match chance.randrange(8):
                case 0 | 1:
                    server.delete(PODS, name)
                case 2:
                    server.forget()
                case 3:
                    status = chance.choice([500, 410, 429, 503])
                    server.faults.append(Refuse(status, "Told"))
                case 4:
                    streams: list[Fault] = [Cut(chance.randrange(400)), ErrorEvent(410), Junk(), Drip()]
                    server.faults.append(chance.choice(streams))
                case _:
                    server.put(PODS, pod(name, cpu=str(chance.randrange(1, 9))))
            await anyio.sleep(chance.choice([0, 0, 0.001, 0.01]))
        server.faults.clear()
        await wait_equal(reflector, server)
        fresh = of_pods(api)
        await tasks.start(fresh.watch)
        assert seen(fresh) == seen(reflector)
        assert fresh.objects.keys() == reflector.objects.keys()
        tasks.cancel_scope.cancel()


async def test_waits_longer_after_each_failure() -> None:
    pace = Pace(jitter=lambda: 0.5)
    assert [pace.delay(failures) for failures in (1, 2, 3, 7, 50)] == [0.375, 0.75, 1.5, 22.5, 22.5]
    assert min(Pace(jitter=lambda: 0.0).delay(failures) for failures in range(1, 40)) == 0.25


async def test_a_server_that_only_fails_is_not_hammered() -> None:
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        server.faults.extend([Refuse(500)] * 1000)
        reflector = of_pods(api, first_delay=0.05, max_delay=0.2)
        tasks.start_soon(reflector.watch)
        await anyio.sleep(0.6)
        assert 2 <= len(server.requests) <= 12
        assert not reflector.synced
        assert reflector.staleness(anyio.current_time()) == float("inf")
        tasks.cancel_scope.cancel()


async def test_a_malformed_object_is_dropped_counted_and_the_rest_goes_on() -> None:
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        server.put(PODS, pod("good"))
        server.put(PODS, {"metadata": {"name": "no-spec", "namespace": "shop", "uid": "u1"}})
        server.put(PODS, pod("odd-cpu", cpu="12x"))
        server.put(PODS, pod("number", uid="u3", labels={"a": 5}))
        reflector = of_pods(api)
        await tasks.start(reflector.watch)
        assert seen(reflector) == {"good": 1000}
        assert reflector.malformed == 3
        assert {error.key for error in reflector.unreadable.values()} == {"shop/no-spec", "shop/odd-cpu", "shop/number"}
        server.put(PODS, pod("good", cpu="junk"))  # its older self must not be acted upon
        server.put(PODS, pod("odd-cpu", cpu="2"))
        await until(lambda: seen(reflector) == {"odd-cpu": 2000})
        server.delete(PODS, "no-spec")
        await until(lambda: {error.key for error in reflector.unreadable.values()} == {"shop/good", "shop/number"})
        tasks.cancel_scope.cancel()


async def test_a_constraint_of_a_later_version_drops_no_pod() -> None:
    def later(name: str) -> dict[str, Any]:
        document = pod(name)
        document["spec"]["topologySpreadConstraints"] = [{"whenUnsatisfiable": "DoNotSchedule", "newPolicy": "Strict"}]
        return document

    async with connected() as (server, api), anyio.create_task_group() as tasks:
        server.put(PODS, pod("plain"))
        server.put(PODS, later("listed"))
        reflector = of_pods(api)
        await tasks.start(reflector.watch)
        server.put(PODS, later("watched"))
        await until(lambda: len(reflector.objects) == 3)
        doubtful = {each.name for each in reflector.objects.values() if each.spec.unknowns}
        assert doubtful == {"listed", "watched"}
        assert reflector.malformed == 0
        tasks.cancel_scope.cancel()


async def test_an_optional_kind_that_is_forbidden_counts_as_empty_and_comes_back() -> None:
    path = "/apis/batch/v1/jobs"
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        server.absent[path] = 403
        reflector = Reflector(api, kinds.workloads("Job", Interner()), FAST)
        await tasks.start(reflector.watch)
        assert reflector.absent
        assert reflector.synced
        assert not reflector.objects
        assert reflector.staleness(anyio.current_time()) == 0
        server.put(path, {"metadata": {"name": "j", "namespace": "shop", "uid": "j"}})
        server.absent.clear()
        await until(lambda: bool(reflector.objects))
        await until(lambda: not reflector.absent)
        tasks.cancel_scope.cancel()


async def test_tells_every_change_with_its_older_self() -> None:
    changes: list[tuple[str | None, str | None]] = []
    async with connected() as (server, api), anyio.create_task_group() as tasks:
        server.put(PODS, pod("a"))
        server.put(PODS, pod("b"))

        def note(before: Pod | None, after: Pod | None) -> None:
            changes.append((before.name if before else None, after.name if after else None))

        reflector = Reflector(api, kinds.pods(Interner()), FAST, note)
        await tasks.start(reflector.watch)
        assert sorted(changes, key=str) == [(None, "a"), (None, "b")]
        changes.clear()
        server.put(PODS, pod("a", cpu="3"))
        server.delete(PODS, "b")
        await wait_equal(reflector, server)
        assert changes == [("a", "a"), ("b", None)]
        tasks.cancel_scope.cancel()
