"""What a pod asks for, in the scheduler's arithmetic."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from autoscaler.core.quantity import format_amount
from autoscaler.kubernetes.requests import FieldError, effective_requests
from autoscaler.kubernetes.wire import WirePodSpec


def asks(cpu: str = "", memory: str = "", *, sidecar: bool = False) -> dict[str, Any]:
    requests = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    container: dict[str, Any] = {"name": "c", "resources": {"requests": requests}}
    if sidecar:
        container["restartPolicy"] = "Always"
    return container


def total(**spec: Any) -> dict[str, str]:
    requests = effective_requests(msgspec.convert(spec, WirePodSpec))
    assert requests["pods"] == 1
    return {name: format_amount(name, amount) for name, amount in requests.items() if name != "pods"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [asks("1"), asks("500m", "1Gi")]}, {"cpu": "1500m", "memory": "1Gi"}),
        # the highest init container counts alone
        ({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}, {"cpu": "3"}),
        ({"containers": [asks("1", "4Gi")], "initContainers": [asks("3", "1Gi")]}, {"cpu": "3", "memory": "4Gi"}),
        # sidecars run beside the containers
        ({"containers": [asks("1")], "initContainers": [asks("2", sidecar=True)]}, {"cpu": "3"}),
        # and beside the init containers after them, not those before
        ({"containers": [asks("1")], "initContainers": [asks("1", sidecar=True), asks("5")]}, {"cpu": "6"}),
        ({"containers": [asks("1")], "initContainers": [asks("5"), asks("1", sidecar=True)]}, {"cpu": "5"}),
        ({"containers": [asks("1")],
          "initContainers": [asks("2", sidecar=True), asks("3"), asks("2", sidecar=True)]}, {"cpu": "5"}),
        # overhead comes on top of whatever is higher
        ({"containers": [asks("1")], "initContainers": [asks("2")], "overhead": {"cpu": "250m"}}, {"cpu": "2250m"}),
        # limits stand in for requests, resource by resource
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]},
         {"cpu": "2", "memory": "1Gi"}),
        ({"containers": [{"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}}]},
         {"cpu": "1", "memory": "1Gi"}),
        # pod-level resources replace the sum of those they name
        ({"containers": [asks("1", "1Gi")], "resources": {"requests": {"cpu": "4"}}}, {"cpu": "4", "memory": "1Gi"}),
        ({"containers": [asks("3")], "resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "1"}}, {"cpu": "3"}),
        ({"containers": [asks("1")], "resources": {"limits": {"cpu": "4", "memory": "2Gi"}}},
         {"cpu": "1", "memory": "2Gi"}),
        ({"containers": [asks("1")], "resources": {"requests": {"nvidia.com/gpu": "4"}}}, {"cpu": "1"}),
        ({"containers": [asks("1")], "resources": {"limits": {"hugepages-2Mi": "4Mi"}}},
         {"cpu": "1", "hugepages-2Mi": "4Mi"}),
        # extended resources, fractions rounded up, zeros left out
        ({"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]}, {"nvidia.com/gpu": "2"}),
        ({"containers": [asks("0.0005")]}, {"cpu": "1m"}),
        ({"containers": [asks("0", "0")]}, {}),
        ({"containers": [{"name": "c"}, {"name": "d", "resources": None}]}, {}),
        ({"containers": [{"name": "c", "resources": {"requests": {"cpu": 2, "memory": 1.5}}}]},
         {"cpu": "2", "memory": "2"}),
    ],
)  # fmt: skip
def test_requests(spec: dict[str, Any], expected: dict[str, str]) -> None:
    assert total(**spec) == expected


@pytest.mark.parametrize("text", ["12x", "", "1 Gi", "-1", "NaN"])
def test_what_is_no_amount_is_refused_by_name(text: str) -> None:
    spec = {"containers": [{"name": "web", "resources": {"requests": {"memory": text}}}]}
    with pytest.raises(FieldError, match=r"containers\[web\].resources.requests.memory"):
        total(**spec)
