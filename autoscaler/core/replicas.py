"""Spare replicas of applications: virtual pods of their shape, as `headroom` annotations ask for (DESIGN 8).

The shape is that of the application's newest pod, so that one without pods
has none. Its rules hold against real pods as they stand, and among the
virtual ones by twins of themselves: real pods must not see what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from autoscaler.core.index import Index
from autoscaler.core.model import Pod
from autoscaler.core.podspec import LabelSelector, Requirement
from autoscaler.core.scheduling.selectors import selects
from autoscaler.core.sizes import Extent, Size
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.tuning import SCALED, Bearer, Key, read_wish
from autoscaler.core.virtual import HEADROOM, LABEL, LOWEST, PLACEHOLDER, copies, measure


@dataclass(slots=True)
class _App:
    """What a workload wants spare, and its pods."""

    size: Size
    pods: list[Pod] = field(default_factory=list)


def spare_replicas(snapshot: Snapshot, index: Index) -> Iterator[Pod]:
    """Yield the virtual pods of all applications, in the order of their names."""
    apps = {
        Bearer.of(one): _App(cast("Size", wish.value))
        for one in snapshot.workloads
        if one.kind in SCALED and (wish := read_wish(Key.HEADROOM, one, snapshot.annotated.last_good)) is not None
    }
    if not apps:
        return
    owners = dict(apps)
    for one in snapshot.workloads:
        if one.owner is not None and (app := apps.get(Bearer(one.owner.kind, one.namespace, one.owner.name))):
            owners[Bearer.of(one)] = app
    # By identity of the reference, which replicas share; without uids those of two namespaces may share it too.
    known: dict[tuple[int, str], _App | None] = {}
    for pod in snapshot.pods:
        owner = pod.owner
        if owner is None:
            continue
        shared = (id(owner), pod.namespace)
        if shared not in known:
            known[shared] = owners.get(Bearer(owner.kind, pod.namespace, owner.name))
        wanted = known[shared]
        if wanted is not None and not pod.is_finished and pod.deleted_at is None:
            wanted.pods.append(pod)
    everywhere: Extent | None = None
    for bearer in sorted(apps):
        app = apps[bearer]
        if app.pods:
            everywhere = everywhere or measure(index.nodes.values())
            count = app.size.replicas(replace(everywhere, pods=len(app.pods)))
            yield from _copies_of(app, str(bearer), count, snapshot.at)


def _copies_of(app: _App, name: str, count: int, at: datetime) -> Iterator[Pod]:
    """Pods of the application's shape, without what belongs to a single pod: volumes, claims, gates."""
    model = max(app.pods, key=lambda pod: (pod.created, pod.name))
    twin = LabelSelector((Requirement(LABEL, "In", (name,)),))
    spec = model.spec
    spec = replace(
        spec,
        priority=LOWEST,
        gates=(),
        claims=(),
        resource_claims=False,
        anti_affinity=(
            *spec.anti_affinity,
            *(one._replace(selector=twin, namespaces=(), namespace_selector=None, match_label_keys=(),
                           mismatch_label_keys=())
              for one in spec.anti_affinity if selects(one.selector, model.labels)),
        ),
        spread=(
            *spec.spread,
            *(one._replace(selector=twin, match_label_keys=())
              for one in spec.spread if one.hard and selects(one.selector, model.labels)),
        ),
    )  # fmt: skip
    for pod in copies(name, count, spec, HEADROOM, at):
        yield replace(
            pod, namespace=model.namespace, owner=model.owner, annotations={**model.annotations, **PLACEHOLDER}
        )
