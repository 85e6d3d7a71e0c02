"""Pods that move keep their own rules: spread, anti-affinity, and what becomes of a return with them."""

from __future__ import annotations

from typing import Any

from autoscaler.core.decision import Cause, Decision
from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABEL, Instance, Market, Node, NodeGroup, Pod
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, PodTerm, Requirement, SpreadConstraint
from autoscaler.core.scaledown.policy import Amount, DisruptionBudget, ScaleDownPolicy
from tests import builders
from tests.builders import ZONES

DB = LabelSelector((Requirement("app", "In", ("db",)),))
APART = (PodTerm(HOSTNAME_LABEL, DB),)
LABELS = {"app": "db"}


def _group(name: str, market: Market, zones: str, **fields: Any) -> tuple[NodeGroup, list[Node]]:
    """A group with a node in each of the zones, named after group and number."""
    instances: list[Instance] = [
        builders.instance(f"i-{name}-{number}", ZONES["abc".index(letter)]) for number, letter in enumerate(zones)
    ]
    nodes = [builders.node(f"{name}-{number}", of=one) for number, one in enumerate(instances)]
    return builders.group(name, market=market, instances=tuple(instances), **fields), nodes


def _db(node: str, cpu: str = "1", **fields: Any) -> Pod:
    return builders.pod(f"db-{node}", of=builders.spec(cpu, **fields), labels=LABELS, owner="db", node=node)


def _spread(key: str) -> tuple[SpreadConstraint, ...]:
    return (SpreadConstraint(key, 1, True, DB),)


def _causes(decision: Decision) -> dict[str, str]:
    return {str(drain.node): str(drain.cause) for drain in decision.drains}


def test_a_pod_moves_to_the_node_that_its_anti_affinity_leaves() -> None:
    group, nodes = _group("od", Market.ON_DEMAND, "aaa")
    full = builders.pod("big", cpu="2", node="od-2", owner="big")
    world = builders.snapshot(
        groups=(group,),
        nodes=tuple(nodes),
        pods=(_db("od-0", "500m", anti_affinity=APART), _db("od-1", "1960m", anti_affinity=APART), full),
    )
    assert _causes(plan(world)) == {"od-0": "Unneeded"}
    alone = builders.snapshot(groups=(group,), nodes=tuple(nodes[:2]), pods=world.pods[:2])
    decision = plan(alone)
    assert decision.drains == ()
    assert {str(one.why) for one in decision.kept[nodes[0].name]} == {"NoPlaceToMovePods"}


def test_the_node_that_goes_stays_a_topology_domain() -> None:
    """Its pod cannot go to the second host: the first would be a domain with none beside one with two."""
    group, nodes = _group("od", Market.ON_DEMAND, "ab")
    pods = [_db(f"od-{number}", "500m", spread=_spread(HOSTNAME_LABEL)) for number in range(2)]
    assert plan(builders.snapshot(groups=(group,), nodes=tuple(nodes), pods=tuple(pods))).drains == ()


def test_pods_that_spread_over_zones_move_within_their_zone() -> None:
    group, nodes = _group("od", Market.ON_DEMAND, "aab")
    pods = [_db("od-0", "500m", spread=_spread(ZONE_LABEL)), _db("od-2", "3", spread=_spread(ZONE_LABEL))]
    world = builders.snapshot(
        groups=(group,), nodes=tuple(nodes), pods=(*pods, builders.pod("x", cpu="2", node="od-1", owner="x"))
    )
    assert _causes(plan(world)) == {"od-0": "Unneeded"}


def test_several_returns_with_rules_get_replacements_in_their_zones() -> None:
    spot, _ = _group("spot", Market.SPOT, "")
    od, nodes = _group("od", Market.ON_DEMAND, "abc")
    pods = [_db(f"od-{number}", "3", spread=_spread(ZONE_LABEL), anti_affinity=APART) for number in range(3)]
    budget = ScaleDownPolicy(budget=DisruptionBudget(cluster=Amount(3)))
    world = builders.snapshot(
        groups=(spot, od),
        nodes=tuple(nodes),
        pods=tuple(pods),
        policy=builders.policy({20: ["spot"], 10: ["od"]}, scale_down=budget),
    )
    launches = plan(world).launches
    assert {(one.zone, one.count, one.cause) for one in launches} == {(zone, 1, Cause.RETURN_TO_SPOT) for zone in ZONES}


def test_a_pod_with_a_constraint_that_nobody_knows_keeps_its_node() -> None:
    group, nodes = _group("od", Market.ON_DEMAND, "aa")
    odd = _db("od-0", "500m", unknowns=("spec.frobnicate",))
    big = builders.pod("big", cpu="2", node="od-1", owner="big")
    decision = plan(builders.snapshot(groups=(group,), nodes=tuple(nodes), pods=(odd, big)))
    (reason,) = decision.kept[nodes[0].name]
    assert (str(reason.why), "UnknownConstraint" in reason.detail) == ("NoPlaceToMovePods", True)
