"""What groups refer to, fetched and kept: templates, types, node groups, subnets.

Every read here may be denied: then it is not asked again for an hour, with one
log line, and the fact stays unknown. Any other failure keeps what was known
and is tried again with the next refresh. Nothing here ever fails a refresh.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import anyio
import structlog

from autoscaler.aws.answers import is_unserved
from autoscaler.aws.client import Aws
from autoscaler.aws.fields import Document
from autoscaler.aws.instance_types import Catalogue, InstanceTypeFacts
from autoscaler.aws.known import NodegroupKey
from autoscaler.aws.refusals import classify
from autoscaler.aws.templates import DEFAULT, LATEST, LaunchTemplates, TemplateKey
from autoscaler.core.decision import RefusalKind
from autoscaler.core.model import Zone
from autoscaler.errors import AwsError

log = structlog.get_logger()

HOUR = 3600.0
NODEGROUP_LIFE = 360.0
REQUIREMENTS_LIFE = 1200.0
_PARALLEL = 4
_GONE = ("NotFoundException", ".NotFound", ".VersionNotFound", "NotFound")
_EC2_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}

Thing = TypeVar("Thing")


def chunks(things: Iterable[Thing], size: int) -> Iterator[list[Thing]]:
    left = iter(things)
    while chunk := list(islice(left, size)):
        yield chunk


@dataclass(slots=True)
class Facts:
    """The kept facts; `refresh_…` methods fill what is missing or stale."""

    aws: Aws
    static_types: bool = False  # --aws-use-static-instance-list
    templates: LaunchTemplates = field(default_factory=LaunchTemplates)
    configurations: dict[str, Document] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=Catalogue)
    nodegroups: dict[NodegroupKey, Document] = field(default_factory=dict)
    subnet_zones: dict[str, Zone] = field(default_factory=dict)
    _numbered: set[TemplateKey] = field(default_factory=set)
    _described: set[str] = field(default_factory=set)
    _nodegroup_read: dict[NodegroupKey, float] = field(default_factory=dict)
    _requirements: dict[str, tuple[float, tuple[str, ...]]] = field(default_factory=dict)
    _wanted: dict[str, tuple[Mapping[str, Any], str]] = field(default_factory=dict)
    _guessed: dict[str, tuple[Catalogue, tuple[str, ...]]] = field(default_factory=dict)
    _closed: dict[str, float] = field(default_factory=dict)
    _failed_now: set[str] = field(default_factory=set)

    async def ask(self, service: str, operation: str, key: str, **parameters: Any) -> list[Any] | None:
        """Gather a list over all pages; None when that is not possible now."""
        if self._is_closed(operation):
            return None
        try:
            return await self.aws.pages(service, operation, key, **parameters)
        except AwsError as error:
            self._failed(operation, error)
            return None

    async def ask_once(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        """Make one call; None when that is not possible now."""
        if self._is_closed(operation):
            return None
        try:
            return await self.aws.call(service, operation, **parameters)
        except AwsError as error:
            self._failed(operation, error)
            return None

    def begin_round(self) -> None:
        """Try again what failed in the last refresh."""
        self._failed_now.clear()

    def _is_closed(self, operation: str) -> bool:
        return operation in self._failed_now or anyio.current_time() < self._closed.get(operation, 0.0)

    def _failed(self, operation: str, error: AwsError) -> None:
        """Remember a denial, or an endpoint that does not know the operation."""
        if not error.code.endswith(_GONE):  # which concerns one object, not the operation
            self._failed_now.add(operation)
        absent = is_unserved(error) and not error.code.endswith(_GONE)
        if absent or error.status in (401, 403) or classify(error.code) is RefusalKind.NO_LAUNCH_API:
            self._closed[operation] = anyio.current_time() + HOUR
        log.warning("aws.read_failed", operation=operation, code=error.code, error=str(error))

    async def refresh_templates(self, keys: Iterable[TemplateKey]) -> None:
        """Read versions: numbered ones once, `$Latest` and `$Default` each time."""
        wanted: dict[TemplateKey, list[TemplateKey]] = {}
        for key in sorted(set(keys)):
            if key not in self._numbered:
                wanted.setdefault(key._replace(version=""), []).append(key)
        limiter = anyio.CapacityLimiter(_PARALLEL)
        async with anyio.create_task_group() as tasks:
            for versions in wanted.values():
                tasks.start_soon(self._read_template, versions, limiter)

    async def _read_template(self, keys: Sequence[TemplateKey], limiter: anyio.CapacityLimiter) -> None:
        name = {"LaunchTemplateId": keys[0].id} if keys[0].id else {"LaunchTemplateName": keys[0].name}
        versions = [key.version for key in keys]
        async with limiter:
            found = await self.ask(
                "ec2", "DescribeLaunchTemplateVersions", "LaunchTemplateVersions", **name, Versions=versions
            )
        if found is None:
            return
        try:
            read = LaunchTemplates.read(found)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("aws.template_malformed", template=keys[0].id or keys[0].name, error=str(error))
            return
        for key in keys:
            data = read.find({**name, "Version": key.version})
            if data is not None:
                self.templates = self.templates.with_version(key, data)
                if key.version not in (LATEST, DEFAULT):
                    self._numbered.add(key)

    async def refresh_configurations(self, names: Iterable[str]) -> None:
        """Read launch configurations, which never change."""
        for chunk in chunks(sorted(set(names) - self.configurations.keys()), 50):
            found = await self.ask(
                "autoscaling", "DescribeLaunchConfigurations", "LaunchConfigurations", LaunchConfigurationNames=chunk
            )
            for each in found or ():
                self.configurations[str(each.get("LaunchConfigurationName"))] = each

    async def refresh_types(self, names: Iterable[str]) -> None:
        """Describe types once: all in use, or none with the static list."""
        if self.static_types:
            return
        for chunk in chunks(sorted(set(names) - self._described), 100):
            by_name = [{"Name": "instance-type", "Values": chunk}]  # a filter, as an unknown name fails the whole call
            found = await self.ask("ec2", "DescribeInstanceTypes", "InstanceTypes", Filters=by_name)
            if found is None:
                return
            self._described.update(chunk)
            self.catalogue = self.catalogue.with_types(_read_types(found))

    async def refresh_nodegroups(self, keys: Iterable[NodegroupKey]) -> None:
        """Describe EKS node groups; the answer, or its absence, is kept for six minutes."""
        now = anyio.current_time()
        for key in sorted(set(keys)):
            if now - self._nodegroup_read.get(key, -HOUR) < NODEGROUP_LIFE:
                continue
            self._nodegroup_read[key] = now
            answer = await self.ask_once("eks", "DescribeNodegroup", clusterName=key.cluster, nodegroupName=key.name)
            if answer is not None:
                self.nodegroups[key] = answer.get("nodegroup") or {}

    async def refresh_subnets(self, names: Iterable[str]) -> None:
        """Learn the zones of subnets, which never change."""
        for chunk in chunks(sorted(set(names) - self.subnet_zones.keys()), 100):
            by_name = [{"Name": "subnet-id", "Values": chunk}]
            for subnet in await self.ask("ec2", "DescribeSubnets", "Subnets", Filters=by_name) or ():
                self.subnet_zones[str(subnet.get("SubnetId"))] = Zone(str(subnet.get("AvailabilityZone")))

    def resolve(self, requirements: Mapping[str, Any], architecture: str) -> tuple[str, ...]:
        """Name the types that EC2 admits; until it was asked, those of the catalogue, and the question is noted."""
        key = json.dumps([architecture, requirements], sort_keys=True, default=str)
        kept = self._requirements.get(key)
        if kept is None or anyio.current_time() - kept[0] > REQUIREMENTS_LIFE:
            self._wanted[key] = (requirements, architecture)
        if kept is not None:
            return kept[1]
        guess = self._guessed.get(key)
        if guess is None or guess[0] is not self.catalogue:  # 13 ms, for each such group at each refresh
            guess = self._guessed[key] = (self.catalogue, self.catalogue.matching(requirements, architecture))
        return guess[1]

    async def refresh_requirements(self) -> bool:
        """Ask what `resolve` noted; True when an answer changed."""
        wanted, self._wanted = self._wanted, {}
        changed = False
        for key, (requirements, architecture) in sorted(wanted.items()):
            found = await self.ask(
                "ec2",
                "GetInstanceTypesFromInstanceRequirements",
                "InstanceTypes",
                ArchitectureTypes=[_EC2_ARCHITECTURES.get(architecture, architecture)],
                VirtualizationTypes=["hvm"],
                InstanceRequirements=requirements,
            )
            if found is not None:
                types = tuple(sorted(str(each.get("InstanceType")) for each in found))
                changed = changed or self._requirements.get(key, (0.0, ()))[1] != types
                self._requirements[key] = (anyio.current_time(), types)
        return changed


def _read_types(documents: Iterable[Document]) -> Iterator[InstanceTypeFacts]:
    for document in documents:
        try:
            facts = InstanceTypeFacts.read(document)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("aws.instance_type_malformed", instance_type=document.get("InstanceType"), error=str(error))
            continue
        if facts is not None:
            yield facts
