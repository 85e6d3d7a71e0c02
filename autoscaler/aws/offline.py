"""Groups from files, as the AWS command line prints them.

For `simulate`: the documents are parsed already, each comes with the name of
its source. Nothing is skipped: whatever cannot be read is an InputError that
names the source, the object and the fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from autoscaler.aws.convert import to_groups
from autoscaler.aws.discovery import Selection
from autoscaler.aws.fields import Document, FieldError, rows, table
from autoscaler.aws.instance_types import Catalogue, InstanceTypeFacts
from autoscaler.aws.known import Known
from autoscaler.aws.nodegroups import index_nodegroups
from autoscaler.aws.templates import LaunchTemplates
from autoscaler.core.model import NodeGroup
from autoscaler.errors import AutoscalerError


class InputError(AutoscalerError):
    """A file that cannot be used: `source: object: fault`."""


class Input(NamedTuple):
    """One parsed document and where it came from."""

    source: str
    document: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What `aws … describe-…` printed, by kind."""

    asgs: tuple[Input, ...]
    launch_templates: tuple[Input, ...] = ()
    instance_types: tuple[Input, ...] = ()
    nodegroups: tuple[Input, ...] = ()


def read_groups(files: Files, selection: Selection, reserved_profile: str | None = None) -> tuple[NodeGroup, ...]:
    """Return the selected groups, sorted by name. Raises InputError."""
    known = Known(
        catalogue=_catalogue(files.instance_types),
        templates=_templates(files.launch_templates),
        nodegroups=dict(_nodegroups(files.nodegroups)),
        bounds=selection.bounds,
        reserved_profile=reserved_profile,
    )
    documents: list[Document] = []
    sources: list[str] = []
    for source, document in _entries(files.asgs, "AutoScalingGroups"):
        try:
            admitted = selection.admits(document)
        except FieldError:
            admitted = True  # reported below, by name
        if admitted:
            documents.append(document)
            sources.append(source)
    groups, faults = to_groups(documents, known)
    if faults:
        raise InputError(f"{sources[faults[0].position]}: {faults[0]}")
    missing = selection.bounds.keys() - {group.name for group in groups}
    if missing:
        where = ", ".join(source for source, _ in files.asgs)
        raise InputError(f"{where}: Auto Scaling group {min(missing)}: --nodes names it, but it is not described")
    return groups


def _entries(inputs: Iterable[Input], key: str) -> Iterator[tuple[str, Document]]:
    """Yield the objects in the list `key` of every document. Raises InputError."""
    for source, document in inputs:
        if not isinstance(document, dict) or key not in document:
            raise InputError(f"{source}: expected an object with the list {key}")
        try:
            for entry in rows(document, key):
                yield source, entry
        except FieldError as error:
            raise InputError(f"{source}: {error}") from None


def _catalogue(inputs: Iterable[Input]) -> Catalogue:
    found = []
    for source, document in _entries(inputs, "InstanceTypes"):
        try:
            found.append(InstanceTypeFacts.read(document))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            name = document.get("InstanceType", "without a name")
            raise InputError(f"{source}: instance type {name}: {_words(error)}") from None
    return Catalogue().with_types(each for each in found if each is not None)


def _templates(inputs: Iterable[Input]) -> LaunchTemplates:
    versions = []
    for source, document in _entries(inputs, "LaunchTemplateVersions"):
        try:
            LaunchTemplates.read([document])
        except (KeyError, TypeError, ValueError) as error:
            name = document.get("LaunchTemplateId") or document.get("LaunchTemplateName") or "without a name"
            raise InputError(f"{source}: launch template {name}: {_words(error)}") from None
        versions.append(document)
    return LaunchTemplates.read(versions)


def _nodegroups(inputs: Iterable[Input]) -> Iterator[tuple[Any, Document]]:
    for source, document in inputs:
        if not isinstance(document, dict) or not document.get("nodegroup"):
            raise InputError(f"{source}: expected an object with the object nodegroup")
        try:
            found = table(document, "nodegroup")
            yield from index_nodegroups([found]).items()
        except FieldError as error:
            raise InputError(f"{source}: {error}") from None


def _words(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
