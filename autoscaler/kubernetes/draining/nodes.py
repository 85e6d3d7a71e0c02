"""Nodes: one edit of a Node, written only over the version that it was made from.

Written with update, never patch: cluster-autoscaler's role has no patch on
nodes. A conflict means that somebody else wrote meanwhile, mostly the kubelet:
then the edit is made again on what stands there now. The fence is asked
immediately before each write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
import msgspec

from autoscaler.core.model import NodeName, Uid
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import Api

Edit = Callable[[dict[str, Any]], bool]  # changes the Node; False: it is to be left as it is

_CONFLICT, _NOT_FOUND = 409, 404
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 0.75  # seconds between two tries
_PATIENCE = 5.0  # seconds after which conflicts are a failure, as in cluster-autoscaler


class Edited(StrEnum):
    """What became of an edit."""

    WRITTEN = "Written"
    LEFT = "Left"  # as it was: the edit did not apply any more
    GONE = "Gone"  # no such Node, or another one of the same name


@dataclass(frozen=True, slots=True)
class NodeWriter:
    """Reads and edits Nodes. `may_write` is the fence."""

    api: Api
    may_write: Callable[[], bool]

    async def read(self, name: NodeName, uid: Uid) -> dict[str, Any] | None:
        """Return the Node as it is now; None when it is gone. Raises KubernetesError."""
        try:
            body = await self.api.get_bytes(_path(name))
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        document = _decode(name, body)
        return document if document["metadata"].get("uid") == uid else None

    async def edit(self, name: NodeName, uid: Uid, edit: Edit) -> Edited:
        """Make an edit. Raises KubernetesError, also when conflicts do not end."""
        deadline, pause = anyio.current_time() + _PATIENCE, _FIRST_PAUSE
        while True:
            document = await self.read(name, uid)
            if document is None:
                return Edited.GONE
            if not edit(document):
                return Edited.LEFT
            if not self.may_write():
                raise KubernetesError(0, "NotLeading", f"Node {name}: the lease is not held; it is left as it is")
            try:
                await self.api.send("PUT", _path(name), document)
            except KubernetesError as error:
                if error.status == _NOT_FOUND:
                    return Edited.GONE
                if error.status != _CONFLICT or anyio.current_time() > deadline:
                    raise
            else:
                return Edited.WRITTEN
            await anyio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)


def _path(name: NodeName) -> str:
    return f"/api/v1/nodes/{name}"


def _decode(name: NodeName, body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
        msgspec.convert(document.get("metadata"), dict[str, Any])
    except msgspec.DecodeError as error:
        raise KubernetesError(0, "Undecodable", f"Node {name}: {error}") from error
    return document
