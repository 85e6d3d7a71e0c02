"""What holds of room that is kept spare, whatever the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Cause, Decision, Outcome
from autoscaler.core.model import PodKey
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.policy_config import parse_policy
from tests.worlds import carried_out, shuffled, worlds

law: Callable[..., Callable[..., None]] = settings(max_examples=100, derandomize=True)
SIZES: list[dict[str, Any]] = [
    {"replicas": 1},
    {"replicas": 3},
    {"linear": {"coresPerReplica": 4}},
    {"ladder": {"nodesToReplicas": [[0, 2], [3, 4]]}},
]
PLACED = (Outcome.LAUNCH, Outcome.FITS_EXISTING, Outcome.FITS_UPCOMING)


@st.composite
def reserves(draw: st.DrawFn) -> dict[str, Any]:
    groups = st.sampled_from(["spot", "on-demand", "-0", ".*", "nothing"])
    pods = st.fixed_dictionaries(
        {"cpu": st.sampled_from(["500m", "1", "3"]), "memory": st.sampled_from(["1Gi", "6Gi"])}
    )
    headroom = st.builds(
        lambda size, pod, wide, names: {**size, "pod": pod, "perZone": wide, **({"groups": names} if names else {})},
        st.sampled_from(SIZES),
        pods,
        st.booleans(),
        st.one_of(st.none(), groups),
    )
    floors = st.fixed_dictionaries({"groups": groups, "nodes": st.integers(0, 4)})
    return {"headroom": draw(st.lists(headroom, max_size=2)), "floors": draw(st.lists(floors, max_size=2))}


@st.composite
def spare_worlds(draw: st.DrawFn) -> Snapshot:
    return replace(draw(worlds()), reserve=parse_policy(yaml.safe_dump(draw(reserves()))).reserve)


def placed(decision: Decision) -> set[PodKey]:
    return {key for key, verdict in decision.verdicts.items() if verdict.outcome in PLACED}


@law
@given(spare_worlds())
def test_nobody_waits_who_would_not_without_it(world: Snapshot) -> None:
    without = plan(replace(world, reserve=type(world.reserve)()))
    decision = plan(world)
    assert decision.verdicts.keys() == without.verdicts.keys()
    assert placed(without) <= placed(decision)


@law
@given(spare_worlds())
def test_what_is_bought_for_it_names_no_pod(world: Snapshot) -> None:
    decision = plan(world)
    real = {pod.key for pod in world.pods}
    for launch in decision.launches:
        assert set(launch.pods) <= real
        assert bool(launch.pods) == (launch.cause is Cause.PENDING)
    assert len({launch.token for launch in decision.launches if launch.token}) == sum(
        bool(launch.token) for launch in decision.launches
    )


@law
@given(spare_worlds(), st.lists(st.integers(), min_size=1, max_size=8))
def test_shuffling_the_input_changes_nothing(world: Snapshot, order: list[int]) -> None:
    assert plan(shuffled(world, order)) == plan(world)


@law
@given(spare_worlds())
def test_limits_hold(world: Snapshot) -> None:
    bought: dict[str, int] = {}
    for launch in plan(world).launches:
        bought[launch.group] = bought.get(launch.group, 0) + launch.units
    for one in world.groups:
        if one.name in bought:
            assert max(one.desired, one.live_units) + bought[one.name] <= one.max_size


@law
@given(spare_worlds())
def test_carried_out_a_plan_repeated_launches_nothing_for_floors(world: Snapshot) -> None:
    """Headroom may grow with the cluster; a floor does not."""
    floors = replace(world, reserve=replace(world.reserve, headroom=()), pods=())
    decision = plan(floors)
    if sum(launch.count for launch in decision.launches) < world.policy.max_nodes_per_scaleup:
        assert not plan(carried_out(floors, decision)).launches
