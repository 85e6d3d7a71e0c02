"""Which instance types a group launches, and what each brings.

The order is that of the overrides, which is the group's own preference. A
group of which nothing is known has no shape and a fault that says why; it is
never guessed from what happens to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from autoscaler.aws.fields import Document, optional_text, rows, table, text, whole
from autoscaler.aws.known import Known
from autoscaler.aws.nodegroups import architecture_of, nodegroup_key
from autoscaler.aws.tags import LABEL
from autoscaler.aws.templates import TemplateKey
from autoscaler.core.decision import Why
from autoscaler.core.model import GroupFault, InstanceShape, InstanceType

_GIB = 2**30
_ROOTS = ("/dev/xvda", "/dev/sda1")
_DATA = "/dev/xvdb"  # of Bottlerocket, whose root of a few GiB holds no pods
_SMALL_ROOT = 4


class Offer(NamedTuple):
    """One instance type of a group, and its weight where an override gives one."""

    instance_type: str
    weight: int | None


def template_reference(document: Document) -> Document:
    """Return the LaunchTemplateSpecification of a group, in or outside a policy; empty without one."""
    policy = table(table(document, "MixedInstancesPolicy"), "LaunchTemplate")
    return table(policy, "LaunchTemplateSpecification") or table(document, "LaunchTemplate")


def template_of(document: Document, known: Known) -> Document | None:
    """Return LaunchTemplateData or the launch configuration; None when it is not known."""
    if reference := template_reference(document):
        return known.templates.find(reference)
    return known.configurations.get(optional_text(document, "LaunchConfigurationName"))


def offered_types(document: Document, known: Known) -> list[Offer]:
    """Name the types of a group in its own order, each once. Raises FieldError."""
    overrides = rows(table(table(document, "MixedInstancesPolicy"), "LaunchTemplate"), "Overrides")
    found: dict[str, Offer] = {}
    for source in overrides:
        for offer in _offers_of(source, document, known):
            found.setdefault(offer.instance_type, offer)
    if not found:
        template = template_of(document, known)
        for offer in _offers_of(template or {}, document, known):
            found.setdefault(offer.instance_type, offer)
    return list(found.values())


def _offers_of(source: Document, document: Document, known: Known) -> Iterator[Offer]:
    weight = whole(source, "WeightedCapacity", 0) or None
    if name := optional_text(source, "InstanceType"):
        yield Offer(name, weight)
    elif requirements := table(source, "InstanceRequirements"):
        for name in known.types_for(requirements, group_architecture(document, known)):
            yield Offer(name, weight)


def tags_of(document: Document) -> dict[str, str]:
    return {text(tag, "Key"): optional_text(tag, "Value") for tag in rows(document, "Tags")}


def group_architecture(document: Document, known: Known) -> str:
    """Return the architecture that the group's image runs on, as far as it can be told; else amd64."""
    tags = tags_of(document)
    key = nodegroup_key(tags)
    nodegroup = known.nodegroups.get(key) if key else None
    if nodegroup is not None and (found := architecture_of(nodegroup)):
        return found
    if tagged := tags.get(f"{LABEL}kubernetes.io/arch"):
        return tagged
    for instance in rows(document, "Instances"):
        facts = known.catalogue.get(optional_text(instance, "InstanceType"))
        if facts is not None:
            return facts.architecture
    return "amd64"


def read_shapes(document: Document, known: Known) -> tuple[tuple[InstanceShape, ...], tuple[GroupFault, ...]]:
    """Return what a group launches and what is unknown about it. Raises FieldError."""
    offers = offered_types(document, known)
    if not offers:
        return (), (_unknown(_why_no_type(document, known)),)
    unit = optional_text(document, "DesiredCapacityType")
    storage = _ephemeral_storage(document, known)
    shapes, faults = [], []
    for offer in offers:
        facts = known.catalogue.get(offer.instance_type)
        if facts is None:
            faults.append(_unknown(f"instance type {offer.instance_type} is in no catalogue; it is left out"))
            continue
        weight = {"vcpu": facts.vcpus, "memory-mib": facts.memory_mib}.get(unit) or offer.weight or 1
        capacity = facts.capacity.with_amounts(storage) if storage else facts.capacity
        name = InstanceType(facts.name)
        shapes.append(
            InstanceShape(instance_type=name, capacity=capacity, architecture=facts.architecture, weight=weight)
        )
    return tuple(shapes), tuple(faults)


def _unknown(detail: str) -> GroupFault:
    return GroupFault(code=Why.UNKNOWN_SHAPE, detail=detail)


def _why_no_type(document: Document, known: Known) -> str:
    key = TemplateKey.of(template_reference(document))
    if key is not None:
        what = f"launch template {key.id or key.name} version {key.version}"
    elif name := optional_text(document, "LaunchConfigurationName"):
        what = f"launch configuration {name}"
    else:
        return "there is no launch template"
    known_as = template_of(document, known)
    return f"{what} is not known" if known_as is None else f"{what} names no instance type"


def _ephemeral_storage(document: Document, known: Known) -> dict[str, int]:
    """Return the size of the disk that holds the pods, as far as the template tells."""
    template: Document = template_of(document, known) or {}
    sizes: dict[str, Any] = {}
    for mapping in rows(template, "BlockDeviceMappings"):
        size = whole(table(mapping, "Ebs"), "VolumeSize", 0)
        if size:
            sizes[optional_text(mapping, "DeviceName")] = size
    root = next((sizes[name] for name in _ROOTS if name in sizes), 0)
    if len(sizes) == 1:
        root = next(iter(sizes.values()))
    if root <= _SMALL_ROOT and _DATA in sizes:
        root = sizes[_DATA]
    return {"ephemeral-storage": root * _GIB} if root else {}
