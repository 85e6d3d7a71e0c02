"""Parts of objects: status, scale, binding and eviction.

Eviction keeps a PodDisruptionBudget's arithmetic as the API server does: what
it grants is taken off the status at once, so that two evictions never use one
allowance. Source: kubernetes.io/docs/concepts/scheduling-eviction/api-eviction
"""

from __future__ import annotations

import msgspec

from .objects import Json, condition, is_ready, is_terminating, labels, rows, section, set_condition, text, whole
from .patch import apply_patch
from .resources import BUDGETS, PODS
from .selectors import label_selector
from .status import ApiError, bad_request, conflict, success
from .store import Store, Stored, timestamp
from .writes import Body, Target, Writes

_ENCODE = msgspec.json.Encoder().encode
_MOST_DISRUPTED = 2000


class Subresources:
    """Answers requests for a part of an object. Raises ApiError."""

    def __init__(self, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes

    def answer(self, method: str, target: Target, body: Body) -> tuple[int, bytes]:
        """The HTTP status and the answer."""
        part = target.subresource
        if part == "binding" and target.kind == PODS and method == "POST":
            return 201, self._bind(target, body)
        if part == "eviction" and target.kind == PODS and method == "POST":
            return 201, self._evict(target, body)
        if part not in target.kind.subresources:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if part == "scale":
            return 200, self._scale(method, target, body)
        if method == "GET":
            return 200, self._writes.show(target.kind, self._store.get(target.kind, *target.key), body)
        if method == "PUT":
            return 200, self._writes.show(target.kind, self._writes.replace(target, body, "status"), body)
        if method == "PATCH":
            return 200, self._writes.show(target.kind, self._writes.patch(target, body, "status")[1], body)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _scale(self, method: str, target: Target, body: Body) -> bytes:
        before = self._store.get(target.kind, *target.key)
        shown = _scale_of(before)
        if method in ("PUT", "PATCH"):
            asked = apply_patch(body.content_type, shown, body.value) if method == "PATCH" else body.value
            value = before.copy()
            value.setdefault("spec", {})["replicas"] = whole(asked, "spec", "replicas")
            version = text(asked, "metadata", "resourceVersion") if method == "PUT" else ""
            stored = self._writes.put(target, before, value, version=version, dry_run=body.dry_run)
            shown = _scale_of(stored)
        return _ENCODE(shown)

    def _bind(self, target: Target, body: Body) -> bytes:
        node = text(body.value, "target", "name")
        if not node:
            raise bad_request("Binding has no target.name")
        self._store.get(PODS, *target.key)
        if not body.dry_run:
            bind(self._store, target.key, node)
        return _ENCODE(success(201))

    def _evict(self, target: Target, body: Body) -> bytes:
        pod = self._store.get(PODS, *target.key)
        options = section(body.value, "deleteOptions")
        if body.dry_run or options.get("dryRun"):
            return _ENCODE(success(201))
        self._admit_eviction(pod)
        self._writes.remove(PODS, pod, options)
        return _ENCODE(success(201))

    def _admit_eviction(self, pod: Stored) -> None:
        """Take one disruption off the pod's budget. Raises ApiError when there is none left."""
        value = pod.value
        if is_terminating(value) or text(value, "status", "phase") in ("Succeeded", "Failed", "Pending"):
            return
        budgets = [
            found for found in self._store.items(BUDGETS, pod.key[0])
            if label_selector(section(found.value, "spec").get("selector"))(labels(value))
        ]  # fmt: skip
        if len(budgets) > 1:
            message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiError(500, "InternalError", message)
        if not budgets:
            return
        budget = budgets[0]
        status = section(budget.value, "status")
        if not is_ready(value):
            always = text(budget.value, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow"
            healthy = whole(status, "currentHealthy") >= whole(status, "desiredHealthy") > 0
            if always or healthy:
                return
        self._spend(budget, pod)

    def _spend(self, budget: Stored, pod: Stored) -> None:
        name, status = budget.key[1], section(budget.value, "status")
        if whole(status, "observedGeneration") < whole(budget.value, "metadata", "generation"):
            raise _too_many(f"The disruption budget {name} is still being processed by the server.", 10)
        if len(section(status, "disruptedPods")) > _MOST_DISRUPTED:
            raise ApiError(403, "Forbidden", f"DisruptedPods map too big - too many evictions of {name}")
        if whole(status, "disruptionsAllowed") <= 0:
            raise _too_many(
                f"The disruption budget {name} needs {whole(status, 'desiredHealthy')} healthy pods "
                f"and has {whole(status, 'currentHealthy')} currently"
            )

        def spend(value: Json) -> None:
            value["status"]["disruptionsAllowed"] -= 1
            value["status"].setdefault("disruptedPods", {})[pod.key[1]] = timestamp()

        self._store.change(BUDGETS, budget.key, spend)


def _too_many(why: str, wait: int = 0) -> ApiError:
    details: Json = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if wait:
        details["retryAfterSeconds"] = wait
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", message, details)


def _scale_of(stored: Stored) -> Json:
    meta = section(stored.value, "metadata")
    chosen = section(stored.value, "spec", "selector")
    pairs = section(chosen, "matchLabels") or {key: part for key, part in chosen.items() if isinstance(part, str)}
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {name: meta.get(name) for name in names},
        "spec": {"replicas": whole(stored.value, "spec", "replicas")},
        "status": {
            "replicas": whole(stored.value, "status", "replicas"),
            "selector": ",".join(f"{key}={part}" for key, part in pairs.items()),
        },
    }  # fmt: skip


def bind(store: Store, key: tuple[str, str], node: str) -> Stored:
    """Give a pod its node, once; as in a real cluster the node need not exist. Raises ApiError 404, 409."""
    pod = store.get(PODS, *key)
    assigned = text(pod.value, "spec", "nodeName")
    if assigned:
        raise conflict("pods/binding", key[1], f"pod {key[1]} is already assigned to node {assigned!r}")
    if is_terminating(pod.value):
        raise conflict("pods/binding", key[1], f"pod {key[1]} is being deleted, cannot be assigned to a host")
    if rows(pod.value, "spec", "schedulingGates"):
        raise conflict("pods/binding", key[1], f"pod {key[1]} has non-empty .spec.schedulingGates")
    value = pod.copy()
    value["spec"]["nodeName"] = node
    if condition(value, "PodScheduled").get("status") != "True":
        set_condition(value, {"type": "PodScheduled", "status": "True"}, timestamp())
    return store.update(PODS, key, value)
