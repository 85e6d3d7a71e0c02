"""What the cluster's schedulers were told beyond their defaults, and what they derive selectors from.

One `Profile` for each `spec.schedulerName` that the scheduler's configuration
names; a pod of any other scheduler is judged by the defaults. Reading the file
is `kubernetes.scheduler_config`'s work, applying it `scheduling.profiles`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.podspec import LabelSelector, NodeTerm, SpreadConstraint
from autoscaler.core.workload import Workload

# By the owner's kind, the API version in which the scheduler looks its selector up: plugins/helper, DefaultSelector.
SELECTING_OWNERS = {"ReplicationController": "v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one scheduler's filters differ from the defaults.

    `default_spread` holds for pods without any spread constraint of their own;
    its selectors are derived pod by pod. Without `spreads` no DoNotSchedule
    constraint is kept, not even a pod's own.
    """

    added_terms: tuple[NodeTerm, ...] | None = None  # required of the node on top of the pod's own; None: nothing
    default_spread: tuple[SpreadConstraint, ...] = ()
    ignored_resources: frozenset[str] = frozenset()  # extended resources that are not counted
    ignored_groups: frozenset[str] = frozenset()  # the same by what stands before the slash
    spreads: bool = True


class Service(NamedTuple):
    """A Service, as far as it selects pods; without a selector it selects none."""

    namespace: str
    selector: tuple[tuple[str, str], ...]


class Selecting(NamedTuple):
    """What owns pods and selects them."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedulers:
    """The profiles; services and owners are filled in only where `derives_selectors`.

    A kind of which none is known at all says nothing about who is missing.
    """

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    services: Sequence[Service] = ()
    selectors: Mapping[Selecting, LabelSelector] = field(default_factory=dict)

    @property
    def derives_selectors(self) -> bool:
        """Whether any profile has default constraints that can block."""
        return any(profile.default_spread for profile in self.profiles.values())

    def knowing(self, services: Iterable[Service], owners: Iterable[Workload]) -> Schedulers:
        """The same profiles in a cluster with these Services and owners of pods."""
        if not self.derives_selectors:
            return self
        selectors = {
            Selecting(one.kind, one.namespace, one.name): one.selector for one in owners if one.selector is not None
        }
        return Schedulers(profiles=self.profiles, services=tuple(services), selectors=selectors)


NO_SCHEDULERS = Schedulers()
