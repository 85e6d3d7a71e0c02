"""Owners of kinds that nobody knew beforehand: Rollouts, clones of StatefulSets, whatever an operator brings.

A kind that owns pods is looked up by discovery and then followed, by its
metadata alone. It needs a right that only the user can give (the chart's
`rbac.additionalRules`); without it the kind counts as absent, and nothing
ever waits for it: its annotations simply say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import anyio
import msgspec
import structlog

from autoscaler.core.model import OwnerRef
from autoscaler.core.workload import Workload
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.cache import Pace, Reflector
from autoscaler.kubernetes.interner import Interner
from autoscaler.kubernetes.kinds import WORKLOADS, owners
from autoscaler.kubernetes.transport import Api

log = structlog.get_logger()

MOST_KINDS = 20  # more is no cluster that we know of
_KNOWN = frozenset((*WORKLOADS, "DaemonSet", "Node"))  # static pods are owned by their Node
OnChange = Callable[[Workload | None, Workload | None], None]


class _Resource(msgspec.Struct):
    name: str = ""
    kind: str = ""


class _Resources(msgspec.Struct):
    resources: tuple[_Resource, ...] = ()


class OwnerKind(NamedTuple):
    api_version: str
    kind: str


class OwnerKinds:
    """Follows each kind from when its first object is seen to own something."""

    def __init__(self, api: Api, pace: Pace, interner: Interner, on_change: OnChange) -> None:
        self.reflectors: dict[OwnerKind, Reflector[Any, Workload]] = {}
        self._api = api
        self._pace = pace
        self._interner = interner
        self._on_change = on_change
        self._seen: set[OwnerKind] = set()
        self._new: list[OwnerKind] = []
        self._news: anyio.Event | None = None  # somebody waits for it

    def note(self, owner: OwnerRef | None) -> None:
        """Take note of whom something belongs to."""
        if owner is None or owner.kind in _KNOWN or not owner.api_version:
            return
        kind = OwnerKind(owner.api_version, owner.kind)
        if kind not in self._seen and len(self._seen) < MOST_KINDS:
            self._seen.add(kind)
            self._new.append(kind)
            if self._news is not None:
                self._news.set()

    def objects(self) -> Iterator[Workload]:
        """Yield every owner that can be seen."""
        for reflector in self.reflectors.values():
            yield from reflector.objects.values()

    async def run(self) -> None:
        """Follow for ever whatever `note` has seen."""
        async with anyio.create_task_group() as tasks:
            while True:
                for kind in self._new:
                    tasks.start_soon(self._follow, kind)
                self._new.clear()
                self._news = anyio.Event()
                await self._news.wait()

    async def _follow(self, kind: OwnerKind) -> None:
        failures = 0
        while True:
            try:
                path = await self._path_of(kind)
            except KubernetesError as error:
                failures += 1
                log.debug("owners.discovery_failed", kind=kind.kind, api_version=kind.api_version, error=str(error))
                await anyio.sleep(self._pace.delay(failures))
                continue
            if path is None:
                log.warning("owners.kind_unknown", kind=kind.kind, api_version=kind.api_version)
                return
            break
        reflector = Reflector(self._api, owners(kind.kind, path, self._interner), self._pace, self._changed)
        self.reflectors[kind] = reflector
        log.info("owners.followed", kind=kind.kind, api_version=kind.api_version)
        await reflector.watch()

    def _changed(self, before: Workload | None, after: Workload | None) -> None:
        if after is not None:
            self.note(after.owner)
        self._on_change(before, after)

    async def _path_of(self, kind: OwnerKind) -> str | None:
        """Where objects of the kind are listed; None where the API server serves none. Raises KubernetesError."""
        root = f"/apis/{kind.api_version}" if "/" in kind.api_version else f"/api/{kind.api_version}"
        try:
            body = await self._api.get_bytes(root)
            found = msgspec.json.decode(body, type=_Resources)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise
        except msgspec.DecodeError as error:
            raise KubernetesError(0, "Undecodable", f"GET {root}: {error}") from error
        names = [one.name for one in found.resources if one.kind == kind.kind and "/" not in one.name]
        return f"{root}/{names[0]}" if names else None
