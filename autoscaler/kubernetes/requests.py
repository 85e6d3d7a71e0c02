"""Requests: what a pod asks for in the scheduler's arithmetic.

Containers run together, ordinary init containers one after the other, each
beside the restartable ones (sidecars) before it. Pod-level resources replace
the sum for those they name; overhead comes on top. Limits stand in for
requests as the API server's defaulting would have stored them.
Source: kubernetes, component-helpers/resource/helpers.go and core/v1/defaults.go
"""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.core.quantity import QuantityError, parse_amount
from autoscaler.core.resources import Resources
from autoscaler.kubernetes.wire import Amounts, WireContainer, WirePodSpec, WireResources

_POD_LEVEL = ("cpu", "memory")  # and hugepages-*


class FieldError(ValueError):
    """A field that cannot be read; the message names it. The object's name is added by `convert`."""


def read_amounts(field: str, amounts: Amounts | None) -> dict[str, int]:
    """Read quantities by resource. Raises FieldError that names `field` and the resource."""
    result: dict[str, int] = {}
    for name, text in (amounts or {}).items():
        try:
            amount = parse_amount(name, str(text))
        except QuantityError as error:
            raise FieldError(f"{field}.{name}: {error}") from None
        if amount < 0:
            raise FieldError(f"{field}.{name}: {text!r} is negative")
        result[name] = amount
    return result


def effective_requests(spec: WirePodSpec) -> Resources:
    """Return what the scheduler subtracts from a node for this pod, with one of `pods`.

    Amounts of zero are left out. Raises FieldError for an unreadable quantity.
    """
    total = _container_total(spec)
    total.update(_pod_level(spec.resources, total))
    _add(total, read_amounts("overhead", spec.overhead))
    total["pods"] = 1
    return Resources({name: amount for name, amount in total.items() if amount})


def _container_total(spec: WirePodSpec) -> dict[str, int]:
    total: dict[str, int] = {}
    for container in spec.containers or ():
        _add(total, _asked_by("containers", container))
    sidecars: dict[str, int] = {}
    highest: dict[str, int] = {}
    for container in spec.init_containers or ():
        asked = _asked_by("initContainers", container)
        if is_sidecar(container):
            _add(total, asked)
            _add(sidecars, asked)
            asked = sidecars
        else:
            _add(asked, sidecars)
        _raise(highest, asked)
    _raise(total, highest)
    return total


def is_sidecar(container: WireContainer) -> bool:
    """Tell whether an init container keeps running beside the containers."""
    return container.restart_policy == "Always"


def _asked_by(field: str, container: WireContainer) -> dict[str, int]:
    resources = container.resources
    if resources is None:
        return {}
    field = f"{field}[{container.name}].resources"
    asked = read_amounts(f"{field}.limits", resources.limits)
    asked.update(read_amounts(f"{field}.requests", resources.requests))
    return asked


def _pod_level(resources: WireResources | None, containers: dict[str, int]) -> dict[str, int]:
    """Return the pod-level requests of the resources that may be set there."""
    if resources is None:
        return {}
    result = _supported(read_amounts("resources.limits", resources.limits).items())
    for name in result:
        # Huge pages cannot be overcommitted, so their limit counts whatever the containers ask.
        if name in containers and not name.startswith("hugepages-"):
            result[name] = containers[name]
    result.update(_supported(read_amounts("resources.requests", resources.requests).items()))
    return result


def _supported(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    return {name: amount for name, amount in amounts if name in _POD_LEVEL or name.startswith("hugepages-")}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(total: dict[str, int], other: dict[str, int]) -> None:
    for name, amount in other.items():
        if amount > total.get(name, 0):
            total[name] = amount
