"""What stands behind pods: the workloads that own them, and the budgets that protect them.

Read from the cluster by the edges. A workload may be known by its metadata
alone; a kind of which none is known at all says nothing about who is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autoscaler.core.model import NO_LABELS, Labels, OwnerRef, Uid
from autoscaler.core.podspec import LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What owns pods. `replicas` None: it has none, or they were not read."""

    kind: str
    namespace: str
    name: str
    uid: Uid
    annotations: Labels = field(default_factory=lambda: NO_LABELS)
    owner: OwnerRef | None = None
    replicas: int | None = None
    selector: LabelSelector | None = None  # None: it has none, or it was not read


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDisruptionBudget:
    """A PDB: how many of the pods that it selects may be evicted now.

    A `selector` of None selects no pod, an empty one every pod of the namespace.
    """

    namespace: str
    name: str
    selector: LabelSelector | None
    disruptions_allowed: int
