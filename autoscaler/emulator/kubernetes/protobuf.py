"""Bodies in the API's protobuf encoding, for the few kinds that kubectl's typed clients write.

Only reading, and only the fields named here; others are skipped. Answers are
JSON, which such clients accept as well. Source: field numbers of the
generated.proto files that Kubernetes publishes with its API types.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .objects import Json
from .status import bad_request

MAGIC = b"k8s\x00"

# message: fields as "number:name:type"; "*" repeats, "{}" is a map with string keys; a capital is a message
_SCHEMAS = {
    "Unknown": "1:typeMeta:TypeMeta 2:raw:bytes",
    "TypeMeta": "1:apiVersion:s 2:kind:s",
    "ObjectMeta": "1:name:s 2:generateName:s 3:namespace:s 5:uid:s 6:resourceVersion:s 11:labels:{}s "
    "12:annotations:{}s 13:ownerReferences:*OwnerReference 14:finalizers:*s",
    "OwnerReference": "1:kind:s 3:name:s 4:uid:s 5:apiVersion:s 6:controller:b 7:blockOwnerDeletion:b",
    "DeleteOptions": "1:gracePeriodSeconds:i 2:preconditions:Preconditions 3:orphanDependents:b 4:propagationPolicy:s "
    "5:dryRun:*s",
    "Preconditions": "1:uid:s 2:resourceVersion:s",
    "Eviction": "1:metadata:ObjectMeta 2:deleteOptions:DeleteOptions",
    "Namespace": "1:metadata:ObjectMeta",
    "ConfigMap": "1:metadata:ObjectMeta 2:data:{}s",
    "ServiceAccount": "1:metadata:ObjectMeta",
    "PriorityClass": "1:metadata:ObjectMeta 2:value:i 3:globalDefault:b 4:description:s 5:preemptionPolicy:s",
    "PodDisruptionBudget": "1:metadata:ObjectMeta 2:spec:PodDisruptionBudgetSpec",
    "PodDisruptionBudgetSpec": "1:minAvailable:IntOrString 2:selector:LabelSelector 3:maxUnavailable:IntOrString "
    "4:unhealthyPodEvictionPolicy:s",
    "IntOrString": "1:type:i 2:intVal:i 3:strVal:s",
    "LabelSelector": "1:matchLabels:{}s 2:matchExpressions:*LabelSelectorRequirement",
    "LabelSelectorRequirement": "1:key:s 2:operator:s 3:values:*s",
    "Deployment": "1:metadata:ObjectMeta 2:spec:DeploymentSpec",
    "DeploymentSpec": "1:replicas:i 2:selector:LabelSelector 3:template:PodTemplateSpec 7:paused:b",
    "Job": "1:metadata:ObjectMeta 2:spec:JobSpec",
    "JobSpec": "1:parallelism:i 2:completions:i 4:selector:LabelSelector 6:template:PodTemplateSpec 7:backoffLimit:i",
    "Pod": "1:metadata:ObjectMeta 2:spec:PodSpec",
    "PodTemplateSpec": "1:metadata:ObjectMeta 2:spec:PodSpec",
    "PodSpec": "2:containers:*Container 3:restartPolicy:s 4:terminationGracePeriodSeconds:i 6:dnsPolicy:s "
    "7:nodeSelector:{}s 8:serviceAccountName:s 10:nodeName:s 19:schedulerName:s 22:tolerations:*Toleration "
    "24:priorityClassName:s 25:priority:i",
    "Container": "1:name:s 2:image:s 3:command:*s 4:args:*s 6:ports:*ContainerPort 7:env:*EnvVar "
    "8:resources:ResourceRequirements 14:imagePullPolicy:s",
    "ContainerPort": "1:name:s 2:hostPort:i 3:containerPort:i 4:protocol:s",
    "EnvVar": "1:name:s 2:value:s",
    "ResourceRequirements": "1:limits:{}Quantity 2:requests:{}Quantity",
    "Quantity": "1:string:s",
    "Toleration": "1:key:s 2:operator:s 3:value:s 4:effect:s 5:tolerationSeconds:i",
    "Scale": "1:metadata:ObjectMeta 2:spec:ScaleSpec",
    "ScaleSpec": "1:replicas:i",
}


def _fields(schema: str) -> dict[int, tuple[str, str]]:
    parts = (word.split(":") for word in schema.split())
    return {int(number): (name, form) for number, name, form in parts}


_MESSAGES = {name: _fields(schema) for name, schema in _SCHEMAS.items()}


def decode(body: bytes) -> Json:
    """An object from its protobuf envelope. Raises ApiError 400 for a kind that is not known here."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is no Kubernetes protobuf")
    try:
        envelope = _message("Unknown", body[len(MAGIC) :])
        meta = envelope.get("typeMeta", {})
        kind = meta.get("kind", "")
        if kind not in _MESSAGES:
            raise bad_request(f"the emulator reads no protobuf of kind {kind!r}; send JSON")
        made: Json = {**meta, **_message(kind, envelope.get("raw", b""))}
    except (IndexError, UnicodeDecodeError) as fault:
        raise bad_request(f"the protobuf is cut short or garbled: {fault}") from fault
    return made


def _message(name: str, data: bytes) -> Json:
    made: Json = {}
    for number, value in _wire(data):
        field, form = _MESSAGES[name].get(number, ("", ""))
        if not field:
            continue
        if form.startswith("*"):
            made.setdefault(field, []).append(_value(form[1:], value))
        elif form.startswith("{}"):
            entry = dict(_wire(value))
            made.setdefault(field, {})[entry.get(1, b"").decode()] = _value(form[2:], entry.get(2, b""))
        else:
            made[field] = _value(form, value)
    return _without_empty_texts(name, made)


def _without_empty_texts(name: str, made: Json) -> Json:
    """Go writes empty texts where JSON leaves them out."""
    return made if name == "EnvVar" else {field: value for field, value in made.items() if value != ""}


def _value(form: str, raw: Any) -> Any:
    if form == "s":
        return raw.decode()
    if form == "b":
        return bool(raw)
    if form == "i":
        return raw - 2**64 if raw >= 2**63 else raw
    if form == "bytes":
        return raw
    inner = _message(form, raw)
    if form == "Quantity":
        return inner.get("string", "0")
    if form == "IntOrString":
        return inner.get("strVal", "") if inner.get("type") else inner.get("intVal", 0)
    return inner


def _wire(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers with their raw values: integers, or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield tag >> 3, number
            continue
        size, at = _varint(data, at) if kind == 2 else (8 if kind == 1 else 4, at)
        if at + size > len(data):
            raise IndexError("a field ends beyond the body")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
