"""The query protocol: requests read and answers written by botocore's own models.

Serves the operations that our world answers itself; `Ready` marks XML made
before, so that a large group is not written again for every call. Unknown
members of an answer are an error of the emulator. Shapes come from botocore,
hence what boto3 parses back is exactly what went in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from autoscaler.emulator.aws.model import AwsFault

Flat = Mapping[str, str]


class Ready(str):
    """XML of one list item or structure, written earlier."""

    __slots__ = ()


@cache
def service(name: str) -> Any:
    """botocore's model of "autoscaling" or "ec2"."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def operation(name: str, action: str) -> Any:
    """The operation's model, or None where the service has no such operation."""
    found = service(name)
    return found.operation_model(action) if action in found.operation_names else None


def read(action: str, flat: Flat) -> dict[str, Any]:
    """The parameters of an Auto Scaling call; refuses missing and ill-formed ones as the API does."""
    shape = operation("autoscaling", action).input_shape
    if shape is None:
        return {}
    parameters: dict[str, Any] = _read_structure(shape, flat, "")
    for member in shape.required_members:
        if member not in parameters:
            raise AwsFault("ValidationError", f"1 validation error detected: Value null at '{member}' must not be null")
    return parameters


def write(name: str, action: str, result: Mapping[str, Any]) -> bytes:
    """The answer of an operation, in the dialect of its service."""
    model = operation(name, action)
    namespace = service(name).metadata.get("xmlNamespace") or "http://ec2.amazonaws.com/doc/2016-11-15/"
    shape = model.output_shape
    body = "" if shape is None else _structure(shape, result)
    if name == "ec2":
        inner = f"<requestId>{uuid4()}</requestId>{body}"
    else:
        wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
        inner = f"<{wrapper}>{body}</{wrapper}>" if wrapper else body
        inner += f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata>"
    return f'<{action}Response xmlns="{namespace}">{inner}</{action}Response>'.encode()


def write_fault(name: str, fault: AwsFault) -> tuple[bytes, str]:
    """The error answer and its content type, in the dialect of the service."""
    code, message = escape(fault.code), escape(fault.message)
    if name == "ec2":
        body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        return f"{body}<RequestID>{uuid4()}</RequestID></Response>".encode(), "text/xml"
    if name in ("autoscaling", "sts", "iam"):
        sender = "Sender" if fault.status < 500 else "Receiver"
        body = f"<ErrorResponse><Error><Type>{sender}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return f"{body}<RequestId>{uuid4()}</RequestId></ErrorResponse>".encode(), "text/xml"
    import json

    return json.dumps({"__type": fault.code, "message": fault.message}).encode(), "application/json"


def write_item(shape: Any, value: Mapping[str, Any]) -> Ready:
    """One structure, for later use inside an answer."""
    return Ready(_structure(shape, value))


def _structure(shape: Any, value: Any) -> str:
    if isinstance(value, Ready):
        return value
    parts = []
    members = shape.members
    for key, item in value.items():
        if item is not None:
            member = members[key]
            parts.append(_element(member, member.serialization.get("name", key), item))
    return "".join(parts)


def _element(shape: Any, tag: str, value: Any) -> str:
    return f"<{tag}>{_WRITERS.get(shape.type_name, _scalar)(shape, value)}</{tag}>"


def _list(shape: Any, value: Any) -> str:
    member = shape.member
    tag = member.serialization.get("name", "member")
    return "".join([_element(member, tag, item) for item in value])


def _scalar(shape: Any, value: Any) -> str:  # noqa: ARG001 - one signature for all writers
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return escape(str(value))


_WRITERS: dict[str, Callable[[Any, Any], str]] = {"structure": _structure, "list": _list}


def _read_structure(shape: Any, flat: Flat, prefix: str) -> dict[str, Any]:
    found = {}
    for key, member in shape.members.items():
        value = _read(member, flat, f"{prefix}{member.serialization.get('name', key)}")
        if value is not None:
            found[key] = value
    return found


def _read(shape: Any, flat: Flat, name: str) -> Any:
    if shape.type_name == "structure":
        inside = any(key.startswith(f"{name}.") for key in flat)
        return _read_structure(shape, flat, f"{name}.") if inside else None
    if shape.type_name == "list":
        items: list[Any] = []
        while (item := _read(shape.member, flat, f"{name}.member.{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    text = flat.get(name)
    return None if text is None else _parse(shape.type_name, name, text)


def _parse(kind: str, name: str, text: str) -> Any:
    try:
        return _PARSERS.get(kind, str)(text)
    except ValueError:
        raise AwsFault("ValidationError", f"Value '{text}' at '{name}' is not of type {kind}") from None


def _boolean(text: str) -> bool:
    return text.lower() == "true"


_PARSERS: dict[str, Callable[[str], Any]] = {"integer": int, "long": int, "double": float, "boolean": _boolean}
