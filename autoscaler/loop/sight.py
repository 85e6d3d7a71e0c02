"""The eyes: what the caches hold, with our own deeds laid over it.

A failed read is not an empty list. As long as a kind has not synced, is
silent for too long, or the groups were never read, nothing may be decided,
and the reason is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio

from autoscaler import clock
from autoscaler.aws.groups import GroupSource
from autoscaler.config import Config
from autoscaler.config.policy import to_policy
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.cluster import ClusterCache
from autoscaler.loop.breakers import Breakers
from autoscaler.loop.ledger import Ledger

GROUPS_TOO_OLD = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """Looks at the cluster's caches and the groups as last read."""

    cluster: ClusterCache
    groups: GroupSource
    ledger: Ledger
    config: Config
    breakers: Breakers = field(default_factory=Breakers)

    def blind(self) -> tuple[str, ...]:
        """Return why nothing may be decided now."""
        stale = self.cluster.stale(anyio.current_time())
        reasons = [f"not synced, or stale: {', '.join(stale)}"] if stale else []
        read_at = self.groups.refreshed_at
        bound = max(GROUPS_TOO_OLD, 3 * self.config.aws_refresh_interval)
        if read_at is None:
            reasons.append("the Auto Scaling groups were never read")
        elif clock.now() - read_at > bound:
            reasons.append(f"the Auto Scaling groups were last read at {read_at:%H:%M:%S}")
        return tuple(reasons)

    def look(self, at: datetime) -> Snapshot:
        """Return the world as it is now."""
        view = self.cluster.view()
        policy = to_policy(self.config, view.tiers)
        self.ledger.note_nodes({node.instance_id for node in view.nodes if node.instance_id is not None}, at)
        return Snapshot(
            at=at,
            pods=view.pods,
            census=view.census,
            nodes=view.nodes,
            groups=self.ledger.overlay(self.groups.groups, at),
            unreadable_nodes=sum(error.kind == "Node" for error in view.unreadable),
            daemonsets=view.daemonsets,
            namespaces=view.namespaces,
            annotated=view.annotated,
            reserve=view.reserve,
            storage=view.storage,
            workloads=tuple(view.workloads.values()),
            pdbs=view.budgets,
            policy=replace(policy, scale_down=view.operator.join(policy.scale_down)),
            schedulers=view.schedulers,
            memory=self.ledger.memory,
            scale_down=self.ledger.scale_down,
            breakers=self.breakers.open(clock.monotonic()),
        )

    def change(self) -> object:
        """Return what a pass hangs on: any difference may change a decision."""
        return self.cluster.generation, self.groups.groups, self.ledger.changes
