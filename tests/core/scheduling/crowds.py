"""Random small worlds full of spread constraints, affinities and anti-affinities."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, Labels, Node, NodeGroup, Pod
from autoscaler.core.podspec import LabelSelector, PodSpec, PodTerm, Requirement, SpreadConstraint
from autoscaler.core.snapshot import Snapshot
from tests import builders
from tests.builders import NOW, ZONES

RACK = "example.com/rack"  # on the nodes of some groups only
KEYS = (ZONE_LABEL, ZONE_LABEL, HOSTNAME_LABEL, HOSTNAME_LABEL, RACK)
APPS: tuple[Labels, ...] = tuple({"app": app, "version": version} for app in ("a", "b", "c") for version in ("1", "2"))
SPACES = ("shop", "shop", "shop", "bank")
NAMESPACES = {"shop": {"team": "red"}, "bank": {"team": "blue"}}


def selectors() -> st.SearchStrategy[LabelSelector | None]:
    return st.sampled_from(
        [
            *(LabelSelector((Requirement("app", "In", (app,)),)) for app in ("a", "a", "b", "c")),
            LabelSelector((Requirement("app", "In", ("a", "b")),)),
            LabelSelector((Requirement("app", "NotIn", ("a",)),)),
            LabelSelector((Requirement("app", "Exists"), Requirement("version", "In", ("1",)))),
            LabelSelector(()),
            None,
        ]
    )


def terms() -> st.SearchStrategy[PodTerm]:
    red = LabelSelector((Requirement("team", "In", ("red",)),))
    return st.builds(
        PodTerm,
        topology_key=st.sampled_from(KEYS),
        selector=selectors(),
        namespaces=st.sampled_from([(), (), (), ("bank",), ("bank", "shop")]),
        namespace_selector=st.sampled_from([None, None, None, red, LabelSelector(())]),
        match_label_keys=st.sampled_from([(), (), (), ("version",)]),
        mismatch_label_keys=st.sampled_from([(), (), (), ("app",)]),
    )


def spreads() -> st.SearchStrategy[SpreadConstraint]:
    return st.builds(
        SpreadConstraint,
        topology_key=st.sampled_from(KEYS),
        max_skew=st.sampled_from([1, 1, 1, 2]),
        hard=st.sampled_from([True, True, True, False]),
        selector=selectors(),
        min_domains=st.sampled_from([1, 1, 1, 2, 3]),
        honor_node_affinity=st.booleans(),
        honor_node_taints=st.booleans(),
        match_label_keys=st.sampled_from([(), (), ("version",)]),
    )


@st.composite
def specs(draw: st.DrawFn) -> PodSpec:
    fields: dict[str, Any] = {}
    wish = draw(st.sampled_from(["plain", "spread", "spread", "affinity", "anti", "anti", "mixed"]))
    if wish in ("spread", "mixed"):
        fields["spread"] = tuple(draw(st.lists(spreads(), min_size=1, max_size=2)))
    if wish in ("affinity", "mixed"):
        fields["affinity"] = tuple(draw(st.lists(terms(), min_size=1, max_size=2)))
    if wish in ("anti", "mixed"):
        fields["anti_affinity"] = tuple(draw(st.lists(terms(), min_size=1, max_size=2)))
    where = draw(st.sampled_from(["", "", "", "", "zone", "gpu"]))
    if where == "zone":
        fields["zone"] = draw(st.sampled_from(ZONES))
    elif where == "gpu":
        fields["tolerates"] = "gpu"
    return builders.spec(draw(st.sampled_from(["100m", "500m", "1", "1500m"])), "64Mi", **fields)


@st.composite
def groups(draw: st.DrawFn, number: int) -> NodeGroup:
    zones = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=3, unique=True))
    coming = draw(st.sampled_from([0, 0, 0, 1, 2]))
    return builders.group(
        f"{draw(st.sampled_from(['spot', 'spot', 'demand']))}-{number}",
        zones=zones,
        types=[builders.shape(cpu="4", memory="8Gi", pods="20")],
        max_size=coming + draw(st.sampled_from([0, 1, 2, 3, 9])),
        instances=tuple(
            builders.instance(f"i-{number}-{each}", zones[each % len(zones)], since=NOW) for each in range(coming)
        ),
        labels=draw(st.sampled_from([{}, {}, {RACK: "r1"}])),
        taints=draw(st.sampled_from([(), (), (builders.taint("gpu=yes:NoSchedule"),)])),
        reserved_profile="none",
    )


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Node:
    return builders.node(
        f"node-{number}",
        zone=draw(st.sampled_from(ZONES)),
        labels=draw(st.sampled_from([{}, {}, {RACK: "r1"}, {RACK: "r2"}])),
        taints=draw(st.sampled_from([(), (), (builders.taint("gpu=yes:NoSchedule"),)])),
        is_cordoned=draw(st.sampled_from([False, False, False, True])),
        allocatable=builders.resources(cpu=draw(st.sampled_from(["1", "2"])), memory="8Gi", pods="20"),
    )


@st.composite
def crowds(draw: st.DrawFn) -> Snapshot:
    """At most three groups, five nodes with some pods, and five kinds of pending pods."""
    found = [draw(groups(number)) for number in range(draw(st.integers(1, 3)))]
    present = [draw(nodes(number)) for number in range(draw(st.integers(0, 5)))]
    pods: list[Pod] = []
    for number in range(draw(st.integers(0, 6)) if present else 0):
        spec = draw(specs())
        labels, space = draw(st.sampled_from(APPS)), draw(st.sampled_from(SPACES))
        where = draw(st.sampled_from(present)).name
        gone = NOW if draw(st.integers(0, 5)) == 0 else None
        pods.append(builders.pod(f"old-{number}", namespace=space, of=spec, labels=labels, node=where, deleted_at=gone))
    for number, spec in enumerate(draw(st.lists(specs(), min_size=1, max_size=5))):
        labels, space = draw(st.sampled_from(APPS)), draw(st.sampled_from(SPACES))
        age = timedelta(seconds=draw(st.integers(5, 50)))
        count = draw(st.integers(1, 5))
        pods += builders.pods(count, f"new-{number}", of=spec, labels=labels, namespace=space, created=NOW - age)
    return Snapshot(
        at=NOW,
        groups=tuple(found),
        nodes=tuple(present),
        pods=tuple(pods),
        namespaces=NAMESPACES,
        policy=builders.policy(draw(st.sampled_from([{}, {50: ["spot"], 10: [".*"]}]))),
    )
