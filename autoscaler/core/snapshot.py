"""Snapshot: the world that one pass looks at, whole and frozen.

Built by the loop from synced caches, or by `simulate` from files. A pass
that did not finish in one wave looks again and carries its `wave` on;
nothing about a snapshot moves while we think.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from autoscaler.core.census import Census
from autoscaler.core.decision import Objection
from autoscaler.core.model import NO_LABELS, Labels, Node, NodeGroup, Pod, Uid
from autoscaler.core.podspec import PodSpec
from autoscaler.core.policy import Policy
from autoscaler.core.reserve import Reserve
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.schedulers import NO_SCHEDULERS, Schedulers
from autoscaler.core.storage import Storage
from autoscaler.core.tuning import Annotated
from autoscaler.core.workload import PodDisruptionBudget, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSet:
    """A DaemonSet: its pods land on every node that their template fits."""

    namespace: str
    name: str
    uid: Uid
    spec: PodSpec
    labels: Labels = field(default_factory=lambda: NO_LABELS)  # of its pods


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Where a pass stands between two waves of launches.

    `width` is how many offerings the next wave may ask, 0 for as many as the
    plan wants. `launched` are the instances bought in this pass, which may
    turn out to be surplus.
    """

    width: int = 0
    launched: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a pass knows. Every sequence may come in any order.

    `census` is the count of `pods`, where somebody keeps one; without it the
    pass counts them itself. `workloads` may lack whole kinds. `breakers` are
    the health gates that are open for reasons that this world does not show.
    `reserve` is what an operator wants spare. `scale_down` is None where nothing is remembered, as offline.
    """

    at: datetime
    pods: Sequence[Pod] = ()
    census: Census | None = None
    nodes: Sequence[Node] = ()
    groups: Sequence[NodeGroup] = ()
    unreadable_nodes: int = 0  # Node objects that cannot be read: whose instance must not pass for one without a Node
    daemonsets: Sequence[DaemonSet] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    workloads: Sequence[Workload] = ()
    pdbs: Sequence[PodDisruptionBudget] = ()
    annotated: Annotated = field(default_factory=Annotated)
    reserve: Reserve = field(default_factory=Reserve)
    storage: Storage = field(default_factory=Storage)
    policy: Policy = field(default_factory=Policy)
    schedulers: Schedulers = NO_SCHEDULERS
    memory: CapacityMemory = field(default_factory=CapacityMemory)
    wave: Wave = field(default_factory=Wave)
    scale_down: ScaleDownMemory | None = None
    breakers: tuple[Objection, ...] = ()
