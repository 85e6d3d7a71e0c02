"""The usual mix, where nearly every pod is a class of its own: what the bench plans is sound."""

from __future__ import annotations

import pytest

from autoscaler.core.decision import Outcome
from autoscaler.core.layout import lay_out
from autoscaler.core.planner import plan
from bench.mix import mixed_world
from tests.core.scheduling.test_crowds import play
from tests.worlds import carried_out


@pytest.mark.parametrize("pods", [50, 200, 1000])
def test_no_more_nodes_than_pods_that_must_be_alone(pods: int) -> None:
    decision = plan(mixed_world(pods))
    assert {verdict.outcome for verdict in decision.verdicts.values()} == {Outcome.LAUNCH}
    assert sum(launch.count for launch in decision.launches) == pods // 5


@pytest.mark.parametrize("pods", [50, 200, 1000])
def test_carried_out_the_plan_launches_nothing_more(pods: int) -> None:
    world = mixed_world(pods)
    assert not plan(carried_out(world, plan(world))).launches


def test_every_promise_is_kept_in_the_order_of_the_plan() -> None:
    world = mixed_world(60)
    layout = lay_out(world)
    order = [pod for pods in layout.turns() for pod in pods]
    _, left = play(world, layout, order)
    assert not left
