"""The ConfigMap `cluster-autoscaler-status`, as cluster-autoscaler keeps it; what stands in it is `publish`'s.

Nothing depends on it here: a write that fails is told once for as long as it
stays the same, and the next one is due soon.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
import structlog

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.own_map import OwnMap
from autoscaler.kubernetes.transport import Api

log = structlog.get_logger()

KEY = "status"
LAST_UPDATED = "cluster-autoscaler.kubernetes.io/last-updated"
_ANSWER_SECONDS = 10.0


class StatusMap:
    """Written by the leader alone: `may_write` is the fence."""

    def __init__(self, api: Api, namespace: str, name: str, may_write: Callable[[], bool]) -> None:
        self._map = OwnMap(api, namespace, name, may_write)
        self._told = ""

    async def write(self, text: str, updated: str) -> bool | None:
        """Put the text there, and when that was; tell whether it stands. None: the fence forbade it. Never raises."""
        fault = f"no answer within {_ANSWER_SECONDS:g} s"
        with anyio.move_on_after(_ANSWER_SECONDS):
            try:
                stands = await self._map.write({KEY: text}, {LAST_UPDATED: updated})
            except KubernetesError as error:
                fault = str(error)
            else:
                self._told = ""
                return True if stands else None
        if fault != self._told:
            self._told = fault
            log.warning("status.write_failed", config_map=self._map.path, fault=fault)
        return False
