"""Leadership against an API server: one leader at a time, whatever happens to it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from autoscaler.config import parse_run
from autoscaler.emulator.kubernetes import KubernetesEmulator, Options
from autoscaler.kubernetes.lease import Elector, LeaseSettings, LostLease, own_identity
from autoscaler.kubernetes.transport import MERGE_PATCH, Api, KubernetesSettings, connect
from tests.kubernetes.link import Link, linked

pytestmark = pytest.mark.anyio

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = f"{LEASES}/cluster-autoscaler"


def quick(identity: str, **changes: Any) -> LeaseSettings:
    times = {"lease_duration": 2.0, "renew_deadline": 1.4, "retry_period": 0.2, **changes}
    return LeaseSettings(identity=identity, jitter=lambda: 0.5, **times)


@dataclass
class Candidate:
    """An elector with its own way to the server, and what became of its task."""

    elector: Elector
    link: Link
    story: list[str] = field(default_factory=list)
    leads: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def stand(self) -> None:
        """Run until stopped or lost, and write down how it went."""
        try:
            with self.scope:
                await self.elector.run(self._lead)
        except LostLease:
            self.story.append("lost")
        finally:
            self.ended.set()

    async def _lead(self) -> None:
        self.story.append("leads" if self.elector.is_leading() else "leads without a lease")
        self.leads.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.02)
            self.story.append("wound up")


@asynccontextmanager
async def cluster() -> AsyncIterator[KubernetesEmulator]:
    with anyio.fail_after(60):
        async with KubernetesEmulator.serve(Options(scheduler=False, controllers=False)) as server:
            yield server


@asynccontextmanager
async def candidate(server: KubernetesEmulator, settings: LeaseSettings) -> AsyncIterator[Candidate]:
    async with linked(server.url) as link, connect(KubernetesSettings(master_url=link.url)) as api:
        yield Candidate(Elector(api, settings), link)


@asynccontextmanager
async def pair(
    server: KubernetesEmulator, make: Callable[[str], LeaseSettings] = quick
) -> AsyncIterator[tuple[Candidate, Candidate]]:
    """Yield a leader and one who waits."""
    async with (
        candidate(server, make("first")) as first,
        candidate(server, make("second")) as second,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(first.stand)
        await first.leads.wait()
        tasks.start_soon(second.stand)
        await wait_until(lambda: second.elector.holder == "first")
        yield first, second
        tasks.cancel_scope.cancel()


async def wait_until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for has no event
        await anyio.sleep(0.005)


async def spec_of(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await api.get_bytes(LEASE))["spec"]
    return found


@asynccontextmanager
async def onlooker(server: KubernetesEmulator) -> AsyncIterator[Api]:
    async with connect(KubernetesSettings(master_url=server.url)) as api:
        yield api


async def test_the_first_leader_creates_the_lease() -> None:
    async with cluster() as server, onlooker(server) as api:
        elector = Elector(api, quick("me", lease_duration=1.5))
        assert not elector.is_leading()

        async def look() -> dict[str, Any]:
            assert elector.is_leading()
            return await spec_of(api)

        spec = await elector.run(look)
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("me", 0)
        assert spec["leaseDurationSeconds"] == 2, "others wait at least as long as we lead"
        for name in ("acquireTime", "renewTime"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", spec[name])


async def test_a_task_that_ends_releases_the_lease() -> None:
    async with cluster() as server, onlooker(server) as api:
        elector = Elector(api, quick("me"))
        with pytest.raises(ZeroDivisionError):
            await elector.run(divide_by_zero)
        assert not elector.is_leading()
        spec = await spec_of(api)
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("", 1, 0)


async def divide_by_zero() -> None:
    await anyio.lowlevel.checkpoint()
    raise ZeroDivisionError


async def test_renewals_are_single_puts() -> None:
    async with cluster() as server, onlooker(server) as api, candidate(server, quick("me")) as me:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(me.stand)
            await me.leads.wait()
            before = await spec_of(api)
            server.faults.requests.clear()
            await wait_until(lambda: len(server.faults.requests) >= 3)
            assert {each["method"] for each in server.faults.requests} == {"PUT"}
            after = await spec_of(api)
            me.scope.cancel()
        assert after["renewTime"] > before["renewTime"]
        assert {**after, "renewTime": ""} == {**before, "renewTime": ""}


@pytest.mark.parametrize("may_watch", [True, False])
async def test_a_clean_stop_hands_over_within_two_seconds(may_watch: bool) -> None:
    def usual(identity: str) -> LeaseSettings:
        return LeaseSettings(identity=identity, jitter=lambda: 0.99)

    async with cluster() as server, onlooker(server) as api:
        if not may_watch:
            server.faults.add({"path": "watch=true", "status": 403})
        async with pair(server, usual) as (first, second):
            stopped = anyio.current_time()
            first.scope.cancel()
            await second.leads.wait()
            assert anyio.current_time() - stopped <= 2.0
            assert first.story == ["leads", "wound up"]
            spec = await spec_of(api)
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)


@pytest.mark.parametrize("trouble", ["freeze", "cut"])
async def test_a_partitioned_leader_stops_before_the_next_one_starts(trouble: str) -> None:
    async with cluster() as server, pair(server) as (first, second):
        getattr(first.link, trouble)()
        await second.leads.wait()
        assert not first.elector.is_leading()
        await first.ended.wait()
        assert first.story == ["leads", "wound up", "lost"]
        first.link.thaw()
        await anyio.sleep(0.5)
        assert second.elector.is_leading(), "what the old leader had sent came too late to matter"


async def test_a_leader_without_api_server_steps_down_before_its_lease_ends() -> None:
    async with cluster() as server, candidate(server, quick("me", lease_duration=6.0)) as me:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(me.stand)
            await me.leads.wait()
            me.link.freeze()
            await wait_until(lambda: not me.elector.is_leading() or me.story[-1] != "leads")
            await me.ended.wait()
        assert me.story == ["leads", "wound up", "lost"]
        assert me.elector.holder == "me", "nobody else was seen"


async def test_a_short_outage_costs_nothing() -> None:
    async with cluster() as server, pair(server) as (first, second):
        server.faults.add({"path": "leases", "status": 500, "times": 2})
        server.faults.add({"path": "leases", "drop": True, "times": 1})
        await wait_until(lambda: all(rule.times == 0 for rule in server.faults.rules))
        await anyio.sleep(1.0)
        assert first.elector.is_leading()
        assert (first.story, second.story) == (["leads"], [])


async def test_a_renewal_whose_answer_was_lost_is_no_conflict_for_long() -> None:
    async with cluster() as server, onlooker(server) as api, pair(server) as (first, _):
        await api.send("PATCH", LEASE, {"metadata": {"annotations": {"note": "by hand"}}}, MERGE_PATCH)
        server.faults.requests.clear()
        await wait_until(lambda: len(server.faults.seen("cluster-autoscaler$", "PUT")) >= 3)
        lease = json.loads(await api.get_bytes(LEASE))
        assert first.story == ["leads"]
        assert lease["metadata"]["annotations"] == {"note": "by hand"}, "only the spec is ours"
        assert lease["spec"]["leaseTransitions"] == 0


async def test_a_stolen_lease_is_lost_at_once() -> None:
    async with cluster() as server, onlooker(server) as api, candidate(server, quick("me", retry_period=0.1)) as me:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(me.stand)
            await me.leads.wait()
            await api.send("PATCH", LEASE, {"spec": {"holderIdentity": "thief"}}, MERGE_PATCH)
        assert me.story == ["leads", "wound up", "lost"]
        assert (await spec_of(api))["holderIdentity"] == "thief"


async def test_a_deleted_lease_is_made_again() -> None:
    async with cluster() as server, onlooker(server) as api, pair(server) as (first, second):
        await api.send("DELETE", LEASE)
        server.faults.requests.clear()
        await wait_until(lambda: len(server.faults.seen("cluster-autoscaler$", "PUT")) >= 3)
        assert len([each for each in (first, second) if each.elector.is_leading()]) == 1


@pytest.mark.parametrize("year", ["1999", "2999"])
async def test_the_clock_of_the_holder_does_not_matter(year: str) -> None:
    async with cluster() as server, onlooker(server) as api, candidate(server, quick("me")) as me:
        moment = f"{year}-01-01T00:00:00.000000Z"
        spec = {"holderIdentity": "ghost", "leaseDurationSeconds": 1, "acquireTime": moment, "renewTime": moment}
        await api.send("POST", LEASES, {"metadata": {"name": "cluster-autoscaler"}, "spec": spec})
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(me.stand)
            await me.leads.wait()
            assert anyio.current_time() - began >= 1.0
            assert (await spec_of(api))["leaseTransitions"] == 1
            me.scope.cancel()


async def test_a_lease_that_nobody_holds_is_taken_at_once() -> None:
    async with cluster() as server, onlooker(server) as api:
        await api.send("POST", LEASES, {"metadata": {"name": "cluster-autoscaler"}, "spec": {}})
        assert (await Elector(api, quick("me")).run(spec_of, api))["leaseTransitions"] == 1


async def test_of_two_that_start_together_one_leads() -> None:
    async with (
        cluster() as server,
        candidate(server, quick("first")) as first,
        candidate(server, quick("second")) as second,
        anyio.create_task_group() as tasks,
    ):
        both = (first, second)
        for each in both:
            tasks.start_soon(each.stand)
        await wait_until(lambda: any(each.leads.is_set() for each in both))
        await anyio.sleep(1.0)
        assert sorted(each.elector.is_leading() for each in both) == [False, True]
        tasks.cancel_scope.cancel()


async def test_it_waits_for_an_api_server_that_is_not_there_yet() -> None:
    async with cluster() as server, candidate(server, quick("me")) as me, anyio.create_task_group() as tasks:
        me.link.cut()
        tasks.start_soon(me.stand)
        await anyio.sleep(0.5)
        assert me.story == []
        me.link.mend()
        await me.leads.wait()
        me.scope.cancel()


async def test_the_lease_is_kept_while_the_task_winds_up() -> None:
    async with cluster() as server, candidate(server, quick("me")) as me:
        wound_up: list[bool] = []

        async def slow() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(2.5)
                wound_up.append(me.elector.is_leading())

        with anyio.move_on_after(0.3):
            await me.elector.run(slow)
        assert wound_up == [True]


@asynccontextmanager
async def process_leads(server: KubernetesEmulator, second: Candidate) -> AsyncIterator[anyio.abc.Process]:
    """Yield a process that leads, while `second` waits."""
    command = [sys.executable, "-m", "tests.kubernetes.lease_holder", server.url, "first"]
    async with (
        await anyio.open_process(command, stderr=subprocess.DEVNULL) as process,
        anyio.create_task_group() as tasks,
    ):
        assert process.stdout is not None
        assert (await process.stdout.receive()).strip() == b"leading"
        tasks.start_soon(second.stand)
        await wait_until(lambda: second.elector.holder == "first")
        yield process
        tasks.cancel_scope.cancel()


async def test_a_killed_leader_is_replaced() -> None:
    async with (
        cluster() as server,
        candidate(server, quick("second")) as second,
        process_leads(server, second) as first,
    ):
        first.kill()
        await second.leads.wait()
        assert second.story == ["leads"]


async def test_a_stopped_process_finds_that_it_lost_when_it_goes_on() -> None:
    async with (
        cluster() as server,
        candidate(server, quick("second")) as second,
        process_leads(server, second) as first,
    ):
        first.send_signal(signal.SIGSTOP)
        await second.leads.wait()
        first.send_signal(signal.SIGCONT)
        assert await first.wait() == 3
        assert second.elector.is_leading()


def test_settings_come_from_the_flags() -> None:
    arguments = [
        "--nodes=0:1:a",
        "--namespace=ops",
        "--leader-elect-resource-name=mine",
        "--leader-elect-retry-period=1s",
    ]
    settings = LeaseSettings.read(parse_run(arguments, {}), "me", lambda: 0.0)
    assert (settings.namespace, settings.name, settings.retry_period) == ("ops", "mine", 1.0)
    assert (settings.lease_duration, settings.renew_deadline) == (15.0, 10.0)
    assert own_identity() != own_identity()
