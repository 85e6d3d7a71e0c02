"""Objects that files hold more than once: one counts, the same in any order of the files, and it is told."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from autoscaler.kubernetes.convert import MalformedObjectError
from autoscaler.kubernetes.offline import ClusterObjects, read_cluster


def pod(cpu: str, version: str = "", name: str = "web", **meta: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", **meta}
    if version:
        metadata["resourceVersion"] = version
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def read(*documents: dict[str, Any]) -> ClusterObjects:
    """Read each document from a file of its own: a, b, c..."""
    return read_cluster([("abcdefgh"[number], [document]) for number, document in enumerate(documents)])


def asked(cluster: ClusterObjects) -> list[int]:
    return [each.spec.requests["cpu"] for each in cluster.pods]


def test_the_newest_version_counts_whatever_the_order() -> None:
    files = [("a", [pod("1", "999")]), ("b", [pod("3", "1001")]), ("c", [pod("2", "1000")])]
    for order in permutations(files):
        cluster = read_cluster(order)
        assert asked(cluster) == [3000]
        assert cluster.warnings == ("Pod shop/web: more than once in a, b, c; the newest version counts",)


def test_many_are_one_warning() -> None:
    objects = [pod(cpu, version, f"web-{number}") for number in range(5) for cpu, version in (("1", "7"), ("2", "8"))]
    cluster = read_cluster([("a", objects)])
    assert asked(cluster) == [2000] * 5
    assert cluster.warnings == (
        "Pod shop/web-0, shop/web-1, shop/web-2 and 2 more: more than once in a; the newest version counts",
    )


def test_equal_ones_are_one_and_nothing_to_tell() -> None:
    checksum = {"annotations": {"checksum/config": "1"}}  # which a snapshot leaves out
    for objects in ([pod("1"), pod("1")], [pod("1", "5"), pod("1", "5", **checksum)], [pod("1", "5"), pod("1")]):
        cluster = read(*objects)
        assert asked(cluster) == [1000]
        assert cluster.warnings == ()


def test_where_no_version_tells_the_input_is_at_fault() -> None:
    safe = {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}
    for objects in (
        [pod("1"), pod("2")],
        [pod("1", "5"), pod("2", "5")],
        [pod("1", "5"), pod("1", "5", **safe)],
        [pod("1", "5"), pod("2", "new")],
        [pod("1", "5"), pod("2")],
        [pod("1", "5"), pod("3", "6"), pod("2")],
    ):
        told = set()
        for order in permutations(zip("abc", objects, strict=False)):
            with pytest.raises(MalformedObjectError) as raised:
                read_cluster([(source, [document]) for source, document in order])
            told.add(str(raised.value))
        [message] = told
        files = ", ".join("abc"[: len(objects)])
        assert message.startswith(f"{files}: Pod shop/web: given {len(objects)} times: they differ")


def test_no_namespace_is_the_default_one() -> None:
    bare, named = pod("1"), pod("1")
    del bare["metadata"]["namespace"]
    named["metadata"]["namespace"] = "default"
    bare["metadata"]["resourceVersion"], named["metadata"]["resourceVersion"] = "1", "2"
    assert [each.key for each in read(bare, named).pods] == [("default", "web")]
    assert len(read(pod("1"), named).pods) == 2


def test_a_name_is_free_in_another_kind() -> None:
    meta = {"name": "web", "namespace": "shop"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {}}
    cluster = read(pod("1"), claim)
    assert (len(cluster.pods), len(cluster.storage.claims)) == (1, 1)
