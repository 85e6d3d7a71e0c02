"""What the controller knows beyond the last listing of AWS.

AWS's listings lag behind its own answers: an instance that LaunchInstances
has just named may be missing from the next page. So our own deeds are laid
over every listing until it shows them, or until that is overdue. Nothing
here is needed to be right after a restart, only to be fast.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from autoscaler.core.decision import Cause, LaunchResult, Removal
from autoscaler.core.model import GroupFault, GroupName, Instance, InstanceId, Lifecycle, NodeGroup, NodeName
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaledown.outcome import DrainOutcome, Ending
from autoscaler.core.scaleup.capacity import CapacityMemory

K = TypeVar("K")
LISTING_LAG = timedelta(minutes=2)  # a listing that still lacks our deed after this is believed


@dataclass(slots=True)
class Ledger:
    """Our own deeds, by instance and by group, and the memory of refusals."""

    memory: CapacityMemory = field(default_factory=CapacityMemory)
    scale_down: ScaleDownMemory = field(default_factory=ScaleDownMemory)
    changes: int = 0  # rises with every deed: a pass could now decide differently
    _launched: dict[InstanceId, tuple[GroupName, Instance, datetime]] = field(default_factory=dict)
    _removed: dict[InstanceId, tuple[Removal, datetime]] = field(default_factory=dict)
    _raised: dict[GroupName, tuple[int, datetime]] = field(default_factory=dict)  # desired that we wrote
    _missing: dict[GroupName, int] = field(default_factory=dict)
    _faults: dict[GroupName, GroupFault] = field(default_factory=dict)  # what we could not do to a group
    _with_node: frozenset[InstanceId] = frozenset()
    _bereft: dict[InstanceId, datetime] = field(default_factory=dict)  # since when a Node that was there is not

    def note_results(self, results: Iterable[LaunchResult], grown: Iterable[NodeGroup]) -> None:
        """Remember what a wave launched; what was launched for pending pods delays scale-down.

        `grown` are the groups with the answers folded in: AWS has raised their desired capacity.
        """
        after = {group.name: group.desired for group in grown}
        for result in results:
            if result.launched and result.launch.group in after:
                self._raised[result.launch.group] = (after[result.launch.group], result.at)
            if result.launch.cause is Cause.PENDING and (result.launched or not result.refusals):
                self.scale_down = merge(self.scale_down, ScaleDownMemory(added={result.launch.group: result.at}))
            for instance in result.launched:
                self._launched[instance.id] = (result.launch.group, instance, result.at)

    def note_raise(self, group: GroupName, desired: int, at: datetime) -> None:
        """Remember the desired capacity that we wrote."""
        self.changes += 1
        self._raised[group] = (desired, at)
        self._missing.pop(group, None)

    def note_missing(self, group: GroupName, units: int) -> None:
        """Remember that so many units of desired are proven not to come; more that were known stay so.

        Where they cannot be withdrawn, AWS goes on trying, a part of them at a time.
        """
        self.changes += 1
        self._missing[group] = max(units, self._missing.get(group, 0))

    def note_withdrawn(self, group: GroupName, units_left: int) -> None:
        """The listing shows the desired capacity without what was missing, but for units that must stay.

        A group at its minimum cannot shed what does not come.
        """
        self.changes += 1
        self._raised.pop(group, None)
        if units_left:
            self._missing[group] = units_left
        else:
            self._missing.pop(group, None)

    def note_removal(self, removal: Removal, at: datetime) -> None:
        """Remember an instance that we terminated."""
        self.changes += 1
        self._removed[removal.instance] = (removal, at)
        raised = self._raised.get(removal.group)
        launched = self._launched.get(removal.instance)
        if raised is not None and removal.decrement:
            weight = launched[1].weight if launched is not None else 1
            self._raised[removal.group] = (raised[0] - weight, raised[1])

    def note_fault(self, group: GroupName, fault: GroupFault | None) -> None:
        """Remember what is wrong with a group beyond its listing; None when it is well."""
        if self._faults.get(group) == fault:
            return
        self.changes += 1
        if fault is None:
            del self._faults[group]
        else:
            self._faults[group] = fault

    def note_nodes(self, with_node: Collection[InstanceId], at: datetime) -> None:
        """See which instances have a Node: one that loses it is given the time of a new one to come back.

        Somebody may delete Node objects, of a whole cluster even; counted from
        their launch all these instances would be overdue at once.
        """
        seen = frozenset(with_node)
        self._bereft.update(dict.fromkeys(self._with_node - seen, at))
        for ident in seen & self._bereft.keys():
            del self._bereft[ident]
        self._with_node = seen

    def note_decided(self, decided: ScaleDownMemory | None, at: datetime) -> None:
        """Take what a pass wants remembered, beside what became of drains while it was planned."""
        if decided is not None:
            merged = merge(self.scale_down, decided)
            blocked = {node: until for node, until in merged.blocked.items() if until > at}
            self.scale_down = replace(merged, unneeded=decided.unneeded, waiting=decided.waiting, blocked=blocked)

    def note_unneeded(self, since: Mapping[NodeName, datetime]) -> None:
        """Let nodes that are unneeded now have been so for longer."""
        self.changes += 1
        known = self.scale_down.unneeded
        older = {node: min(at, known[node]) for node, at in since.items() if node in known}
        self.scale_down = replace(self.scale_down, unneeded={**known, **older})

    def note_drain(self, outcome: DrainOutcome, until: datetime) -> None:
        """Remember how a drain ended; before `until` no other attempt is made on its node."""
        self.changes += 1
        news = ScaleDownMemory()
        if outcome.ending is Ending.REMOVED:
            news = ScaleDownMemory(removed={outcome.group: outcome.at})
        elif outcome.ending is Ending.FAILED:
            news = ScaleDownMemory(failed={outcome.group: outcome.at}, blocked={outcome.node: until})
        elif outcome.ending in (Ending.CALLED_OFF, Ending.STOPPED):
            news = ScaleDownMemory(blocked={outcome.node: until})
        self.scale_down = merge(self.scale_down, news)

    def overlay(self, listed: Sequence[NodeGroup], at: datetime) -> tuple[NodeGroup, ...]:
        """Lay our deeds over a listing; those that are overdue are dropped."""
        self._forget(at)
        present = {instance.id for group in listed for instance in group.instances} if self._bereft else set()
        self._bereft = {ident: since for ident, since in self._bereft.items() if ident in present}
        by_group: dict[GroupName, list[Instance]] = {}
        for group, instance, _ in self._launched.values():
            by_group.setdefault(group, []).append(instance)
        return tuple(self._overlay_one(group, by_group.get(group.name, [])) for group in listed)

    def _overlay_one(self, group: NodeGroup, launched: list[Instance]) -> NodeGroup:
        fault = self._faults.get(group.name)
        if fault is not None:
            group = replace(group, faults=(*group.faults, fault), can_be_protected=False)
        listed = {instance.id for instance in group.instances}
        missing = [one for one in launched if one.id not in listed and one.id not in self._removed]
        leaving = self._removed.keys() & listed
        units = self._missing.get(group.name, 0)
        raised = self._raised.get(group.name)
        bereft = self._bereft.keys() & listed
        if not (missing or leaving or units or raised or bereft):
            return group
        instances = tuple(
            replace(one, lifecycle=Lifecycle.LEAVING) if one.id in leaving and one.is_live else one
            for one in group.instances
        )
        instances = tuple(replace(one, since=self._bereft[one.id]) if one.id in bereft else one for one in instances)
        gone = sum(
            one.weight
            for one in group.instances
            if one.id in leaving and one.is_live and self._removed[one.id][0].decrement
        )
        # The instances of a launch and the desired that it raised show up in listings one without the other.
        desired = max(group.desired, raised[0]) if raised else group.desired
        return replace(
            group,
            instances=(*instances, *missing),
            desired=desired - gone,
            proven_missing=units,
        )

    def settle(self, listed: Iterable[NodeGroup]) -> None:
        """Forget deeds that a listing shows: a launched instance, a desired capacity as we wrote it."""
        for group in listed:
            for instance in group.instances:
                self._launched.pop(instance.id, None)
            raised = self._raised.get(group.name)
            if raised is not None and group.desired >= raised[0]:
                del self._raised[group.name]
            if group.desired <= group.live_units:
                self._missing.pop(group.name, None)

    def _forget(self, at: datetime) -> None:
        self._launched = {key: value for key, value in self._launched.items() if at - value[2] < LISTING_LAG}
        self._removed = {key: value for key, value in self._removed.items() if at - value[1] < 3 * LISTING_LAG}
        self._raised = {key: value for key, value in self._raised.items() if at - value[1] < LISTING_LAG}


def merge(one: ScaleDownMemory, other: ScaleDownMemory) -> ScaleDownMemory:
    """Join two memories: the later of both counts."""
    return replace(
        one,
        blocked=_later(one.blocked, other.blocked),
        added=_later(one.added, other.added),
        removed=_later(one.removed, other.removed),
        failed=_later(one.failed, other.failed),
    )


def _later(one: Mapping[K, datetime], other: Mapping[K, datetime]) -> Mapping[K, datetime]:
    return {**one, **{key: max(at, one.get(key, at)) for key, at in other.items()}} if other else one
