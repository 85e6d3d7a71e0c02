"""The emulated cluster as one thing to start: in this task, in a thread, or as a process.

Everything runs on one event loop on loopback. From another thread use `call`
to touch the store or the kubelet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
import yaml
from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal

from .admission import SYSTEM_PRIORITIES
from .api import Api, Doors
from .budgets import Budgets
from .control import Control
from .daemonsets import DaemonSets
from .faults import Faults
from .garbage import Garbage
from .indexes import Indexes
from .kubelet import Delays, Kubelet
from .pages import Pages, PagesPlan
from .resources import NAMESPACES, PRIORITY_CLASSES
from .scheduler import Scheduler
from .store import HISTORY, Store
from .timers import Timers
from .watch import Watches
from .workloads import Workloads

ResultT = TypeVar("ResultT")
_LARGEST_BODY = 512 * 2**20
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an emulated cluster is made. Times are seconds."""

    port: int = 0
    token: str = ""  # bearer token that requests must carry; kubectl sends none over plain http
    gzip: bool = True
    bookmark_every: float = 10.0
    history: int = HISTORY
    scheduler: bool = True
    controllers: bool = True
    kubelet: Delays = field(default_factory=Delays)
    pages: PagesPlan | None = None  # pods and nodes served ready-made


class KubernetesEmulator:
    """A cluster on loopback: API server, controllers, scheduler, kubelets."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = ""
        self.store = Store(options.history)
        self.indexes = Indexes(self.store)
        self.timers = Timers()
        self.faults = Faults()
        self.watches = Watches(self.store, options.bookmark_every)
        self.kubelet = Kubelet(self.store, self.indexes, self.timers, options.kubelet)
        self.api = Api(self.store, self.faults, self.watches, Doors(token=options.token, gzip=options.gzip))
        self.control = Control(self.store, self.api, self.faults, self.watches, self.kubelet)
        self._portal: BlockingPortal | None = None
        self._loops = [self.timers.run]
        if options.scheduler:
            self._loops.append(Scheduler(self.store).run)
        if options.controllers:
            self._loops += [
                Workloads(self.store, self.indexes).reconciler.run,
                DaemonSets(self.store, self.indexes).reconciler.run,
                Budgets(self.store).reconciler.run,
                Garbage(self.store, self.indexes).reconciler.run,
            ]
        for name in _NAMESPACES:
            metadata = {"name": name, "labels": {"kubernetes.io/metadata.name": name}}
            self.store.create(NAMESPACES, {"metadata": metadata, "status": {"phase": "Active"}})
        for name, value in SYSTEM_PRIORITIES.items():
            self.store.create(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})
        if options.pages is not None:
            pages = Pages(options.pages, self.store, self.watches)
            self.api.special = pages.answer
            self.control.acts["POST", "modify"] = pages.modify

    @classmethod
    @asynccontextmanager
    async def serve(cls, options: Options | None = None) -> AsyncIterator[KubernetesEmulator]:
        """A running cluster; all of it ends with the block."""
        cluster = cls(options or Options())
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/emu/{rest:.+}", cluster.control.handle)
        app.router.add_route("*", "/{rest:.*}", cluster.api.handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", cluster.options.port)
            await site.start()
            cluster.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with anyio.create_task_group() as tasks:
                for loop in cluster._loops:
                    tasks.start_soon(loop)
                yield cluster
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None  # the block's own failure, as it was raised
            raise
        finally:
            cluster.watches.close()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    @classmethod
    @contextmanager
    def start(cls, options: Options | None = None) -> Iterator[KubernetesEmulator]:
        """The same in a thread of its own, for callers that do not await.

        What the caller raises inside the block stays as it is: it has no
        business in the cluster's tasks, which would wrap it in a group.
        """
        with start_blocking_portal() as portal:
            serving = portal.wrap_async_context_manager(cls.serve(options))
            cluster = serving.__enter__()
            cluster._portal = portal
            try:
                yield cluster
            finally:
                serving.__exit__(None, None, None)

    def call(self, act: Callable[..., ResultT], *args: object) -> ResultT:
        """Run `act` on the cluster's thread (after `start`), else here."""
        return act(*args) if self._portal is None else self._portal.call(act, *args)

    def kubeconfig(self) -> str:
        """A kubeconfig for this cluster, as YAML."""
        user = {"token": self.options.token} if self.options.token else {}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "emulator",
                "clusters": [{"name": "emulator", "cluster": {"server": self.url}}],
                "users": [{"name": "emulator", "user": user}],
                "contexts": [{"name": "emulator", "context": {"cluster": "emulator", "user": "emulator"}}],
            }
        )

    def write_kubeconfig(self, path: Path) -> None:
        path.write_text(self.kubeconfig())
        path.chmod(0o600)
