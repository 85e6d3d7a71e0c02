"""Act: what the product writes to the cluster. Done wrongly? Here.

Writes name exactly one object and carry what makes a stale one harmless: a
UID or a resourceVersion. Expected refusals (an eviction held by a budget, an
object that is gone) are values. Events never fail anybody: what cannot be
written is counted and logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from autoscaler.core.model import Pod
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import MERGE_PATCH, Api


class Eviction(StrEnum):
    """What the Eviction API answered."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"  # a PodDisruptionBudget, or more than one, allows none now
    GONE = "Gone"  # no such pod any more, or another one of the same name


class EvictionAnswer(NamedTuple):
    """The answer; `retry_after` are the seconds for which the API server wants not to be asked again."""

    outcome: Eviction
    detail: str = ""
    retry_after: float = 0.0


async def patch_node(api: Api, node: str, patch: Mapping[str, Any], resource_version: str = "") -> bool:
    """Merge-patch a Node; with `resource_version` only if it is still that one.

    Returns whether it was written: False when the node is gone or has changed
    meanwhile. Raises KubernetesError for everything else.
    """
    body = dict(patch)
    if resource_version:
        body["metadata"] = {**body.get("metadata", {}), "resourceVersion": resource_version}
    return await _patch(api, f"/api/v1/nodes/{node}", body)


async def cordon(api: Api, node: str, *, is_cordoned: bool = True) -> bool:
    """Make a node unschedulable, or schedulable again. Returns whether it was there."""
    return await patch_node(api, node, {"spec": {"unschedulable": True if is_cordoned else None}})


async def annotate(api: Api, path: str, annotations: Mapping[str, str | None]) -> bool:
    """Set annotations of the object at `path`; None takes one away. Returns whether it was there."""
    return await _patch(api, path, {"metadata": {"annotations": dict(annotations)}})


async def evict(api: Api, pod: Pod, *, grace_seconds: int | None = None) -> EvictionAnswer:
    """Ask for the eviction of exactly this pod. Raises KubernetesError when there was no clear answer."""
    options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": options,
    }
    try:
        await api.send("POST", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction", body)
    except KubernetesError as error:
        if error.status == 429:
            return EvictionAnswer(Eviction.BLOCKED, str(error), error.retry_after)
        if error.status in (404, 409):
            return EvictionAnswer(Eviction.GONE, str(error))
        raise
    return EvictionAnswer(Eviction.ACCEPTED)


async def _patch(api: Api, path: str, body: Mapping[str, Any]) -> bool:
    try:
        await api.send("PATCH", path, dict(body), MERGE_PATCH)
    except KubernetesError as error:
        if error.status in (404, 409):
            return False
        raise
    return True
