"""Which packing wins: nobody is left out for a better look, and named criteria count as they say."""

from __future__ import annotations

import pytest

from autoscaler.core.decision import Outcome
from autoscaler.core.model import HOSTNAME_LABEL
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, Requirement, SpreadConstraint
from tests.builders import group, pods, policy, shape, snapshot


def test_a_packing_that_leaves_a_pod_out_does_not_replace_one_that_places_all() -> None:
    spread = (SpreadConstraint(HOSTNAME_LABEL, 1, True, LabelSelector((Requirement("app", "In", ("h",)),))),)
    wanting = [
        *pods(4, "w", cpu="4", memory="64Mi", host_port=80, labels={"app": "w"}),
        *pods(2, "p", cpu="3", memory="64Mi", labels={"app": "p"}),
        *pods(4, "h", cpu="1", memory="64Mi", labels={"app": "h"}, spread=spread),
    ]
    types = (shape("m", cpu="10", memory="64Gi"),)
    only = group("g", zones=("eu-west-3a",), max_size=4, reserved_profile="none", shapes=types)
    decision = plan(snapshot(groups=(only,), pods=wanting))
    assert {verdict.outcome for verdict in decision.verdicts.values()} == {Outcome.LAUNCH}


@pytest.mark.parametrize(("cpu", "more"), [("4", 1), ("3", 2)])
def test_where_nodes_count_first_a_group_that_may_give_few_is_bounded_by_them(cpu: str, more: int) -> None:
    def one(name: str, cores: str, most: int) -> object:
        types = (shape(name, cpu=cores, memory="64Gi"),)
        return group(name, zones=("eu-west-3a",), max_size=most, reserved_profile="none", shapes=types)

    groups = (one("big", "4", 10), one("capped", cpu, 1))
    world = snapshot(groups=groups, pods=pods(8, cpu="1", memory="64Mi"), policy=policy(expanders=("least-nodes",)))
    assert {launch.group: launch.count for launch in plan(world).launches} == {"big": more, "capped": 1}
