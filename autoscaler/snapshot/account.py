"""The account's part: groups, and what they refer to, as the AWS command line prints it.

Groups are needed; what they refer to may be denied or gone, which `tell` gets
a line about. User data never leaves, nor anything of an EKS node group that
is not read.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from autoscaler.aws.client import Aws
from autoscaler.aws.discovery import Selection
from autoscaler.aws.facts import chunks
from autoscaler.aws.fields import Document, FieldError, optional_text, rows
from autoscaler.aws.gate import concerns_all
from autoscaler.aws.groups import PAGE
from autoscaler.aws.known import Known, NodegroupKey
from autoscaler.aws.nodegroups import nodegroup_key
from autoscaler.aws.refusals import classify
from autoscaler.aws.shapes import offered_types, tags_of, template_reference
from autoscaler.aws.templates import LaunchTemplates, TemplateKey
from autoscaler.core.decision import RefusalKind
from autoscaler.errors import AwsError
from autoscaler.snapshot.files import SnapshotError

Tell = Callable[[str], None]

T = TypeVar("T")
P = ParamSpec("P")

_PATIENCE = 4  # attempts while AWS throttles; the client spaces them
_NODEGROUP_FIELDS = (
    "clusterName", "nodegroupName", "amiType", "version", "capacityType", "diskSize", "labels", "taints", "tags",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Account:
    """What was read, document by document."""

    groups: list[Document] = field(default_factory=list)
    templates: list[Document] = field(default_factory=list)
    instance_types: list[Document] = field(default_factory=list)
    nodegroups: dict[str, Document] = field(default_factory=dict)  # by the name of a file


class AccountReader:
    """Reads the selected groups."""

    def __init__(self, aws: Aws, tell: Tell) -> None:
        self._aws = aws
        self._tell = tell
        self._denied: set[str] = set()

    async def read(self, selection: Selection, *, static_types: bool) -> Account:
        """Read everything. Raises AwsError, or SnapshotError for a named group that does not exist."""
        account = Account(groups=await self._read_groups(selection))
        account.templates = await self._read_templates(account.groups)
        account.nodegroups = await self._read_nodegroups(account.groups)
        if not static_types:
            account.instance_types = await self._read_types(account)
        return account

    async def _read_groups(self, selection: Selection) -> list[Document]:
        wanted: list[dict[str, Any]] = [{}] if selection.is_empty else []
        wanted += [{"AutoScalingGroupNames": names} for names in chunks(sorted(selection.bounds), PAGE)]
        wanted += [{"Filters": selection.filters}] if selection.tags else []
        found: dict[str, Document] = {}
        for which in wanted:
            for each in await self._pages(
                "autoscaling", "DescribeAutoScalingGroups", "AutoScalingGroups", MaxRecords=PAGE, **which
            ):
                found[str(each.get("AutoScalingGroupName"))] = each
        missing = sorted(selection.bounds.keys() - found.keys())
        if missing:
            raise SnapshotError(f"Auto Scaling group {missing[0]}: --nodes names it, but there is none in the region")
        return [found[name] for name in sorted(found)]

    async def _read_templates(self, groups: list[Document]) -> list[Document]:
        wanted: dict[TemplateKey, set[str]] = {}
        for reference in _readable(groups, template_reference):
            key = TemplateKey.of(reference)
            if key is not None:
                wanted.setdefault(key._replace(version=""), set()).add(key.version)
        found: dict[tuple[object, object], Document] = {}
        for key, versions in sorted(wanted.items()):
            template = {"LaunchTemplateId": key.id} if key.id else {"LaunchTemplateName": key.name}
            for each in await self._ask(
                f"launch template {key.id or key.name}",
                "DescribeLaunchTemplateVersions",
                "LaunchTemplateVersions",
                **template,
                Versions=sorted(versions),
            ):
                found[each.get("LaunchTemplateId"), each.get("VersionNumber")] = _without_user_data(each)
        return list(found.values())

    async def _read_types(self, account: Account) -> list[Document]:
        try:
            templates = LaunchTemplates.read(account.templates)
        except (KeyError, TypeError, ValueError):
            templates = LaunchTemplates()
        known = Known(templates=templates)
        names = {offer.instance_type for offers in _readable(account.groups, offered_types, known) for offer in offers}
        for instances in _readable(account.groups, rows, "Instances"):
            names.update(optional_text(each, "InstanceType") for each in instances)
        found: list[Document] = []
        for chunk in chunks(sorted(names - {""}), 100):
            by_name = [{"Name": "instance-type", "Values": chunk}]  # a filter, as an unknown name fails the whole call
            found += await self._ask("instance types", "DescribeInstanceTypes", "InstanceTypes", Filters=by_name)
        return sorted(found, key=lambda each: str(each.get("InstanceType")))

    async def _read_nodegroups(self, groups: list[Document]) -> dict[str, Document]:
        keys = {key for tags in _readable(groups, tags_of) if (key := nodegroup_key(tags)) is not None}
        found: dict[str, Document] = {}
        for key in sorted(keys):
            if "DescribeNodegroup" in self._denied:
                break
            try:
                answer = await _patiently(self._describe_nodegroup, key)
            except AwsError as error:
                self._leave_out(f"EKS node group {key.cluster}/{key.name}", "DescribeNodegroup", error)
            else:
                kept = {name: answer[name] for name in _NODEGROUP_FIELDS if answer.get(name) is not None}
                cluster, name = (re.sub(r"[^-\w]", "_", part) for part in key)
                found[f"{cluster}.{name}.json"] = {"nodegroup": kept}
        return found

    async def _describe_nodegroup(self, key: NodegroupKey) -> Document:
        answer = await self._aws.call("eks", "DescribeNodegroup", clusterName=key.cluster, nodegroupName=key.name)
        found: Document = answer["nodegroup"]
        return found

    async def _ask(self, what: str, operation: str, key: str, **parameters: Any) -> list[dict[str, Any]]:
        """Read from EC2 what there may be none of, or no permission for."""
        if operation in self._denied:
            return []
        try:
            return await self._pages("ec2", operation, key, **parameters)
        except AwsError as error:
            self._leave_out(what, operation, error)
            return []

    async def _pages(self, service: str, operation: str, key: str, **parameters: Any) -> list[dict[str, Any]]:
        return await _patiently(self._aws.pages, service, operation, key, **parameters)

    def _leave_out(self, what: str, operation: str, error: AwsError) -> None:
        if concerns_all(error):
            self._denied.add(operation)
        self._tell(f"{what}: left out: {error} ({error.code})")


async def _patiently(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask again while AWS throttles. Raises AwsError."""
    attempt = 1
    while True:
        try:
            return await call(*args, **kwargs)
        except AwsError as error:
            if attempt == _PATIENCE or classify(error.code, str(error)) is not RefusalKind.THROTTLED:
                raise
        attempt += 1


def _readable(
    documents: Iterable[Document], read: Callable[Concatenate[Document, P], T], *args: P.args, **kwargs: P.kwargs
) -> Iterator[T]:
    """Read each document; one that cannot be read is `simulate`'s to report."""
    for document in documents:
        try:
            found = read(document, *args, **kwargs)
        except FieldError:
            continue
        yield found


def _without_user_data(version: Document) -> Document:
    data = version.get("LaunchTemplateData")
    if not isinstance(data, dict):
        return version
    return {**version, "LaunchTemplateData": {name: value for name, value in data.items() if name != "UserData"}}
