"""What is known beside the description of a group itself.

Filled by `groups` from the APIs and by `offline` from files; read by `convert`
and `shapes`. Whatever could not be read is simply not in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from autoscaler.aws.fields import Document
from autoscaler.aws.instance_types import Catalogue
from autoscaler.aws.templates import LaunchTemplates
from autoscaler.core.model import GroupName, InstanceId, Zone


class Bounds(NamedTuple):
    """Sizes that replace those of the group, both ends included."""

    min: int
    max: int


class NodegroupKey(NamedTuple):
    """An EKS managed node group."""

    cluster: str
    name: str


Resolver = Callable[[Mapping[str, Any], str], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts to read groups with.

    `resolve` names the instance types that InstanceRequirements admit for an
    architecture (amd64 | arm64); without it the catalogue answers.
    `reserved_profile` None lets the tags of each group decide.
    """

    catalogue: Catalogue = field(default_factory=Catalogue)
    templates: LaunchTemplates = field(default_factory=LaunchTemplates)
    configurations: Mapping[str, Document] = field(default_factory=dict)  # launch configurations by name
    nodegroups: Mapping[NodegroupKey, Document] = field(default_factory=dict)
    subnet_zones: Mapping[str, Zone] = field(default_factory=dict)
    first_seen: Mapping[InstanceId, datetime] = field(default_factory=dict)
    refreshing: frozenset[GroupName] = frozenset()
    bounds: Mapping[GroupName, Bounds] = field(default_factory=dict)
    reserved_profile: str | None = None
    resolve: Resolver | None = None

    def types_for(self, requirements: Mapping[str, Any], architecture: str) -> tuple[str, ...]:
        return (self.resolve or self.catalogue.matching)(requirements, architecture)
