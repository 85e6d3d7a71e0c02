"""Lease: which process leads, by client-go's rules on coordination.k8s.io/v1.

A holder counts from the moment before its request left, all others from the
moment at which they saw the record change, each on its own monotonic clock:
the times in the record are for people. So whoever counts as holder here is
still respected by everybody else. Only the fence makes a write safe: ask
`is_leading` immediately before each one. Renewals must not queue behind other
writes: give the Elector an Api of its own.
Source: client-go, tools/leaderelection/leaderelection.go
"""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import anyio
import msgspec
import structlog

from autoscaler import clock
from autoscaler.config import Config
from autoscaler.errors import AutoscalerError, KubernetesError
from autoscaler.kubernetes.transport import Api

log = structlog.get_logger()

T = TypeVar("T")

_RELEASE_SECONDS = 5.0
_CONFLICT, _NOT_FOUND = 409, 404
_NO_WATCH = frozenset({401, 403, 404, 405})


class LostLease(AutoscalerError):
    """Another process may lead now. End this one: a restart begins from a clean state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """Which lease, and its times in seconds. `jitter` gives numbers in [0, 1).

    `identity` must be of this process alone: two of the same name would both
    take themselves for the holder.
    """

    identity: str
    jitter: Callable[[], float]
    namespace: str = "kube-system"
    name: str = "cluster-autoscaler"
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    @classmethod
    def read(cls, config: Config, identity: str, jitter: Callable[[], float]) -> LeaseSettings:
        """Take the lease and its times from the flags."""
        return cls(
            identity=identity,
            jitter=jitter,
            namespace=config.namespace,
            name=config.leader_elect_resource_name,
            lease_duration=config.leader_elect_lease_duration.total_seconds(),
            renew_deadline=config.leader_elect_renew_deadline.total_seconds(),
            retry_period=config.leader_elect_retry_period.total_seconds(),
        )

    @property
    def attempt_deadline(self) -> float:
        """How long one attempt may take, so that a second one fits in when an answer does not come."""
        return self.renew_deadline / 2


def own_identity() -> str:
    """Name this process: the host, which people look for, and what no other process has."""
    return f"{socket.gethostname()}_{uuid4()}"


class _Spec(msgspec.Struct, rename="camel", frozen=True):
    """The record. It changes whenever its holder is alive."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A record, the object that it came in, and since when it has stood there (anyio's clock)."""

    document: dict[str, Any]
    spec: _Spec
    since: float

    @property
    def version(self) -> str:
        return str(self.document.get("metadata", {}).get("resourceVersion", ""))


class Elector:
    """Runs a task while this process leads."""

    def __init__(self, api: Api, settings: LeaseSettings) -> None:
        self._api = api
        self._settings = settings
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases"
        self._path = f"{self._collection}/{settings.name}"
        self._seen: _Seen | None = None
        self._held_until = -math.inf
        self._may_watch = True
        self._told = ""

    @property
    def holder(self) -> str:
        """Who was last seen to hold the lease; empty when nobody was."""
        return (self._seen.spec.holder_identity or "") if self._seen else ""

    def is_leading(self) -> bool:
        """Tell whether nobody else can have the lease at this moment. Costs nothing; ask before every write."""
        return anyio.current_time() < self._held_until

    async def run(self, task: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Wait for the lease, then run `task` while it is held; return what the task returned.

        Renewal goes on until the task has ended, also while it winds up after
        a cancellation from outside. Then the lease is released. Raises
        LostLease once the task, cancelled because the lease was lost, ended.
        """
        await self._acquire()
        results: list[T] = []
        try:
            async with anyio.create_task_group() as tasks:
                renewing, leading = anyio.CancelScope(shield=True), anyio.CancelScope()
                tasks.start_soon(self._renew, renewing, leading)
                try:
                    with leading:
                        results.append(await task(*args))
                finally:
                    renewing.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            failure = group.exceptions[0]
        else:
            failure = None
        finally:
            await self._release()
        if failure is not None:
            raise failure
        if results:
            return results[0]
        raise LostLease(f"lease {self._settings.namespace}/{self._settings.name} lost; this process ends")

    async def _acquire(self) -> None:
        while not await self._try_hold():
            await self._wait_change()
        log.info("lease.acquired", lease=self._settings.name, identity=self._settings.identity)

    async def _renew(self, renewing: anyio.CancelScope, leading: anyio.CancelScope) -> None:
        """Keep the lease until `renewing` is cancelled; cancel `leading` when it is lost."""
        settings = self._settings
        with renewing:
            while True:
                await anyio.sleep(settings.retry_period)
                with anyio.move_on_at(min(anyio.current_time() + settings.renew_deadline, self._held_until)):
                    if await self._try_again():
                        continue
                break
            log.error("lease.lost", lease=settings.name, holder=self.holder)
            self._held_until = -math.inf
            leading.cancel()

    async def _try_again(self) -> bool:
        """Renew, however many attempts it takes; False when somebody else has the lease."""
        while True:
            if await self._try_hold():
                return True
            if not self.is_leading():
                return False
            await anyio.sleep(self._settings.retry_period)

    async def _try_hold(self) -> bool:
        """Take or renew the lease in one attempt, and tell whether it is ours."""
        fault = f"no answer within {self._settings.attempt_deadline:g} s"
        with anyio.move_on_after(self._settings.attempt_deadline):
            try:
                return await self._attempt()
            except KubernetesError as error:
                fault = str(error)
        if fault != self._told:
            self._told = fault  # once for as long as it stays the same
            log.warning("lease.attempt_failed", lease=self._settings.name, fault=fault)
        return False

    async def _attempt(self) -> bool:
        if self.is_leading() and self._seen is not None:
            try:
                await self._write(self._seen)  # nobody else writes it, so the version that we know is the present one
            except KubernetesError as error:
                if error.status not in (_CONFLICT, _NOT_FOUND):
                    raise
            else:
                return True
        seen = await self._read()
        if seen is None:
            await self._write(None)
            return True
        if seen.spec.holder_identity not in (None, "", self._settings.identity):
            self._held_until = -math.inf
            if anyio.current_time() < self._expiry(seen):
                return False
        await self._write(seen)
        return True

    async def _read(self) -> _Seen | None:
        """Look at the lease; None when there is none. Raises KubernetesError."""
        try:
            body = await self._api.get_bytes(self._path)
        except KubernetesError as error:
            if error.status != _NOT_FOUND:
                raise
            self._seen = None
            return None
        return self._observe(body, anyio.current_time())

    def _observe(self, body: bytes, at: float) -> _Seen:
        """Note what stands in the lease, and when that was seen for the first time."""
        try:
            document = msgspec.json.decode(body, type=dict[str, Any])
            spec = msgspec.convert(document.get("spec") or {}, _Spec)
        except msgspec.DecodeError as error:
            raise KubernetesError(0, "Undecodable", f"lease {self._path}: {error}") from error
        before = self._seen
        if before is None or before.spec.holder_identity != spec.holder_identity:
            log.info("lease.seen", lease=self._settings.name, holder=spec.holder_identity)
        since = before.since if before is not None and before.spec == spec else at
        self._seen = _Seen(document, spec, since)
        return self._seen

    def _expiry(self, seen: _Seen) -> float:
        seconds = seen.spec.lease_duration_seconds
        return seen.since + (self._settings.lease_duration if seconds is None else seconds)

    async def _write(self, seen: _Seen | None) -> None:
        """Put our name in, in the place of exactly what was seen. Raises KubernetesError."""
        settings, now = self._settings, _micro_time()
        old = seen.spec if seen is not None else _Spec()
        ours = old.holder_identity == settings.identity
        transitions = old.lease_transitions or 0
        spec = _Spec(
            holder_identity=settings.identity,
            lease_duration_seconds=math.ceil(settings.lease_duration),
            acquire_time=old.acquire_time if ours else now,
            renew_time=now,
            lease_transitions=transitions if ours or seen is None else transitions + 1,
        )
        asked = anyio.current_time()
        self._observe(await self._send(spec, seen), asked)
        self._held_until = asked + settings.lease_duration
        self._told = ""

    async def _send(self, spec: _Spec, seen: _Seen | None) -> bytes:
        settings = self._settings
        document: dict[str, Any] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        document["metadata"] = {"name": settings.name, "namespace": settings.namespace}
        document["spec"] = msgspec.to_builtins(spec)
        if seen is None:
            return await self._api.send("POST", self._collection, document)
        return await self._api.send("PUT", self._path, seen.document | {"spec": document["spec"]})

    async def _release(self) -> None:
        """Tell the others that they need not wait, where the lease is still ours."""
        if not self.is_leading():
            return
        self._held_until = -math.inf
        with anyio.move_on_after(_RELEASE_SECONDS, shield=True):
            try:
                await self._give_up()
            except KubernetesError as error:
                log.warning("lease.release_failed", lease=self._settings.name, error=str(error))
            else:
                log.info("lease.released", lease=self._settings.name)

    async def _give_up(self) -> None:
        seen = self._seen
        for _ in range(2):  # a renewal whose answer was lost has made the version that we know an old one
            if seen is None or seen.spec.holder_identity != self._settings.identity:
                return
            now, transitions = _micro_time(), seen.spec.lease_transitions
            try:
                await self._send(_Spec("", 1, now, now, transitions), seen)
            except KubernetesError as error:
                if error.status != _CONFLICT:
                    raise
                seen = await self._read()
            else:
                return

    async def _wait_change(self) -> None:
        """Wait until the lease changes, or expires, or it is time to look again.

        A role that does not permit the watch, as cluster-autoscaler's, leaves
        the pause: shorter than client-go's, whose jitter would make a clean
        hand-over take longer than one retry period.
        """
        settings, seen, now = self._settings, self._seen, anyio.current_time()
        pause = settings.retry_period * (0.4 + 0.4 * settings.jitter())
        if seen is not None and self._expiry(seen) > now:
            pause = min(pause, self._expiry(seen) - now)
        with anyio.move_on_after(pause):
            if seen is not None and self._may_watch:
                await self._watch(seen)
                await anyio.sleep_until(now + settings.retry_period / 10)  # however often it changes
            else:
                await anyio.sleep_forever()

    async def _watch(self, seen: _Seen) -> None:
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._settings.name}",
            "resourceVersion": seen.version,
        }
        try:
            async with self._api.stream(self._collection, query) as chunks:
                async for chunk in chunks:
                    if chunk.strip():
                        return
        except KubernetesError as error:
            self._may_watch = error.status not in _NO_WATCH
        await anyio.sleep_forever()


def _micro_time() -> str:
    """The wall clock as the API's MicroTime, which must have exactly six digits."""
    return clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
