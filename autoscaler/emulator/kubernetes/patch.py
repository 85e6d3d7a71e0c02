"""The patch formats of the API: JSON patch, merge patch, strategic merge patch.

Each takes an own copy of an object and the decoded patch, and gives the new
object. Strategic merging knows the lists that pods, nodes and workloads have;
any other list is replaced. Sources: RFC 6902, RFC 7386,
kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch
"""

from __future__ import annotations

from typing import Any

from .objects import Json
from .status import ApiError, bad_request

# taints and tolerations have no merge key in the API: such lists are replaced
MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "env": "name", "volumes": "name",
    "volumeMounts": "mountPath", "volumeDevices": "devicePath", "imagePullSecrets": "name", "hostAliases": "ip",
    "conditions": "type", "addresses": "type", "ownerReferences": "uid", "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey", "secrets": "name",
}  # fmt: skip
_PRIMITIVE = {"finalizers"}  # lists of texts that are united


def apply_patch(content_type: str, value: Json, patch: Any) -> Json:
    """Apply a patch of the named type. Raises ApiError 400, 415 or 422."""
    base = content_type.partition(";")[0].strip()
    if base == "application/json-patch+json":
        return json_patch(value, patch)
    if not isinstance(patch, dict):
        raise bad_request("the patch is no object")
    if base == "application/merge-patch+json":
        merged = merge(value, patch)
        return merged if isinstance(merged, dict) else {}
    if base in ("application/strategic-merge-patch+json", "application/apply-patch+yaml"):
        return strategic(value, patch)
    raise ApiError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {base}")


def merge(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), part)
    return merged


def strategic(value: Json, patch: Json) -> Json:
    """Merge maps by key and known lists by their merge key, with the `$` directives."""
    if patch.get("$patch") == "replace":
        return {name: part for name, part in patch.items() if name != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    merged = dict(value)
    for name, part in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.removeprefix("$deleteFromPrimitiveList/")
            merged[field] = [one for one in merged.get(field) or [] if one not in part]
        elif name.startswith("$"):
            continue
        elif part is None:
            merged.pop(name, None)
        elif isinstance(part, dict):
            before = merged.get(name)
            merged[name] = strategic(before if isinstance(before, dict) else {}, part)
        elif isinstance(part, list):
            merged[name] = _strategic_list(name, merged.get(name), part)
        else:
            merged[name] = part
    return merged


def _strategic_list(name: str, before: Any, patch: list[Any]) -> list[Any]:
    present = before if isinstance(before, list) else []
    if name in _PRIMITIVE:
        return present + [one for one in patch if one not in present]
    key = _merge_key(name, patch, present)
    replaces = any(isinstance(row, dict) and row.get("$patch") == "replace" for row in patch)
    if key is None or replaces:
        return [row for row in patch if not (isinstance(row, dict) and "$patch" in row)]
    merged = {row.get(key): row for row in present}
    for row in patch:
        if row.get("$patch") == "delete":
            merged.pop(row.get(key), None)
        else:
            merged[row.get(key)] = strategic(merged.get(row.get(key), {}), row)
    return list(merged.values())


def _merge_key(name: str, patch: list[Any], present: list[Any]) -> str | None:
    everyone = [*patch, *present]
    if name == "ports":
        dicts = [row for row in everyone if isinstance(row, dict)]
        key = "containerPort" if any("containerPort" in row for row in dicts) else "port"
    elif name in MERGE_KEYS:
        key = MERGE_KEYS[name]
    else:
        return None
    return key if all(isinstance(row, dict) for row in everyone) else None


def json_patch(value: Json, operations: Any) -> Json:
    """RFC 6902, on an own copy."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    root: Json = {"": value}
    for operation in operations:
        try:
            _operate(root, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as fault:
            message = f"the server rejected our request due to an error in our request: {operation!r}: {fault!r}"
            raise ApiError(422, "Invalid", message) from fault
    result = root[""]
    return result if isinstance(result, dict) else {}


def _operate(root: Json, operation: Json) -> None:
    verb, path = operation["op"], _pointer(operation["path"])
    if verb == "test":
        if _read(root, path) != operation.get("value"):
            raise ValueError("testing path failed")
    elif verb == "remove":
        _remove(root, path)
    elif verb == "replace":
        _read(root, path)
        _remove(root, path)
        _add(root, path, operation["value"])
    elif verb == "add":
        _add(root, path, operation["value"])
    elif verb in ("move", "copy"):
        source = _pointer(operation["from"])
        found = _read(root, source)
        if verb == "move":
            _remove(root, source)
        _add(root, path, found)
    else:
        raise ValueError(f"unknown operation {verb!r}")


def _pointer(path: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]


def _read(at: Any, path: list[str]) -> Any:
    for step in path:
        at = at[int(step)] if isinstance(at, list) else at[step]
    return at


def _remove(root: Json, path: list[str]) -> None:
    parent = _read(root, path[:-1])
    if isinstance(parent, list):
        del parent[int(path[-1])]
    else:
        del parent[path[-1]]


def _add(root: Json, path: list[str], value: Any) -> None:
    parent = _read(root, path[:-1])
    if not isinstance(parent, list):
        parent[path[-1]] = value
    elif path[-1] == "-":
        parent.append(value)
    else:
        if int(path[-1]) > len(parent):
            raise IndexError(path[-1])
        parent.insert(int(path[-1]), value)
