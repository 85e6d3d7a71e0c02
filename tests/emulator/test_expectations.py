"""How acts of a story are judged."""

from dataclasses import replace

import pytest

from autoscaler.core.model import Market
from autoscaler.emulator.aws.journal import Call
from autoscaler.emulator.expectations import Facts, faults
from autoscaler.emulator.stories import Act, Asked, Expectation
from autoscaler.emulator.witness import Moment, NodeSeen
from tests.builders import NOW, ZONES

A, B, C = ZONES


def node(name: str, zone: str, *, leaving: bool = False) -> NodeSeen:
    return NodeSeen(id=name, group="spot", zone=zone, market=Market.SPOT, leaving=leaving, ready=True)


def call(zone: str, count: int, after: float, *refusals: str) -> Call:
    asked = {
        "AutoScalingGroupName": "spot", "AvailabilityZones.member.1": zone, "RequestedCapacity": str(count),
    }  # fmt: skip
    return Call(
        number=1, at=NOW, started=100 + after, service="autoscaling", action="LaunchInstances", parameters=asked,
        refusals=refusals,
    )  # fmt: skip


GOOD = Facts(
    running=6,
    nodes=[node("i-0", A), node("i-1", B), node("i-2", C), node("i-3", C)],
    before={"i-0": "spot"},
    calls=[call(B, 1, 0.1), call(C, 1, 0.1), call(C, 1, 0.6)],
    terminations=0,
    unschedulable=Moment(100.0, NOW),
    zones=ZONES,
)
EXPECTED = Expectation(
    nodes={"spot": 3},
    zones=(B, C),
    skew={"spot": 1},
    refusals=0,
    calls=3,
    asked=Asked(group="spot", within_ms=200),
    probes=1,
)
ACT = Act(title="a", says="b", pods=6, expect=EXPECTED)


def test_what_ends_as_told_has_no_fault() -> None:
    assert list(faults(ACT, GOOD)) == []


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (replace(GOOD, running=5), "expected 6 pods running; found 5"),
        (replace(GOOD, nodes=[*GOOD.nodes, node("i-4", B)]), "new nodes spot 3, nothing left over; found spot 4"),
        (replace(GOOD, nodes=[*GOOD.nodes[:3], node("i-3", A)]), f"expected no new node in {A}; found 1"),
        (replace(GOOD, nodes=[*GOOD.nodes[:2], node("i-2", B), node("i-3", B)]), "to 1; found 1/3/0"),
        (replace(GOOD, nodes=GOOD.nodes[1:]), "all nodes of earlier acts to stay; spot 1 went, 0 are leaving"),
        (replace(GOOD, nodes=[*GOOD.nodes, node("i-4", B, leaving=True)]), "none went, 1 are leaving"),
        (replace(GOOD, calls=[call(B, 1, 0.1, "Dry", "Dry")]), "expected 0 refusals; AWS gave 2"),
        (replace(GOOD, calls=[*GOOD.calls, call(C, 1, 0.9)]), "at most 3 launch calls; AWS got 4"),
        (replace(GOOD, calls=[call(B, 1, 0.25)]), "within 200 ms; it was asked after 250 ms"),
        (replace(GOOD, unschedulable=None), "within 200 ms; it was not asked"),
        (replace(GOOD, broken=2), "the PodDisruptionBudget to hold; 2 pods went that it wanted to stay"),
        (replace(GOOD, lost=1), "evicted before its node goes; 1 ended with it"),
        (replace(GOOD, calls=[call(B, 3, 0.1)]), f"a probe of 1 in spot {B}; it was asked for 3"),
    ],
)
def test_each_difference_is_named(facts: Facts, told: str) -> None:
    found = list(faults(ACT, facts))
    assert any(told in fault for fault in found), found


RETURN = replace(GOOD, before={"i-0": "spot", "i-9": "on-demand"}, unschedulable=None)


def test_nodes_that_should_go_are_missed_when_they_stay_and_pods_must_not_wait() -> None:
    act = Act(title="a", says="b", pods=6, expect=Expectation(nodes={"spot": 3}, gone={"on-demand": 1}))
    assert list(faults(act, RETURN)) == []
    stayed = replace(RETURN, before={"i-0": "spot"})
    assert list(faults(act, stayed)) == [
        "expected on-demand 1 to go and all others of earlier acts to stay; none went, 0 are leaving"
    ]
    waited = replace(RETURN, unschedulable=Moment(101.0, NOW))
    assert list(faults(act, waited)) == ["expected every pod that moves to have its place; one was Unschedulable"]
