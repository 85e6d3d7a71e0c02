"""The parts that need no server: patches, selectors, fit, protobuf."""

from typing import Any

import pytest

from autoscaler.emulator.kubernetes import protobuf
from autoscaler.emulator.kubernetes.fit import requests_of, tolerates
from autoscaler.emulator.kubernetes.patch import apply_patch
from autoscaler.emulator.kubernetes.selectors import label_selector, parse_labels
from autoscaler.emulator.kubernetes.status import ApiError

JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a/b": 1}, [{"op": "remove", "path": "/a~1b"}], {}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 9}], {"a": [9, 2]}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
        (
            {"a": 1},
            [{"op": "test", "path": "/a", "value": 1}, {"op": "copy", "from": "/a", "path": "/b"}],
            {"a": 1, "b": 1},
        ),
    ],
)
def test_json_patches(before: dict[str, Any], patch: list[Any], after: dict[str, Any]) -> None:
    assert apply_patch(JSON, before, patch) == after


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/x"},
        {"op": "replace", "path": "/x", "value": 1},
        {"op": "add", "path": "/l/5", "value": 1},
        {"op": "invent", "path": "/a"},
        {"path": "/a"},
    ],
)
def test_refused_json_patches(operation: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        apply_patch(JSON, {"a": 1, "l": []}, [operation])
    assert refused.value.code == 422


def test_merge_patches_replace_lists_and_drop_nulls() -> None:
    before = {"metadata": {"labels": {"a": "1", "b": "2"}}, "list": [1, 2]}
    after = apply_patch(MERGE, before, {"metadata": {"labels": {"a": None}}, "list": [3]})
    assert after == {"metadata": {"labels": {"b": "2"}}, "list": [3]}


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}]},
        ),
        ({"containers": [{"name": "a"}]}, {"containers": [{"name": "a", "$patch": "delete"}]}, {"containers": []}),
        ({"taints": [{"key": "a"}]}, {"taints": [{"key": "b"}]}, {"taints": [{"key": "b"}]}),
        ({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        ({"labels": {"a": "1"}}, {"labels": {"$patch": "replace", "b": "2"}}, {"labels": {"b": "2"}}),
        (
            {"conditions": [{"type": "Ready", "status": "False"}]},
            {"conditions": [{"type": "Ready", "status": "True"}], "$setElementOrder/conditions": [{"type": "Ready"}]},
            {"conditions": [{"type": "Ready", "status": "True"}]},
        ),
    ],
)
def test_strategic_patches(before: dict[str, Any], patch: dict[str, Any], after: dict[str, Any]) -> None:
    assert apply_patch(STRATEGIC, before, patch) == after


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("a=1", True), ("a==1,b", True), ("a!=1", False), ("c!=1", True), ("!c", True), ("!a", False),
        ("a in (1, 2)", True), ("a notin (1)", False), ("c notin (1)", True), ("x.io/k=v", True),
    ],
)  # fmt: skip
def test_label_selectors(selector: str, matches: bool) -> None:
    found = parse_labels(selector)
    assert found is not None
    assert found({"a": "1", "b": "", "x.io/k": "v"}) is matches


def test_an_empty_json_selector_matches_all_and_none_nothing() -> None:
    assert label_selector({})({"a": "b"})
    assert not label_selector(None)({"a": "b"})


def test_requests_count_sidecars_init_steps_and_overhead() -> None:
    def container(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("500m")],
        "initContainers": [container("100m", restartPolicy="Always"), container("2")],
        "overhead": {"cpu": "10m"},
    }
    assert requests_of(spec) == {"cpu": 2110}  # the init step beside the sidecar is the peak
    assert requests_of(spec | {"resources": {"requests": {"cpu": "3"}}}) == {"cpu": 3010}
    with pytest.raises(ValueError, match="no quantity"):
        requests_of({"containers": [container("many")]})


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k", "value": "v", "effect": "NoExecute"}, False),
        ({"key": "j", "operator": "Exists"}, False),
        ({}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], covers: bool) -> None:
    assert tolerates([toleration], {"key": "k", "value": "v", "effect": "NoSchedule"}) is covers


@pytest.mark.parametrize("body", [b"", b"k8s\x00\x0a", b"k8s\x00\x0a\x05\x12\x03Foo", b"k8s\x00\x0a\xff"])
def test_foreign_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        protobuf.decode(body)
    assert refused.value.code == 400
