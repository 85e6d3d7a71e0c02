"""The Auto Scaling groups as last seen.

A refresh that fails raises and leaves the last good groups, whose age is
known; what groups refer to comes from `facts` and never fails one. Answers are
ordered by when they were asked, so that an old one never covers a newer. How
often to refresh is the loop's question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import anyio
import structlog

from autoscaler import clock
from autoscaler.aws.client import Aws
from autoscaler.aws.convert import to_groups
from autoscaler.aws.discovery import Selection
from autoscaler.aws.facts import Facts, chunks
from autoscaler.aws.fields import Document, FieldError, optional_text, rows
from autoscaler.aws.known import Known
from autoscaler.aws.nodegroups import nodegroup_key
from autoscaler.aws.shapes import offered_types, tags_of, template_reference
from autoscaler.aws.templates import TemplateKey
from autoscaler.core.model import GroupName, InstanceId, NodeGroup

log = structlog.get_logger()
Thing = TypeVar("Thing")

PAGE = 10  # groups in one answer: parsing a larger one takes too long
_REFRESHES_ASKED = 20  # groups per refresh
_RUNNING = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")


class GroupSource:
    """Reads the selected groups. `groups`, `refreshed_at` and `malformed` tell the last good state."""

    def __init__(
        self, aws: Aws, selection: Selection, *, reserved_profile: str | None = None, static_types: bool = False
    ) -> None:
        self._aws = aws
        self._selection = selection
        self._profile = reserved_profile
        self._facts = Facts(aws, static_types=static_types)
        self._documents: dict[str, tuple[float, Document]] = {}
        self._first_seen: dict[InstanceId, datetime] = {}
        self._refreshing: dict[GroupName, tuple[float, bool]] = {}
        self._told: set[str] = set()
        self.groups: tuple[NodeGroup, ...] = ()
        self.refreshed_at: datetime | None = None  # of the last whole refresh
        self.malformed = 0

    @property
    def first_seen(self) -> Mapping[InstanceId, datetime]:
        """When each present instance was launched, or first seen: to be persisted."""
        return dict(self._first_seen)

    def remember(self, first_seen: Mapping[InstanceId, datetime]) -> None:
        """Take over what a predecessor persisted; an earlier moment counts."""
        for ident, moment in first_seen.items():
            self._first_seen[ident] = min(moment, self._first_seen.get(ident, moment))

    async def refresh(self, names: Collection[GroupName] | None = None) -> tuple[NodeGroup, ...]:
        """Read all selected groups again, or only those named, and return all.

        Raises AwsError when the groups could not be read; `groups` then keeps its value.
        """
        began = anyio.current_time()
        if names is None:
            found = await self._discover()
            gone = self._documents.keys() - found.keys()
        else:
            found = await self._describe(names)
            gone = {str(name) for name in names} - found.keys()
        for name in gone:
            if name in self._documents and self._documents[name][0] <= began:
                del self._documents[name]
        for name, (asked, document) in found.items():
            if name not in self._documents or self._documents[name][0] <= asked:
                self._documents[name] = (asked, document)
        await self._learn(whole=names is None)
        if names is None:
            self.refreshed_at = clock.now()
        return self.groups

    async def _discover(self) -> dict[str, tuple[float, Document]]:
        found = await self._describe(self._selection.bounds) if self._selection.bounds else {}
        if self._selection.tags:
            found |= await self._pages(Filters=self._selection.filters)
        return found

    async def _describe(self, names: Iterable[str]) -> dict[str, tuple[float, Document]]:
        found: dict[str, tuple[float, Document]] = {}
        for chunk in chunks(sorted(set(names)), PAGE):
            found |= await self._pages(AutoScalingGroupNames=chunk)
        return found

    async def _pages(self, **wanted: Any) -> dict[str, tuple[float, Document]]:
        found: dict[str, tuple[float, Document]] = {}
        token: dict[str, str] = {}
        while True:
            asked = anyio.current_time()
            answer = await self._aws.call(
                "autoscaling", "DescribeAutoScalingGroups", MaxRecords=PAGE, **wanted, **token
            )
            for document in answer.get("AutoScalingGroups", ()):
                found[str(document.get("AutoScalingGroupName"))] = (asked, document)
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    async def _learn(self, *, whole: bool) -> None:
        """Fetch what the groups refer to, then read them."""
        documents = [document for _, document in self._documents.values()]
        facts = self._facts
        if whole:
            facts.begin_round()
            await facts.refresh_templates(_each(documents, lambda one: TemplateKey.of(template_reference(one))))
            await facts.refresh_configurations(_each(documents, lambda one: one.get("LaunchConfigurationName")))
            await facts.refresh_nodegroups(_each(documents, lambda one: nodegroup_key(tags_of(one))))
            await facts.refresh_subnets(_subnets_of(documents))
            await self._learn_types(documents)
            if await facts.refresh_requirements():
                await self._learn_types(documents)
            await self._learn_refreshes(documents)
        self._show()

    def _show(self) -> None:
        """Read the documents as they are by now: another refresh may have brought newer ones while this one waited."""
        documents = [document for _, document in self._documents.values()]
        self._see(documents)
        self._read(documents)

    async def _learn_types(self, documents: Iterable[Document]) -> None:
        known = self._known()
        wanted: set[str] = set()
        for offers in _each(documents, lambda one: offered_types(one, known)):
            wanted.update(offer.instance_type for offer in offers)
        for instances in _each(documents, lambda one: rows(one, "Instances")):
            wanted.update(optional_text(each, "InstanceType") for each in instances)
        await self._facts.refresh_types(wanted - {""})

    async def _learn_refreshes(self, documents: Iterable[Document]) -> None:
        """Ask which groups are in an instance refresh: those with instances, the longest unasked first."""
        names = [GroupName(str(each["AutoScalingGroupName"])) for each in documents if each.get("Instances")]
        self._refreshing = {name: self._refreshing[name] for name in names if name in self._refreshing}
        names.sort(key=lambda name: (self._refreshing.get(name, (0.0, False))[0], name))
        for name in names[:_REFRESHES_ASKED]:
            answer = await self._facts.ask_once(
                "autoscaling", "DescribeInstanceRefreshes", AutoScalingGroupName=name, MaxRecords=1
            )
            if answer is None:
                return
            running = any(each.get("Status") in _RUNNING for each in answer.get("InstanceRefreshes", ()))
            self._refreshing[name] = (anyio.current_time(), running)

    async def learn_launch_times(self, ids: Collection[InstanceId]) -> None:
        """Replace the moment of first sight by EC2's LaunchTime, where we may read it; shown by the next refresh."""
        for chunk in chunks(sorted(set(ids)), 100):
            by_id = [{"Name": "instance-id", "Values": list(chunk)}]
            for reservation in await self._facts.ask("ec2", "DescribeInstances", "Reservations", Filters=by_id) or ():
                for instance in reservation.get("Instances", ()):
                    if isinstance(moment := instance.get("LaunchTime"), datetime):
                        self._first_seen[InstanceId(str(instance.get("InstanceId")))] = moment

    def _see(self, documents: Iterable[Document]) -> None:
        now = clock.now()
        present = {
            InstanceId(str(each.get("InstanceId")))
            for document in documents
            for each in document.get("Instances") or ()
        }
        self._first_seen = {ident: self._first_seen.get(ident, now) for ident in sorted(present)}

    def _known(self) -> Known:
        facts = self._facts
        return Known(
            catalogue=facts.catalogue,
            templates=facts.templates,
            configurations=facts.configurations,
            nodegroups=facts.nodegroups,
            subnet_zones=facts.subnet_zones,
            first_seen=self._first_seen,
            refreshing=frozenset(name for name, (_, running) in self._refreshing.items() if running),
            bounds=self._selection.bounds,
            reserved_profile=self._profile,
            resolve=facts.resolve,
        )

    def _read(self, documents: Iterable[Document]) -> None:
        self.groups, faults = to_groups(documents, self._known())
        self.malformed = len(faults)
        for fault in faults:
            if str(fault) not in self._told:
                self._told.add(str(fault))
                log.warning("aws.group_malformed", node_group=fault.name, fault=fault.fault)
        missing = self._selection.bounds.keys() - self._documents.keys()
        for name in sorted(missing - self._told):
            self._told.add(name)
            log.warning("aws.group_missing", node_group=name)


def _each(documents: Iterable[Document], read: Callable[[Document], Thing | None]) -> Iterator[Thing]:
    """Yield what `read` finds in each document; a malformed one is reported when the group itself is read."""
    for document in documents:
        with suppress(FieldError):
            found = read(document)
            if found:
                yield found


def _subnets_of(documents: Iterable[Document]) -> set[str]:
    """Name the subnets of groups in several zones; in one zone there is nothing to tell apart."""
    return {
        name.strip()
        for document in documents
        if len(document.get("AvailabilityZones") or ()) > 1
        for name in str(document.get("VPCZoneIdentifier") or "").split(",")
        if name.strip()
    }
