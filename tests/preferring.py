"""What pods would rather have: how stories write it, and random worlds full of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, Pod
from autoscaler.core.podspec import (
    Effect,
    LabelSelector,
    NodeTerm,
    PodSpec,
    PodTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    SpreadConstraint,
    Taint,
)
from autoscaler.core.snapshot import Snapshot
from tests import builders
from tests.builders import ZONES

KEYS = {"host": HOSTNAME_LABEL, "zone": ZONE_LABEL}
SOFT = (builders.taint("wear=old:PreferNoSchedule"),)
LABELS = ({"app": "a", "version": "1"}, {"app": "b", "version": "1"}, {"app": "b", "version": "2"})


def read_preferences(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a PodSpec from `{node: {disk=ssd: 80}, near: {zone: app=db}, apart: ..., spread: {host: app=web}}`."""
    unknown = row.keys() - {"node", "near", "apart", "spread"}
    if unknown:
        raise ValueError(f"prefers: unknown keys {sorted(unknown)}")
    found: dict[str, Any] = {
        "preferred_node_terms": tuple(
            PreferredNodeTerm(weight, NodeTerm((equals(text),))) for text, weight in row.get("node", {}).items()
        ),
        "preferred_affinity": _pod_terms(row.get("near", {})),
        "preferred_anti_affinity": _pod_terms(row.get("apart", {})),
        "spread": tuple(
            SpreadConstraint(KEYS[key], 1, False, LabelSelector((equals(text),)))
            for key, text in row.get("spread", {}).items()
        ),
    }
    return {key: value for key, value in found.items() if value}


def equals(text: str) -> Requirement:
    key, _, value = text.partition("=")
    return Requirement(key, "In", (value,))


def _pod_terms(row: Mapping[str, str]) -> tuple[PreferredPodTerm, ...]:
    return tuple(PreferredPodTerm(100, PodTerm(KEYS[key], LabelSelector((equals(text),)))) for key, text in row.items())


def weights() -> st.SearchStrategy[int]:
    return st.sampled_from([1, 50, 100])


def node_terms() -> st.SearchStrategy[PreferredNodeTerm]:
    wanted = [Requirement("team", "In", ("red",)), Requirement("disk", "Exists"), Requirement("disk", "Near", ("x",))]
    wanted += [Requirement(ZONE_LABEL, "In", (zone,)) for zone in ZONES]
    return st.builds(PreferredNodeTerm, weights(), st.sampled_from([NodeTerm(), *(NodeTerm((one,)) for one in wanted)]))


def selectors() -> st.SearchStrategy[LabelSelector | None]:
    texts = ("app=a", "app=a", "app=b", "version=1")
    return st.sampled_from([*(LabelSelector((equals(text),)) for text in texts), LabelSelector(), None])


def pod_terms() -> st.SearchStrategy[PreferredPodTerm]:
    return st.builds(
        lambda weight, key, selector, spaces: PreferredPodTerm(weight, PodTerm(key, selector, spaces)),
        weights(),
        st.sampled_from([*KEYS.values(), "example.com/rack"]),
        selectors(),
        st.sampled_from([(), (), ("bank", "shop")]),
    )


def spreads() -> st.SearchStrategy[SpreadConstraint]:
    return st.builds(
        lambda key, skew, selector, taints, keys: SpreadConstraint(
            key, skew, False, selector, honor_node_taints=taints, match_label_keys=keys
        ),
        st.sampled_from(sorted(KEYS.values())),
        st.sampled_from([1, 2]),
        selectors(),
        st.booleans(),
        st.sampled_from([(), ("version",)]),
    )


@st.composite
def softened(draw: st.DrawFn, worlds: st.SearchStrategy[Snapshot]) -> Snapshot:
    """A world in which pods have preferences as well, and some nodes and groups a soft taint or a label to prefer."""
    world = draw(worlds)
    specs: dict[int, PodSpec] = {}
    labels: dict[int, dict[str, str]] = {}
    pods: list[Pod] = []
    for pod in world.pods:
        if id(pod.spec) not in specs:
            specs[id(pod.spec)] = replace(
                pod.spec,
                preferred_node_terms=tuple(draw(st.lists(node_terms(), max_size=2))),
                preferred_affinity=tuple(draw(st.lists(pod_terms(), max_size=1))),
                preferred_anti_affinity=tuple(draw(st.lists(pod_terms(), max_size=1))),
                spread=(*pod.spec.spread, *draw(st.lists(spreads(), max_size=1))),
            )
            labels[id(pod.spec)] = draw(st.sampled_from(LABELS))
        pods.append(replace(pod, spec=specs[id(pod.spec)], labels=pod.labels or labels[id(pod.spec)]))
    dressed = st.sampled_from([(), (), SOFT])
    disks = st.sampled_from([{}, {"disk": "ssd"}])
    return replace(
        world,
        pods=tuple(pods),
        groups=tuple(
            replace(one, taints=one.taints + draw(dressed), labels={**one.labels, **draw(disks)})
            for one in world.groups
        ),
        nodes=tuple(
            replace(one, taints=one.taints + draw(dressed), labels={**one.labels, **draw(disks)}) for one in world.nodes
        ),
    )


def hardened(world: Snapshot) -> Snapshot:
    """The same world without any preference."""
    specs: dict[int, PodSpec] = {}
    for pod in world.pods:
        if id(pod.spec) not in specs:
            specs[id(pod.spec)] = replace(
                pod.spec,
                preferred_node_terms=(),
                preferred_affinity=(),
                preferred_anti_affinity=(),
                spread=tuple(one for one in pod.spec.spread if one.hard),
            )
    return replace(
        world,
        pods=tuple(replace(pod, spec=specs[id(pod.spec)]) for pod in world.pods),
        groups=tuple(replace(one, taints=_without_soft(one.taints)) for one in world.groups),
        nodes=tuple(replace(one, taints=_without_soft(one.taints)) for one in world.nodes),
    )


def _without_soft(taints: tuple[Taint, ...]) -> tuple[Taint, ...]:
    return tuple(taint for taint in taints if taint.effect is not Effect.PREFER_NO_SCHEDULE)
