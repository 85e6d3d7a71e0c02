"""Volumes: waits until the disks of a drained node are detached, so that their pods start elsewhere at once.

An instance that is terminated with disks attached lets go of them minutes
later. Nobody waits for disks of pods that stay until the end, as those of
DaemonSets do. Read on demand, as drains are rare. Without the permission
nobody waits at all, and that is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import anyio
import msgspec
import structlog

from autoscaler.core.model import NodeName
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import Api

log = structlog.get_logger()

_PATH = "/apis/storage.k8s.io/v1/volumeattachments"
_PAGE = "500"
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 8.0
_UNAVAILABLE = frozenset({403, 404})


class _Source(msgspec.Struct, rename="camel"):
    persistent_volume_name: str | None = None


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    source: _Source | None = None


class _Meta(msgspec.Struct):
    name: str = ""
    token: str = msgspec.field(default="", name="continue")


class _Attachment(msgspec.Struct):
    metadata: _Meta
    spec: _Spec


class _Page(msgspec.Struct):
    metadata: _Meta
    items: tuple[_Attachment, ...] | None = None


class Volumes:
    """Looks at VolumeAttachments; one for the process, as it tells a missing permission once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._told = False

    async def wait_detached(
        self, node: NodeName, until: float, staying: Callable[[], Collection[str]]
    ) -> tuple[str, ...]:
        """Wait for the node's volumes; return those still attached at `until`, a moment of anyio's clock.

        `staying` names the PersistentVolumes that pods on the node go on using; looked at each time anew.
        """
        pause = _FIRST_PAUSE
        left: tuple[str, ...] = ()
        while True:
            try:
                attached = await self._attached(node)
                stay = staying()
                left = tuple(name for name in attached if name not in stay)
            except KubernetesError as error:
                if error.status in _UNAVAILABLE:
                    self._tell(error)
                    return ()
                log.warning("volumes.read_failed", node=node, error=str(error))
            else:
                if not left:
                    return ()
            if anyio.current_time() + pause > until:
                return left
            await anyio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)

    async def _attached(self, node: NodeName) -> list[str]:
        """Return what is attached to the node. Raises KubernetesError."""
        found: list[str] = []
        query = {"limit": _PAGE}
        while True:
            body = await self._api.get_bytes(_PATH, query)
            try:
                page = _DECODE(body)
            except msgspec.DecodeError as error:
                raise KubernetesError(0, "Undecodable", f"VolumeAttachments: {error}") from error
            found += [
                (one.spec.source.persistent_volume_name if one.spec.source else None) or one.metadata.name
                for one in page.items or ()
                if one.spec.node_name == node
            ]
            if not page.metadata.token:
                return found
            query = {"limit": _PAGE, "continue": page.metadata.token}

    def _tell(self, error: KubernetesError) -> None:
        if not self._told:
            self._told = True
            log.warning("volumes.not_watched", error=str(error), detail="nodes go without waiting for their volumes")


_DECODE = msgspec.json.Decoder(_Page).decode
