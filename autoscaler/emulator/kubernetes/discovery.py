"""What kubectl asks first: versions, groups, resources, and a minimal OpenAPI."""

from __future__ import annotations

from .objects import Json
from .resources import KINDS, Kind
from .status import ApiError

VERSION: Json = {
    "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
}  # fmt: skip
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_POD_PARTS = {"binding": ("", "Binding"), "eviction": ("policy/v1", "Eviction")}


def answer(path: str) -> Json:
    """The document at a discovery path. Raises ApiError 404."""
    groups = {kind.group: kind.version for kind in KINDS if kind.group}
    parts = path.strip("/").split("/")
    if path == "/version":
        return VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/api/v1":
        return _resources("", "v1")
    if path == "/apis":
        listed = [_group(name, version) for name, version in groups.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups[parts[1]])}
    if parts[0] == "apis" and len(parts) == 3 and groups.get(parts[1]) == parts[2]:
        return _resources(parts[1], parts[2])
    if path == "/openapi/v3":
        return {"paths": {}}
    if path == "/openapi/v2":
        return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.0"}, "paths": {}, "definitions": {}}
    raise ApiError(404, "NotFound", "the server could not find the requested resource")


def _group(name: str, version: str) -> Json:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resources(group: str, version: str) -> Json:
    listed: list[Json] = []
    for kind in KINDS:
        if (kind.group, kind.version) == (group, version):
            listed += _rows(kind)
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed}


def _rows(kind: Kind) -> list[Json]:
    base: Json = {
        "name": kind.plural, "singularName": kind.kind.lower(), "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": _VERBS, "shortNames": list(kind.short), "categories": list(kind.categories),
    }  # fmt: skip
    made = [base]
    for part in kind.subresources:
        row = {**base, "name": f"{kind.plural}/{part}", "verbs": ["get", "patch", "update"]}
        del row["shortNames"], row["categories"]
        if part == "scale":
            row |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        made.append(row)
    if kind.plural == "pods":
        for part, (api_version, name) in _POD_PARTS.items():
            group, _, version = api_version.rpartition("/")
            row = {"name": f"pods/{part}", "singularName": "", "namespaced": True, "kind": name, "verbs": ["create"]}
            made.append(row | ({"group": group, "version": version} if group else {}))
    return made
