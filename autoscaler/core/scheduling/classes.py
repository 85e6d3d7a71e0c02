"""Equivalence classes: pods that placement cannot tell apart.

All work of a pass is per class, however many pods it has. The cache shares
specs and labels between equal pods, so identity finds most classes, and what
it misses is joined by equality. The two orders of DESIGN live here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from autoscaler.core.decision import Objection
from autoscaler.core.menu import PLAIN, Menu, Menus, Terms, with_left_out
from autoscaler.core.model import GroupName, Labels, Pod
from autoscaler.core.podspec import PodSpec
from autoscaler.core.resources import Resources
from autoscaler.core.schedulers import NO_SCHEDULERS
from autoscaler.core.scheduling.constraints import refused_constraints
from autoscaler.core.scheduling.demands import VolumeFitting
from autoscaler.core.scheduling.fit import Fitting, WishfulFitting
from autoscaler.core.scheduling.profiles import Profiles
from autoscaler.core.scheduling.rules import Rules
from autoscaler.core.scheduling.selectors import Namespaces
from autoscaler.core.scheduling.sharing import ATTACHED, LIMIT_PREFIX, Handle, Shared, shared_of
from autoscaler.core.scheduling.volumes import NO_NEEDS, Needs, Volumes
from autoscaler.core.storage import Storage
from autoscaler.core.virtual import is_virtual

Vector = tuple[int, ...]
Row = tuple[PodSpec, Needs, Terms, list[Pod]]  # a class to be: the spec by which its scheduler judges it, its pods
Key = tuple[int, int, str, str, Needs, Terms]  # spec and labels by identity, namespace, owner, needs, terms
Footprint = tuple[Fitting, Vector, tuple[Objection, ...]]


@dataclass(slots=True, eq=False)
class PodClass:
    """Pods with one spec, labels, namespace, owner, needs of volumes and terms; oldest first once sorted.

    `request` is the spec's request along the dimensions of this pass, with
    the volumes that no other pod uses; `shared` are those that another does.
    Classes that ask the same of an empty node share their `fitting`: what is
    worked out about one of them by its identity holds for all. `terms` say of
    which groups they may be bought a node, where they have wishes.
    """

    spec: PodSpec
    labels: Labels
    namespace: str
    fitting: Fitting
    request: Vector
    refusals: tuple[Objection, ...] = ()  # of constraints that nothing can promise
    pods: list[Pod] = field(default_factory=list)
    needs: Needs = NO_NEEDS
    terms: Terms = PLAIN
    shared: Shared | None = None
    rules: Rules | None = None  # None: no rule looks at where these pods are
    turn: int = 0  # of the buying: grows with each time that pods of any class are placed

    @property
    def bound(self) -> Rules | None:
        """The rules that bind where these pods may go; None when there are none."""
        rules = self.rules
        return rules if rules is not None and rules.is_bound else None

    @property
    def is_virtual(self) -> bool:
        """Room that is kept spare, which nobody is told of."""
        return is_virtual(self.pods[0])

    @property
    def freedom(self) -> int:
        """How little holds the pods back from a node; those that are hardest to place have the least.

        Pods that must be alone on a node decide how many nodes there are; a
        group that must be together needs its room in one domain.
        """
        rules = self.bound
        if rules is None:
            return 3
        if rules.lonely:
            return 0
        return 1 if rules.wide.affinity else 2

    @property
    def menu(self) -> Menu | None:
        """What the pods may be bought; None: the cluster's tiers."""
        return self.terms.menu

    def is_as_good(self, group: GroupName, other: GroupName) -> bool:
        """Whether the pods' own wishes make no difference between two groups of one tier of the cluster."""
        menu = self.terms.menu
        return menu is None or menu.ranks.get(group) == menu.ranks.get(other)

    @property
    def asks_amounts_alone(self) -> bool:
        """Nothing but what is free decides whether a node that it may be on takes one of these pods."""
        return self.shared is None and not self.spec.host_ports

    @property
    def alone(self) -> Vector:
        """What the first of the pods takes of an empty node."""
        if self.shared is None:
            return self.request
        numbers = list(self.request)
        for position, _ in self.shared.volumes:
            numbers[position] += 1
        return tuple(numbers)

    @property
    def oldest(self) -> tuple[datetime, str, str]:
        pod = self.pods[0]
        return pod.created, pod.namespace, pod.name


class Dimensions:
    """The resources that this pass counts: those that a pending pod asks for, and always cpu and memory."""

    __slots__ = ("bits", "names")

    def __init__(self, specs: Iterable[PodSpec], needs: Iterable[Needs] = ()) -> None:
        names = {name for spec in specs for name, amount in spec.requests.items() if amount > 0} | {"cpu", "memory"}
        shared: set[Handle] = set()
        for one in needs:
            shared.update(one.shared)
            names.update(LIMIT_PREFIX + driver for driver, _ in (*one.attachments, *one.shared))
        if shared:
            names.add(ATTACHED)
        self.names = tuple(sorted(names))
        self.bits = {handle: 1 << number for number, handle in enumerate(sorted(shared))}

    def vector(self, resources: Resources) -> Vector:
        return tuple([resources[name] for name in self.names])

    def request(self, spec: PodSpec, needs: Needs) -> Vector:
        """What a pod asks for, the volumes that it attaches included."""
        if not needs.attachments:
            return self.vector(spec.requests)
        amounts = {LIMIT_PREFIX + driver: count for driver, count in needs.attachments}
        return self.vector(spec.requests.with_amounts(amounts))

    def shared(self, needs: Needs) -> Shared | None:
        """The volumes that a pod attaches where nobody else has."""
        if not needs.shared:
            return None
        return shared_of(needs.shared, {name: position for position, name in enumerate(self.names)}, self.bits)


def classify(
    pods: Iterable[Pod],
    volumes: Volumes | None = None,
    profiles: Profiles | None = None,
    namespaces: Namespaces | None = None,
    menus: Menus | None = None,
) -> tuple[list[PodClass], Dimensions]:
    """Sort pods into classes, each oldest first, with the spec by which their scheduler judges them.

    Without `volumes` a pod that has any is refused, without `namespaces` one that asks for their labels;
    without `profiles` the scheduler's defaults hold, and without `menus` nobody has wishes.
    """
    volumes = volumes if volumes is not None else Volumes(Storage())
    judged = (profiles or Profiles(NO_SCHEDULERS)).spec_of
    found: dict[Key, list[Pod]] = {}
    last: Pod | None = None
    members: list[Pod] = []
    users: list[Pod] = []
    for pod in pods:
        # Replicas mostly come one after the other, and share all of these.
        if (
            last is None
            or pod.spec is not last.spec
            or pod.owner is not last.owner
            or pod.labels is not last.labels
            or pod.annotations is not last.annotations
            or pod.namespace != last.namespace
        ):
            if pod.spec.claims:
                users.append(pod)
                continue
            terms = menus.of(pod) if menus is not None else PLAIN
            members = found.setdefault(_key_of(pod, NO_NEEDS, terms), [])
            last = pod if menus is None or menus.is_shared(pod, terms) else None
        members.append(pod)
    if users:
        volumes.meet(users)
        for pod in users:
            terms = menus.of(pod) if menus is not None else PLAIN
            found.setdefault(_key_of(pod, volumes.needs_of(pod), terms), []).append(pod)
    rows = [(judged(members[0]), needs, terms, members) for (*_, needs, terms), members in found.items()]
    return _with_judgements(_joined(rows), volumes, namespaces if namespaces is not None else Namespaces({}), menus)


def _joined(rows: Iterable[Row]) -> list[Row]:
    """Join rows that are equal although they share nothing: what a pod's class is must not hang on what is shared."""
    found: dict[object, Row] = {}
    for spec, needs, terms, members in rows:
        first = members[0]
        owner = first.owner.uid if first.owner is not None else ""
        key = (spec, tuple(sorted(first.labels.items())), first.namespace, owner, needs, terms)
        known = found.setdefault(key, (spec, needs, terms, members))
        if known[3] is not members:
            known[3].extend(members)
    return list(found.values())


def _key_of(pod: Pod, needs: Needs, terms: Terms) -> Key:
    owner = pod.owner.uid if pod.owner is not None else ""
    return id(pod.spec), id(pod.labels), pod.namespace, owner, needs, terms


def _with_judgements(
    rows: Sequence[Row], volumes: Volumes, namespaces: Namespaces, menus: Menus | None
) -> tuple[list[PodClass], Dimensions]:
    """Make the classes; what hangs on spec, volumes and menu alone is worked out once for all that share them."""
    specs = {(id(spec), needs, terms.menu): spec for spec, needs, terms, _ in rows}
    dimensions = Dimensions(specs.values(), [needs for _, needs, _ in specs if needs is not NO_NEEDS])
    opened = menus.opened_by([menu for *_, menu in specs]) if menus is not None else frozenset[GroupName]()
    footprints = _footprints(specs, opened, dimensions, volumes, namespaces)
    classes = []
    for spec, needs, terms, members in rows:
        first = members[0]
        # Two sorts by one attribute each are far cheaper than one by a tuple made per pod.
        members.sort(key=attrgetter("name"))
        members.sort(key=attrgetter("created"))
        fitting, request, refusals = footprints[id(spec), needs, terms.menu]
        classes.append(
            PodClass(
                spec=spec,
                labels=first.labels,
                namespace=first.namespace,
                fitting=fitting,
                request=request,
                refusals=refusals,
                needs=needs,
                terms=terms,
                shared=dimensions.shared(needs),
                pods=members,
            )
        )
    return classes, dimensions


def _footprints(
    specs: Mapping[tuple[int, Needs, Menu | None], PodSpec],
    opened: frozenset[GroupName],
    dimensions: Dimensions,
    volumes: Volumes,
    namespaces: Namespaces,
) -> dict[tuple[int, Needs, Menu | None], Footprint]:
    """What each spec asks of an empty node; specs that ask the same share one answer.

    Rules about other pods differ much more often than this does.
    """
    known: dict[object, Footprint] = {}
    found = {}
    for key, spec in specs.items():
        _, needs, menu = key
        refusals = (*refused_constraints(spec, namespaces), *needs.refusals)
        where = (spec.node_selector, spec.node_terms, spec.added_terms, spec.tolerations)
        asked = (spec.requests, where, spec.host_ports, refusals, needs)
        if asked not in known:
            nodes = volumes.storage.limits
            fitting = VolumeFitting(spec, needs.demands, nodes) if needs.demands else Fitting(spec)
            known[asked] = fitting, dimensions.request(spec, needs), refusals
        against = with_left_out(menu, opened)
        fitting, request, refusals = known[asked]
        if against and (wishful := (fitting, menu)) not in known:
            known[wishful] = WishfulFitting(fitting, against), request, refusals
        found[key] = known[(fitting, menu) if against else asked]
    return found


def in_queue_order(classes: Sequence[PodClass]) -> list[tuple[PodClass, list[Pod]]]:
    """Return runs of pods by priority, then age, then name, as the scheduler's queue has them."""
    if len(classes) == 1:
        return [(classes[0], classes[0].pods)]
    queue = [(-one.spec.priority, pod.created, pod.namespace, pod.name, number)
             for number, one in enumerate(classes) for pod in one.pods]  # fmt: skip
    positions = {id(one): 0 for one in classes}
    runs: list[tuple[PodClass, list[Pod]]] = []
    for *_, number in sorted(queue):
        one = classes[number]
        pod = one.pods[positions[id(one)]]
        positions[id(one)] += 1
        if runs and runs[-1][0] is one:
            runs[-1][1].append(pod)
        else:
            runs.append((one, [pod]))
    return runs


def in_buying_order(classes: Iterable[PodClass], largest: Vector) -> list[PodClass]:
    """Order classes by priority, then size descending, then age, then name.

    Size is the largest share over all requested resources of `largest`, the
    biggest amount of each resource that any group's node offers.
    """

    def size(one: PodClass) -> float:
        return max(
            (want / most if most else 1.0 for want, most in zip(one.request, largest, strict=True) if want), default=0.0
        )

    return sorted(classes, key=lambda one: (-one.spec.priority, -size(one), one.oldest))
