"""A ConfigMap of our own: each write replaces exactly the version that was seen, and asks the fence before.

What it means that something stands in it, or cannot be written, is the
business of `state` and `status_map`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import Api

_CONFLICT, _NOT_FOUND = 409, 404


class OwnMap:
    """One ConfigMap. `stored` is what stands in it as far as we know; None: nothing is known, or there is none."""

    def __init__(self, api: Api, namespace: str, name: str, may_write: Callable[[], bool]) -> None:
        self.stored: dict[str, str] | None = None
        self.path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._api = api
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._may_write = may_write
        labels = {"app.kubernetes.io/managed-by": "priority-autoscaler"}
        self._first: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
        self._metadata: dict[str, Any] | None = None  # of the object as last seen; None: there is none

    async def read(self) -> dict[str, str]:
        """Look at it; a missing one is empty. Raises KubernetesError."""
        try:
            body = await self._api.get_bytes(self.path)
        except KubernetesError as error:
            if error.status != _NOT_FOUND:
                raise
            self._metadata, self.stored = None, None
            return {}
        return self._observe(body)

    async def write(self, data: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> bool:
        """Put the data in the place of what was seen, once more if that had changed meanwhile.

        Returns False when the fence forbids it, also between the two tries: a
        process that no longer leads never overwrites what its successor
        wrote. Raises KubernetesError.
        """
        if not self._may_write():
            return False
        try:
            self._observe(await self._send(data, annotations))
        except KubernetesError as error:
            if error.status not in (_CONFLICT, _NOT_FOUND):
                raise
            await self.read()
            if not self._may_write():
                return False
            self._observe(await self._send(data, annotations))
        return True

    def _observe(self, body: bytes) -> dict[str, str]:
        try:
            document = msgspec.json.decode(body, type=dict[str, Any])
            data = msgspec.convert(document.get("data") or {}, dict[str, str])
            self._metadata = msgspec.convert(document.get("metadata"), dict[str, Any])
        except msgspec.DecodeError as error:
            raise KubernetesError(0, "Undecodable", f"ConfigMap {self.path}: {error}") from error
        self.stored = data
        return data

    async def _send(self, data: Mapping[str, str], annotations: Mapping[str, str] | None) -> bytes:
        metadata = self._first if self._metadata is None else self._metadata
        if annotations:
            present = metadata.get("annotations")
            metadata = {**metadata, "annotations": {**(present if isinstance(present, dict) else {}), **annotations}}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        if self._metadata is None:
            return await self._api.send("POST", self._collection, document)
        return await self._api.send("PUT", self.path, document)
