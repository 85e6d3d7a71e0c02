"""The tricky corners of kube-scheduler's spread and affinity filters, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.decision import Decision
from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, LaunchMethod, Market, NodeName, Pod, Uid, Zone
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, NodeTerm, PodTerm, Requirement, SpreadConstraint
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.snapshot import DaemonSet, Snapshot, Wave
from tests.builders import NOW, ZONES, group, node, pod, pods, policy, snapshot, spec, taint

A, B, C = ZONES
WEB, DB = {"app": "web", "version": "1"}, {"app": "db"}
NODES = (node("a-1", zone=A), node("a-2", zone=A), node("b-1", zone=B), node("c-1", zone=C))


def app(*names: str, **more: tuple[str, ...]) -> LabelSelector:
    wanted = {"app": names, **more}
    return LabelSelector(tuple(Requirement(key, "In", values) for key, values in wanted.items()))


WEB_PODS = app("web")


def even(key: str = ZONE_LABEL, selector: LabelSelector | None = WEB_PODS, **fields: Any) -> dict[str, Any]:
    return {"spread": (SpreadConstraint(key, fields.pop("skew", 1), True, selector, **fields),)}


def near(key: str = ZONE_LABEL, selector: LabelSelector | None = WEB_PODS, **fields: Any) -> dict[str, Any]:
    return {"affinity": (PodTerm(key, selector, **fields),)}


def apart(key: str = ZONE_LABEL, selector: LabelSelector | None = WEB_PODS, **fields: Any) -> dict[str, Any]:
    return {"anti_affinity": (PodTerm(key, selector, **fields),)}


def runs(where: str, labels: dict[str, str] = WEB, **fields: Any) -> Pod:
    return pod(node=NodeName(where), labels=labels, cpu="10m", memory="1Mi", **fields)


def fitting(present: list[Pod], nodes: tuple[Any, ...] = NODES, labels: dict[str, str] = WEB, **fields: Any) -> str:
    """Which nodes take the pod: asked of each alone, by making all others too full."""
    namespaces = {"shop": {"team": "red"}, "bank": {"team": "blue"}}
    found = []
    for one in nodes:
        others = [pod(node=other.name, cpu="3910m", namespace="filler") for other in nodes if other is not one]
        new = pod("new", labels=labels, cpu="100m", **fields)
        world = snapshot(nodes=nodes, pods=[*present, *others, new], namespaces=namespaces)
        if plan(world).verdicts[new.key].node:
            found.append(str(one.name))
    return " ".join(found)


EVERYWHERE = "a-1 a-2 b-1 c-1"
UNREACHABLE = (*NODES[:3], node("c-1", zone=C, is_cordoned=True))
TAINTED = (*NODES[:3], node("c-1", zone=C, taints=(taint("gpu=yes:NoSchedule"),)))
IN_AB = {"node_terms": (NodeTerm((Requirement(ZONE_LABEL, "In", (A, B)),)),)}
RACKED = (node("a-1", zone=A, labels={"rack": "r1"}), *NODES[1:])


@pytest.mark.parametrize(
    ("present", "nodes", "asks", "expected"),
    [
        ([runs("a-1")], NODES, even(), "b-1 c-1"),
        ([runs("a-1"), runs("b-1"), runs("c-1")], NODES, even(), EVERYWHERE),
        ([runs("a-1")], NODES, even(skew=2), EVERYWHERE),
        ([runs("a-1")], NODES, even(HOSTNAME_LABEL), "a-2 b-1 c-1"),
        ([runs("a-1"), runs("a-1")], NODES, even(selector=LabelSelector(())), EVERYWHERE),
        ([runs("a-1"), runs("a-1")], NODES, even(selector=None), EVERYWHERE),
        ([runs("a-1", DB)], NODES, even(selector=app("db")), EVERYWHERE),
        ([runs("a-1", DB), runs("a-1", DB)], NODES, even(selector=app("db")), "b-1 c-1"),
        ([runs("a-1", deleted_at=NOW)], NODES, even(), EVERYWHERE),
        ([runs("a-1", namespace="bank")], NODES, even(), EVERYWHERE),
        ([runs("a-1"), runs("b-1")], UNREACHABLE, even(), ""),
        ([runs("a-1"), runs("b-1")], TAINTED, even(), ""),
        ([runs("a-1"), runs("b-1")], TAINTED, even(honor_node_taints=True), "a-1 a-2 b-1"),
        ([runs("a-1"), runs("b-1")], NODES, even() | IN_AB, "a-1 a-2 b-1"),
        ([runs("a-1"), runs("b-1")], NODES, even(honor_node_affinity=False) | IN_AB, ""),
        ([runs("a-1"), runs("b-1"), runs("c-1")], NODES, even(min_domains=4), ""),
        ([runs("a-1")], NODES, even(min_domains=4), "b-1 c-1"),
        ([runs("a-2"), runs("b-1")], RACKED, {"spread": even()["spread"] + even("rack")["spread"]}, "a-1"),
        ([runs("a-1"), runs("a-1", WEB | {"version": "2"})], NODES, even(skew=1), "b-1 c-1"),
        ([runs("a-1", WEB | {"version": "2"})], NODES, even(match_label_keys=("version",)), EVERYWHERE),
        ([runs("a-1")], NODES, even(match_label_keys=("version", "absent")), "b-1 c-1"),
    ],
)
def test_spread(present: list[Pod], nodes: tuple[Any, ...], asks: dict[str, Any], expected: str) -> None:
    assert fitting(present, nodes, **asks) == expected


BOTH = {"affinity": (PodTerm(ZONE_LABEL, app("web")), PodTerm(HOSTNAME_LABEL, app("web", version=("1",))))}


@pytest.mark.parametrize(
    ("present", "asks", "expected"),
    [
        ([runs("a-1")], near(), "a-1 a-2"),
        ([runs("a-1")], near(HOSTNAME_LABEL), "a-1"),
        ([], near(), EVERYWHERE),  # the first of its group
        ([], near(selector=app("db")), ""),  # waits for others
        ([], near(selector=None), ""),
        ([runs("b-1", namespace="bank")], near(), EVERYWHERE),
        ([runs("b-1", namespace="bank")], near(namespaces=("bank",)), "b-1"),
        ([runs("b-1", namespace="bank")], near(namespace_selector=LabelSelector(())), "b-1"),
        ([], near(namespaces=("bank",)), ""),  # it does not match itself there
        ([runs("b-1", namespace="bank")], near(namespace_selector=LabelSelector(
            (Requirement("team", "In", ("blue",)),))), "b-1"),
        ([runs("b-1", namespace="bank")], near(namespace_selector=LabelSelector(
            (Requirement("kubernetes.io/metadata.name", "In", ("bank",)),))), "b-1"),
        ([runs("a-1"), runs("b-1", WEB | {"version": "2"})], BOTH, "a-1"),  # only who matches all terms counts
        ([runs("b-1", WEB | {"version": "2"})], BOTH, EVERYWHERE),
        ([runs("b-1", WEB | {"version": "2"})], near(match_label_keys=("version",)), EVERYWHERE),
        ([], near("rack"), ""),
        ([runs("a-1", deleted_at=NOW)], near(), "a-1 a-2"),
    ],
)  # fmt: skip
def test_affinity(present: list[Pod], asks: dict[str, Any], expected: str) -> None:
    assert fitting(present, **asks) == expected


@pytest.mark.parametrize(
    ("present", "asks", "expected"),
    [
        ([runs("a-1")], apart(), "b-1 c-1"),
        ([runs("a-1")], apart(HOSTNAME_LABEL), "a-2 b-1 c-1"),
        ([runs("a-1", deleted_at=NOW)], apart(), "b-1 c-1"),
        ([runs("a-1")], apart("rack"), EVERYWHERE),  # no node has the key
        ([runs("a-1")], apart(selector=None), EVERYWHERE),
        ([runs("a-1", DB, **apart())], {}, "b-1 c-1"),  # the other's rule against this one
        ([runs("a-1", DB, **apart(selector=app("db")))], {}, EVERYWHERE),
        ([runs("a-1", DB, namespace="bank", **apart())], {}, EVERYWHERE),
        ([runs("a-1", DB, namespace="bank", **apart(namespaces=("shop",)))], {}, "b-1 c-1"),
        ([runs("a-1"), runs("b-1", WEB | {"app": "api"})], apart(
            selector=LabelSelector((Requirement("app", "Exists"),)), mismatch_label_keys=("app",)), "a-1 a-2 c-1"),
    ],
)  # fmt: skip
def test_anti_affinity(present: list[Pod], asks: dict[str, Any], expected: str) -> None:
    assert fitting(present, **asks) == expected


def launches(world: Snapshot) -> dict[tuple[str, str], int]:
    return {(str(one.group), (one.zone or "any")[-1:]): one.count for one in plan(world).launches}


def whys(decision: Decision, name: str) -> set[str]:
    (verdict,) = (found for key, found in decision.verdicts.items() if key.name == name)
    return {str(one.why) for reasons in verdict.objections.values() for one in reasons}


def test_a_dry_zone_is_served_by_the_tier_below_and_the_others_by_the_tier_above() -> None:
    spot, demand = group("spot-a", max_size=99), group("demand", max_size=99, market=Market.ON_DEMAND)
    memory = CapacityMemory().with_dry(pools_of(spot, Zone(A)), NOW.replace(hour=23), "ICE")
    kept = [pod(node=NodeName(f"{zone[-1]}-1"), cpu="3900m", labels=DB) for zone in ZONES]
    world = snapshot(
        groups=(spot, demand),
        nodes=[node(f"{zone[-1]}-1", zone=zone) for zone in ZONES],
        pods=[*kept, *pods(9, labels=WEB, cpu="1", **even())],
        memory=memory,
        policy=policy({50: ["spot"], 10: ["demand"]}),
    )
    assert launches(world) == {("spot-a", "b"): 1, ("spot-a", "c"): 1, ("demand", "a"): 1}


def test_a_wider_wave_leaves_pods_with_rules_in_their_zones() -> None:
    groups = [group(f"spot-{n}", max_size=9) for n in range(3)]
    world = snapshot(groups=groups, pods=pods(3, labels=WEB, cpu="3", **even()), wave=Wave(width=9))
    zones = sorted(one.zone or "" for one in plan(world).launches for _ in range(one.count - one.surplus))
    assert zones == [A, B, C]


def test_a_zone_that_aws_picks_is_no_promise() -> None:
    world = snapshot(groups=(group(method=LaunchMethod.DESIRED),), pods=[pod("new", labels=WEB, **even())])
    assert whys(plan(world), "new") == {"ZoneNotChosen"}


def test_no_more_hosts_are_bought_than_min_domains_asks_for() -> None:
    world = snapshot(
        groups=(group(zones=[A]),), pods=pods(20, labels=WEB, cpu="10m", **even(HOSTNAME_LABEL, min_domains=3))
    )
    assert [launch.count for launch in plan(world).launches] == [3]


def test_a_daemonset_that_the_pods_of_a_zone_repel_keeps_nobody_off_a_new_node() -> None:
    agent = DaemonSet(
        namespace="shop", name="agent", uid=Uid("agent"), spec=spec("10m", "1Mi", **apart(ZONE_LABEL, app("db")))
    )
    zones, full = (group(zones=[A]), group("spot-b", zones=[B])), [runs("a-1", DB), pod(node="a-1", cpu="3900m")]
    new = pod("new", labels=DB, cpu="2")
    there = plan(snapshot(groups=zones, nodes=(node("a-1"),), daemonsets=(agent,), pods=[*full, new]))
    assert [(launch.group, launch.count) for launch in there.launches] == [("spot-a", 1)]
    assert not plan(snapshot(groups=zones, daemonsets=(agent,), pods=[new])).launches


def test_a_pod_is_placed_beside_the_daemonset_of_a_new_node_and_away_from_it() -> None:
    agent = DaemonSet(namespace="shop", name="agent", uid=Uid("agent"), spec=spec("10m", "1Mi"), labels=DB)
    world = snapshot(groups=(group(),), daemonsets=(agent,), pods=[pod("new", **near(HOSTNAME_LABEL, app("db")))])
    assert sum(launches(world).values()) == 1
    world = snapshot(groups=(group(),), daemonsets=(agent,), pods=[pod("new", **apart(HOSTNAME_LABEL, app("db")))])
    assert not launches(world)
    assert whys(plan(world), "new") == {"PodAntiAffinity"}


def test_whoever_waits_for_a_pending_pod_goes_with_it() -> None:
    waits = pod("near", labels=DB, cpu="2", **near())
    world = snapshot(groups=(group(),), pods=[waits, pod("web", labels=WEB, cpu="100m")])
    assert sum(launches(world).values()) == 1
    world = snapshot(nodes=NODES[:1], groups=(group(),), pods=[waits, pod("web", labels=WEB, cpu="100m")])
    assert [verdict.node for verdict in plan(world).verdicts.values()] == ["a-1", "a-1"]


def test_soft_wishes_block_nothing() -> None:
    soft: dict[str, Any] = {"spread": (SpreadConstraint(ZONE_LABEL, 1, False, app("web"), min_domains=9),)}
    assert fitting([runs("a-1"), runs("a-1")], **soft) == EVERYWHERE


def test_a_group_that_must_stay_together_goes_where_it_fits() -> None:
    small = node("a-1", zone=A, allocatable=node().allocatable.with_amounts({"cpu": 1000}))
    nodes = [small, node("b-1", zone=B), node("b-2", zone=B)]
    world = snapshot(nodes=nodes, pods=pods(6, labels=WEB, cpu="1", **near()))
    assert {str(verdict.node)[0] for verdict in plan(world).verdicts.values()} == {"b"}
