"""Who is on a node now, by the API server itself: asked before what cannot be undone."""

from __future__ import annotations

from autoscaler.core.model import NodeName, Pod
from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.codec import Codec, Malformed
from autoscaler.kubernetes.convert import MalformedObjectError, to_pod
from autoscaler.kubernetes.interner import Interner
from autoscaler.kubernetes.transport import Api
from autoscaler.kubernetes.wire import WirePod


async def pods_on(api: Api, node: NodeName) -> tuple[Pod, ...]:
    """Return the unfinished pods of a node. Raises KubernetesError, also for a pod that cannot be read."""
    selector = f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"
    query = {"fieldSelector": selector, "limit": "500"}
    codec, interner = Codec(WirePod), Interner()
    found: list[Pod] = []
    while True:
        meta, items = codec.read_page(await api.get_bytes("/api/v1/pods", query))
        for item in items:
            if isinstance(item, Malformed):
                raise KubernetesError(0, "Undecodable", f"a pod on {node} cannot be read: {item.fault}")
            try:
                found.append(to_pod(item, interner))
            except MalformedObjectError as error:
                raise KubernetesError(0, "Undecodable", f"a pod on {node} cannot be read: {error}") from None
        if not meta.continue_:
            return tuple(found)
        query = {**query, "continue": meta.continue_}
