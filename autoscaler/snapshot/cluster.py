"""The cluster's part: one v1 List of all that decisions are made of, page by page.

A kind that is not served or not permitted is left out, an object that cannot
be read as well; each time `tell` gets a line. Without Nodes, Pods or
DaemonSets there is no snapshot: decisions on it would be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import IO, Any

import msgspec

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.convert import MalformedObjectError
from autoscaler.kubernetes.transport import Api
from autoscaler.kubernetes.wire import WirePage
from autoscaler.snapshot.files import SnapshotError
from autoscaler.snapshot.parts import Part, buffer_parts, config_map_excerpt, parts

Tell = Callable[[str], None]

# The only ConfigMaps that the product reads.
CONFIG_MAPS = ("cluster-autoscaler-priority-expander", "priority-autoscaler", "priority-autoscaler-headroom")
_PAGE = 500
_ATTEMPTS = 3  # a list so long that its first pages were compacted away meanwhile is begun again
_ABSENT = (403, 404)
_NOT_SERVED = 404  # of a kind that few clusters have, nothing to tell
_HEAD = b'{"apiVersion":"v1","kind":"List","items":['
_PAGES: msgspec.json.Decoder[WirePage[msgspec.Raw]] = msgspec.json.Decoder(WirePage[msgspec.Raw])


class ClusterWriter:
    """Writes the List; `counts` tells how many objects of each kind."""

    def __init__(self, api: Api, file: IO[bytes], tell: Tell) -> None:
        self.counts: Counter[str] = Counter()
        self._api = api
        self._file = file
        self._tell = tell

    async def write(self, namespace: str) -> None:
        """Write everything. Raises KubernetesError when the API server cannot be asked."""
        self._file.write(_HEAD)
        for part in parts():
            await self._write_first([part])
        await self._write_first(list(buffer_parts()))
        for name in CONFIG_MAPS:
            await self._write_config_map(namespace, name)
        self._file.write(b"\n]}\n")

    async def _write_first(self, versions: Iterable[Part]) -> None:
        """Write a kind in the first of its versions that is served."""
        refusal: KubernetesError | None = None
        for part in versions:
            try:
                await self._write_part(part)
            except KubernetesError as error:
                if not part.optional or error.status not in _ABSENT:
                    raise
                refusal = error
            else:
                return
        if refusal is not None and not (part.kind == "CapacityBuffer" and refusal.status == _NOT_SERVED):
            self._tell(f"{part.kind}: left out: {refusal}")

    async def _write_part(self, part: Part) -> None:
        start = self._file.tell()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._write_pages(part)
            except KubernetesError as error:
                if error.status != 410 or attempt == _ATTEMPTS:
                    raise
                self._file.seek(start)
                self._file.truncate()
                self.counts[part.kind] = 0
            else:
                return

    async def _write_pages(self, part: Part) -> None:
        query = {"limit": str(_PAGE), **part.query}
        while True:
            body = await self._api.get_bytes(part.path, query, part.accept)
            try:
                page: WirePage[Any] = _PAGES.decode(body)
            except msgspec.DecodeError as error:
                raise SnapshotError(f"{part.kind}: {part.path} is no list: {error}") from error
            for item in page.items or ():
                try:
                    self._add(part.kind, part.api_version, part.excerpt(item))
                except MalformedObjectError as error:
                    self._tell(f"{error}; left out")
            if not page.metadata.continue_:
                return
            query["continue"] = page.metadata.continue_

    async def _write_config_map(self, namespace: str, name: str) -> None:
        try:
            body = await self._api.get_bytes(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
            self._add("ConfigMap", "v1", config_map_excerpt(body))
        except MalformedObjectError as error:
            self._tell(f"{error}; left out")
        except KubernetesError as error:
            if error.status == 403:
                self._tell(f"ConfigMap {namespace}/{name}: left out: {error}")
            elif error.status != 404:
                raise

    def _add(self, kind: str, api_version: str, body: bytes) -> None:
        """Write one object, after saying what it is: items of a list do not."""
        comma = b",\n" if self._file.tell() > len(_HEAD) else b"\n"
        self._file.write(
            b'%b{"apiVersion":"%b","kind":"%b",%b' % (comma, api_version.encode(), kind.encode(), body[1:])
        )
        self.counts[kind] += 1
