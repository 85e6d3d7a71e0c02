"""The reflectors against a real API server: churn, bookmarks, versions that are gone."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import anyio
import pytest

from autoscaler.kubernetes import kinds
from autoscaler.kubernetes.cache import Pace, Reflector
from autoscaler.kubernetes.convert import Interner
from autoscaler.kubernetes.transport import Api, KubernetesSettings, connect
from tests.controlplane.client import Client, Json
from tests.controlplane.cluster import NAMESPACE, Cluster, hollow, pod, pods_path
from tests.kubernetes.link import linked

pytestmark = [pytest.mark.controlplane, pytest.mark.anyio]

CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PATIENCE = 60.0


def pace(**changes: Any) -> Pace:
    return Pace(**{"page": 7, "first_delay": 0.05, "max_delay": 0.5, "jitter": lambda: 0.0, **changes})


@asynccontextmanager
async def connected(cluster: Cluster, agent: str = "test", url: str = "") -> AsyncIterator[Api]:
    settings = KubernetesSettings(kubeconfig=str(cluster.kubeconfig), master_url=url, user_agent=agent)
    async with connect(settings) as api:
        yield api


async def until(holds: Callable[[], object], what: str) -> None:
    with anyio.move_on_after(PATIENCE):
        while True:
            if holds():
                return
            await anyio.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE:g} s for {what}")


def facts(reflector: Reflector[Any, Any]) -> dict[str, tuple[object, ...]]:
    """Everything that placement reads of the pods of a reflector."""
    return {
        each.name: (each.uid, each.spec, dict(each.labels), each.node, each.unschedulable_since, each.deleted_at)
        for each in reflector.objects.values()
        if each.namespace == NAMESPACE
    }


def churn(client: Client, chance: random.Random, number: int) -> None:
    """One random change: a pod made, relabelled or deleted."""
    names = [each["metadata"]["name"] for each in client.items(pods_path())] if number % 5 == 0 else []
    if names and chance.random() < 0.8:
        victim = chance.choice(names)
        if chance.random() < 0.5:
            client.delete(pods_path(victim))
        else:
            client.patch(pods_path(victim), {"metadata": {"labels": {"round": str(number)}}})
        return
    spec: Json = {"nodeSelector": {"no": "node"}} if chance.random() < 0.5 else {}
    client.create(pods_path(), pod(f"pod-{number}", cpu=chance.choice(("100m", "1")), labels={"app": "web"}, **spec))


async def test_a_cache_under_churn_equals_a_fresh_list(controlplane: Cluster) -> None:
    chance = random.Random(7)
    controlplane.add_nodes([hollow("node-a", cpu="16", memory="64Gi")])
    async with connected(controlplane) as api, anyio.create_task_group() as tasks:
        followed = Reflector(api, kinds.pods(Interner()), pace(watch_seconds=2.0))
        await tasks.start(followed.watch)
        for number in range(150):
            await anyio.to_thread.run_sync(churn, controlplane.client, chance, number)
        await anyio.to_thread.run_sync(controlplane.wait_judged)

        async def is_equal() -> bool:
            async with anyio.create_task_group() as reading:
                fresh = Reflector(api, kinds.pods(Interner()), pace())
                await reading.start(fresh.watch)
                reading.cancel_scope.cancel()
            return bool(fresh.objects) and facts(fresh) == facts(followed)

        with anyio.fail_after(PATIENCE):
            while True:
                if await is_equal():
                    break
                await anyio.sleep(0.1)
        assert len(facts(followed)) > 30
        assert {each.node for each in followed.objects.values()} >= {None, "node-a"}
        assert (followed.lists, followed.malformed, followed.unknown_events) == (1, 0, 0)
        tasks.cancel_scope.cancel()


async def test_bookmarks_carry_a_quiet_watch_forward(own: Cluster) -> None:
    agent = "bookmark-reader"
    async with connected(own, agent) as api, anyio.create_task_group() as tasks:
        quiet = Reflector(api, kinds.daemonsets(Interner()), pace(watch_seconds=5.0))
        await tasks.start(quiet.watch)
        own.add_pods(pod(f"other-{number}") for number in range(3))

        def versions() -> list[int]:
            assert own.audit is not None
            opened = [
                row
                for row in own.audit.entries(agent=agent, verb="watch", resource="daemonsets")
                if row["stage"] == "ResponseStarted"
            ]
            return [int(parse_qs(urlsplit(row["requestURI"]).query)["resourceVersion"][0]) for row in opened]

        await until(lambda: len(versions()) >= 2, "a second watch")
        first, second = versions()[:2]
        assert second > first, "no DaemonSet has changed; only a bookmark can have told of the newer version"
        assert quiet.lists == 1
        tasks.cancel_scope.cancel()


async def test_after_a_compaction_everything_is_listed_again(own: Cluster) -> None:
    async with linked(own.client.address) as link:
        url = f"https://{urlsplit(link.url).netloc}"
        async with connected(own, url=url) as api, anyio.create_task_group() as tasks:
            watched = Reflector(api, kinds.config_map(NAMESPACE, "tiers"), pace())
            await tasks.start(watched.watch)
            assert (watched.lists, dict(watched.objects)) == (1, {})
            link.cut()
            made = own.client.create(CONFIG_MAPS, {"metadata": {"name": "tiers"}, "data": {"priorities": "10: ['.*']"}})
            later = own.client.patch(f"{CONFIG_MAPS}/tiers", {"data": {"priorities": "20: ['.*']"}})
            assert made["metadata"]["uid"] == later["metadata"]["uid"]
            compact(own.etcd, int(later["metadata"]["resourceVersion"]))
            link.mend()
            await until(lambda: watched.objects, "the ConfigMap to be seen")
            (found,) = watched.objects.values()
            assert found.data == {"priorities": "20: ['.*']"}
            assert watched.lists == 2
            tasks.cancel_scope.cancel()


def compact(etcd: str, revision: int) -> None:
    """Forget every version before this one, as etcd does after five minutes."""
    body = b'{"revision": "%d", "physical": true}' % revision
    with urlopen(Request(f"{etcd}/v3/kv/compaction", body, {"Content-Type": "application/json"}), timeout=10) as answer:
        assert answer.status == 200
