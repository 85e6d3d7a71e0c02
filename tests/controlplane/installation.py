"""The chart's rights on a cluster: its ServiceAccount and roles as helm renders them, and what was made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.controlplane.account import Account
from tests.controlplane.client import Json
from tests.controlplane.cluster import NAMESPACE, Cluster
from tests.deploy.chart import Rendering

PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}
Right = tuple[str, str, str, str]  # API group, resource, verb, and the object's name or empty


def path_of(manifest: Json) -> str:
    """The collection that the object goes into."""
    version, namespace = manifest["apiVersion"], manifest["metadata"].get("namespace")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return (
        f"{root}/namespaces/{namespace}/{PLURALS[manifest['kind']]}"
        if namespace
        else f"{root}/{PLURALS[manifest['kind']]}"
    )


@contextmanager
def installed(cluster: Cluster, rendering: Rendering) -> Iterator[Account]:
    """The chart's ServiceAccount with its rights, for the length of the block."""
    kinds = ("ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ConfigMap")
    manifests = [each for kind in kinds for each in rendering.all(kind)]
    made: list[str] = []
    try:
        for manifest in manifests:
            cluster.client.create(path_of(manifest), manifest)
            made.append(f"{path_of(manifest)}/{manifest['metadata']['name']}")
        account = Account(cluster, rendering.one("ServiceAccount")["metadata"]["name"])
        account.wait_permitted(rendering.one("ClusterRole")["rules"][0])
        yield account
    finally:
        for path in reversed(made):
            cluster.client.delete(path)


def user_of(rendering: Rendering) -> str:
    """The name by which the API server knows the chart's ServiceAccount."""
    return f"system:serviceaccount:{NAMESPACE}:{rendering.one('ServiceAccount')['metadata']['name']}"


def rights_used(rows: Iterable[Json]) -> set[Right]:
    """What the requests in an audit log were for."""
    return {
        (
            asked.get("apiGroup", ""),
            "/".join(filter(None, (asked["resource"], asked.get("subresource")))),
            row["verb"],
            asked.get("name", ""),
        )
        for row in rows
        if (asked := row.get("objectRef"))
    }


def rights_given(rendering: Rendering) -> set[Right]:
    """What the chart's roles permit; an empty name is any."""
    return {right for kind in ("ClusterRole", "Role") for right in rendering.rules(kind)}


def unused(given: set[Right], used: set[Right]) -> set[Right]:
    """The rights of which nothing was made."""
    any_name = {(*right[:3], "") for right in used}
    return {right for right in given if right not in used | any_name}


def denied(rows: Iterable[Json]) -> list[tuple[Any, ...]]:
    """The requests that were refused for want of a right."""
    return [
        (row["verb"], row["requestURI"], row["responseStatus"].get("message"))
        for row in rows
        if row["responseStatus"]["code"] in (401, 403)
    ]
