"""Equivalence classes: pods that placement cannot tell apart.

All work of a pass is per class, however many pods it has. The cache shares
specs and labels between equal pods, so identity finds most classes; missing
one costs time, never correctness. The two orders of DESIGN live here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from autoscaler.core.decision import Objection
from autoscaler.core.model import Labels, Pod
from autoscaler.core.podspec import PodSpec
from autoscaler.core.resources import Resources
from autoscaler.core.scheduling.constraints import refused_constraints
from autoscaler.core.scheduling.fit import Fitting
from autoscaler.core.scheduling.rules import Rules

Vector = tuple[int, ...]


@dataclass(slots=True, eq=False)
class PodClass:
    """Pods with one spec, labels, namespace and owner; oldest first once sorted.

    `request` is the spec's request along the dimensions of this pass.
    """

    spec: PodSpec
    labels: Labels
    namespace: str
    fitting: Fitting
    request: Vector
    refusals: tuple[Objection, ...] = ()  # of constraints that nothing can promise
    pods: list[Pod] = field(default_factory=list)
    rules: Rules | None = None  # None: no rule looks at where these pods are

    @property
    def bound(self) -> Rules | None:
        """The rules that bind where these pods may go; None when there are none."""
        rules = self.rules
        return rules if rules is not None and rules.is_bound else None

    @property
    def oldest(self) -> tuple[datetime, str, str]:
        pod = self.pods[0]
        return pod.created, pod.namespace, pod.name


class Dimensions:
    """The resources that this pass counts: those that a pending pod asks for, and always cpu and memory."""

    __slots__ = ("names",)

    def __init__(self, specs: Iterable[PodSpec]) -> None:
        names = {name for spec in specs for name, amount in spec.requests.items() if amount > 0} | {"cpu", "memory"}
        self.names = tuple(sorted(names))

    def vector(self, resources: Resources) -> Vector:
        return tuple([resources[name] for name in self.names])


def classify(pods: Iterable[Pod]) -> tuple[list[PodClass], Dimensions]:
    """Sort pods into classes, each oldest first."""
    found: dict[tuple[int, int, str, str], list[Pod]] = {}
    last: Pod | None = None
    members: list[Pod] = []
    for pod in pods:
        # Replicas mostly come one after the other, and share all of these.
        if (
            last is None
            or pod.spec is not last.spec
            or pod.owner is not last.owner
            or pod.labels is not last.labels
            or pod.namespace != last.namespace
        ):
            owner = pod.owner
            key = (id(pod.spec), id(pod.labels), pod.namespace, owner.uid if owner is not None else "")
            members = found.setdefault(key, [])
            last = pod
        members.append(pod)
    specs = {id(members[0].spec): members[0].spec for members in found.values()}
    dimensions = Dimensions(specs.values())
    fittings = {key: Fitting(spec) for key, spec in specs.items()}
    refusals = {key: tuple(refused_constraints(spec)) for key, spec in specs.items()}
    requests = {key: dimensions.vector(spec.requests) for key, spec in specs.items()}
    classes = []
    for members in found.values():
        first = members[0]
        # Two sorts by one attribute each are far cheaper than one by a tuple made per pod.
        members.sort(key=attrgetter("name"))
        members.sort(key=attrgetter("created"))
        key_of_spec = id(first.spec)
        classes.append(
            PodClass(
                spec=first.spec,
                labels=first.labels,
                namespace=first.namespace,
                fitting=fittings[key_of_spec],
                request=requests[key_of_spec],
                refusals=refusals[key_of_spec],
                pods=members,
            )
        )
    return classes, dimensions


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
