"""Unknown fields: what does a pod's constraint say that this version does not know?

The structs of constraints do not take a field that they do not list, as a
promise that ignores it would be a guess. An object that fails for it is read
again here: the field is taken out and named in its pod spec, so that `specs`
refuses that pod alone. Objects that are read at once pay nothing for this.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from autoscaler.kubernetes.wire import WirePodSpec

W = TypeVar("W")
_TOLD = "unknownFields"  # the field of WirePodSpec
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class _Shape(NamedTuple):
    """The fields of a struct that lead to structs; what is no struct has no shape."""

    fields: Mapping[str, _Shape | None]
    is_strict: bool
    is_pod_spec: bool
    has_pod_spec: bool


def decode_object(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[W]) -> W:
    """Decode one object, telling its unknown fields in its pod spec. Raises msgspec.DecodeError."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        if not _may_tell(decoder.type):
            raise
        return _read_again(msgspec.json.decode(body), decoder.type)


def convert_object(document: Any, wire: type[W]) -> W:
    """Do the same for a document that is read already, and stays as it is. Raises msgspec.ValidationError."""
    try:
        return msgspec.convert(document, wire)
    except msgspec.ValidationError:
        if not _may_tell(wire):
            raise
        return _read_again(document, wire)


def _read_again(document: Any, wire: type[W]) -> W:
    key: Any = wire
    return msgspec.convert(_sift(document, _shape_of(key), "", None), wire)


def _sift(value: Any, shape: _Shape | None, path: str, told: list[str] | None) -> Any:
    """Copy a value without the fields that its struct does not take, whose paths are added to `told`.

    Outside of a pod spec nobody could be told (`told` is None): there they stay, and fail the object.
    """
    if shape is None:
        return value
    if isinstance(value, list):
        return [_sift(one, shape, f"{path}[{number}]", told) for number, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if shape.is_pod_spec:
        return _sift_spec(value, shape)
    if value.get("whenUnsatisfiable") == "ScheduleAnyway":
        told = []  # a preference that we cannot read keeps no pod from a node
    kept = {}
    for name, inner in value.items():
        where = f"{path}.{name}" if path else str(name)
        if shape.is_strict and told is not None and name not in shape.fields:
            told.append(where)
        else:
            kept[name] = _sift(inner, shape.fields.get(name), where, [] if name == _PREFERRED else told)
    return kept


def _sift_spec(spec: dict[str, Any], shape: _Shape) -> dict[str, Any]:
    told: list[str] = []
    kept = {name: _sift(inner, shape.fields.get(name), str(name), told) for name, inner in spec.items()}
    if told:
        before = spec.get(_TOLD)
        kept[_TOLD] = sorted({*told, *(before if isinstance(before, list) else ())})
    return kept


def _may_tell(wire: Any) -> bool:
    shape = _shape_of(wire)
    return shape is not None and shape.has_pod_spec


@cache
def _shape_of(wire: Any) -> _Shape | None:
    return _to_shape(inspect.type_info(wire))


def _to_shape(known: inspect.Type) -> _Shape | None:
    """The shape of a struct, of one that may be null, or of the items of a list."""
    if isinstance(known, inspect.UnionType):
        return next((shape for each in known.types if (shape := _to_shape(each)) is not None), None)
    if isinstance(known, inspect.VarTupleType | inspect.ListType):
        return _to_shape(known.item_type)
    if not isinstance(known, inspect.StructType):
        return None
    fields = {each.encode_name: _to_shape(each.type) for each in known.fields}
    is_pod_spec = known.cls is WirePodSpec
    has_pod_spec = is_pod_spec or any(shape.has_pod_spec for shape in fields.values() if shape is not None)
    return _Shape(fields, known.forbid_unknown_fields, is_pod_spec, has_pod_spec)
