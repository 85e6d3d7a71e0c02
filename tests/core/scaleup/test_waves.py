"""How a pass falls through dry offerings, wave by wave, against pools that run empty."""

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler.core.decision import LaunchResult, Outcome, Refusal, RefusalKind
from autoscaler.core.model import Market, NodeGroup, Zone
from autoscaler.core.planner import plan
from autoscaler.core.scaleup.waves import fold_results
from autoscaler.core.snapshot import Snapshot
from tests.builders import NOW, ZONES, group, pods, policy, shape, snapshot
from tests.scarcity import Course, Scarcity, play

TYPES = [f"m{generation}.{size}" for generation in (5, 6, 7) for size in ("a", "b", "c", "d")]
ONE_TIER = policy({50: ["spot"], 10: ["od"]})
TWELVE_TIERS = policy({10: ["od"]} | {100 - number: [f"spot-{number:02d}"] for number in range(12)})


def twelve_spot_groups() -> list[NodeGroup]:
    return [group(f"spot-{number:02d}", types=[kind], max_size=100) for number, kind in enumerate(TYPES)]


def on_demand() -> NodeGroup:
    return group("od", market=Market.ON_DEMAND, max_size=100)


def dry_world(count: int, tiers: object = ONE_TIER) -> tuple[Snapshot, Scarcity]:
    spot = twelve_spot_groups()
    aws = Scarcity()
    for one in spot:
        aws.empty(one)
    world = snapshot(groups=(*spot, on_demand()), pods=pods(count, cpu="3"), policy=tiers)
    return world, aws


def outcomes(course: Course) -> set[Outcome]:
    return {verdict.outcome for verdict in course.last.verdicts.values()}


def test_forty_nodes_fall_through_a_dry_tier_of_36_pools() -> None:
    course = play(*dry_world(40))
    assert course.nodes_of("od") == 40
    assert course.calls <= 45
    assert course.waves <= 5
    assert outcomes(course) == {Outcome.FITS_UPCOMING}


def test_forty_nodes_fall_through_twelve_dry_tiers() -> None:
    course = play(*dry_world(40, TWELVE_TIERS))
    assert course.nodes_of("od") == 40
    assert course.calls <= 45
    assert course.waves <= 14


@pytest.mark.parametrize("tiers", [ONE_TIER, TWELVE_TIERS], ids=["one tier", "twelve tiers"])
def test_one_pod_falls_through_and_gives_the_surplus_back(tiers: object) -> None:
    course = play(*dry_world(1, tiers))
    assert course.waves <= 14
    assert course.bought - course.returned == course.nodes_of("od") == 1
    assert course.returned <= 2
    assert outcomes(course) == {Outcome.FITS_UPCOMING}


def test_the_first_wave_asks_exactly_what_is_wanted() -> None:
    world, _ = dry_world(2)
    launches = plan(world).launches
    assert sum(launch.count for launch in launches) == 2
    assert sum(launch.surplus for launch in launches) == 0


def test_a_later_wave_asks_at_most_the_surplus_more() -> None:
    world, aws = dry_world(1)
    course = play(world, aws)
    for wave in course.launches:
        assert sum(launch.count - launch.surplus for launch in wave) == 1
        assert sum(launch.surplus for launch in wave) <= 2


def test_surplus_can_be_forbidden() -> None:
    world, aws = dry_world(1)
    course = play(replace(world, policy=replace(ONE_TIER, max_launch_surplus=0)), aws)
    assert course.bought == 1
    assert all(launch.surplus == 0 for wave in course.launches for launch in wave)


def test_surplus_counts_against_the_cluster_limit() -> None:
    world, aws = dry_world(1)
    course = play(replace(world, policy=replace(ONE_TIER, max_nodes_total=1)), aws)
    assert all(sum(launch.count for launch in wave) == 1 for wave in course.launches)
    assert course.nodes_of("od") == 1


def test_the_growth_carries_over_tiers() -> None:
    course = play(*dry_world(40, TWELVE_TIERS))
    assert [len(wave) for wave in course.launches[:2]] == [3, 3]  # a tier has no more than its three zones
    assert course.decisions[2].launches[0].group == "spot-02"


def test_a_second_burst_goes_straight_to_the_healthy_group() -> None:
    world, aws = dry_world(5)
    first = play(world, aws)
    later = replace(first.after, at=first.after.at + timedelta(seconds=5), pods=pods(10, cpu="3"))
    second = play(later, aws)
    assert second.waves == 1
    assert {launch.group for launch in second.launches[0]} == {"od"}


def test_a_group_dry_in_one_zone_is_used_in_the_others() -> None:
    spot = group("spot", max_size=100)
    aws = Scarcity()
    aws.empty(spot, Zone(ZONES[0]))
    course = play(snapshot(groups=(spot, on_demand()), pods=pods(9, cpu="3"), policy=ONE_TIER), aws)
    assert course.nodes_of("spot") == 9
    assert course.nodes_of("od") == 0
    zones = [one.zone for one in course.after.groups[0].live]
    assert sorted(zones.count(Zone(zone)) for zone in ZONES) == [0, 4, 5]


def test_partial_success_is_kept_and_the_rest_is_bought_elsewhere() -> None:
    spot = group("spot", max_size=100)
    aws = Scarcity()
    for zone in ZONES:
        aws.empty(spot, Zone(zone), left=2)
    course = play(snapshot(groups=(spot, on_demand()), pods=pods(20, cpu="3"), policy=ONE_TIER), aws)
    assert (course.nodes_of("spot"), course.nodes_of("od")) == (6, 14)


def test_the_second_type_of_a_group_helps_in_the_same_call() -> None:
    spot = group("spot", types=["m5.xlarge", "m5a.xlarge"], max_size=100)
    aws = Scarcity()
    for zone in ZONES:
        aws.empty(group("only-m5", types=["m5.xlarge"]), Zone(zone))
    course = play(snapshot(groups=(spot, on_demand()), pods=pods(3, cpu="3"), policy=ONE_TIER), aws)
    assert (course.calls, course.nodes_of("spot")) == (3, 3)


def test_a_pool_that_returned_is_probed_with_1_2_4_8() -> None:
    spot = group("spot", zones=[ZONES[0]], max_size=200)
    aws = Scarcity()
    aws.empty(spot)
    world = snapshot(groups=(spot, on_demand()), pods=pods(4, cpu="3"), policy=ONE_TIER)
    first = play(world, aws)
    assert first.nodes_of("od") == 4
    aws.refill(spot)
    later = replace(first.after, at=first.after.at + timedelta(seconds=61), pods=pods(40, cpu="3"))
    second = play(later, aws)
    assert [sum(launch.count for launch in wave) for wave in second.launches] == [1, 2, 4, 8, 21]
    assert {launch.group for wave in second.launches for launch in wave} == {"spot"}


def test_a_probe_that_is_refused_sends_all_to_the_next_tier() -> None:
    spot = group("spot", zones=[ZONES[0]], max_size=200)
    aws = Scarcity()
    aws.empty(spot)
    first = play(snapshot(groups=(spot, on_demand()), pods=pods(1, cpu="3"), policy=ONE_TIER), aws)
    later = replace(first.after, at=first.after.at + timedelta(seconds=61), pods=pods(40, cpu="3"))
    second = play(later, aws)
    assert sum(launch.count for launch in second.launches[0]) == 1
    assert second.decisions[0].undecided
    assert (second.nodes_of("spot"), second.nodes_of("od")) == (0, 40)
    assert second.waves == 2


def test_all_dry_is_told_as_waiting() -> None:
    world, aws = dry_world(1)
    aws.empty(on_demand())
    course = play(world, aws)
    assert outcomes(course) == {Outcome.WAITING}
    assert course.after.groups == world.groups


def test_tokens_differ_by_wish_and_repeat_with_it() -> None:
    world, _ = dry_world(3)
    launches = plan(world).launches
    assert len({launch.token for launch in launches}) == len(launches) == 3
    assert [launch.token for launch in plan(world).launches] == [launch.token for launch in launches]
    assert all(0 < len(launch.token) <= 64 for launch in launches)


def test_a_refused_offering_is_asked_with_a_new_token() -> None:
    spot = group("spot", zones=[ZONES[0]])
    aws = Scarcity()
    aws.empty(spot)
    world = snapshot(groups=(spot,), pods=pods(1, cpu="3"))
    first = play(world, aws)
    later = play(replace(first.after, at=first.after.at + timedelta(seconds=61)), aws)
    assert first.launches[0][0].token != later.launches[0][0].token


def test_contention_makes_nothing_dry_and_the_wave_no_wider() -> None:
    world = snapshot(groups=(group("spot"),), pods=pods(1, cpu="3"))
    launch = plan(world).launches[0]
    refusal = Refusal(kind=RefusalKind.CONTENTION, code="ResourceContention")
    after = fold_results(world, [LaunchResult(launch=launch, at=NOW, refusals=(refusal,))], 0.0)
    assert after.memory.dry_pools(NOW) == ()
    assert after.wave.width == 0


def test_weights_are_asked_in_units() -> None:
    spot = group("spot", types=[shape("m5.xlarge", weight=4)], max_size=12)
    course = play(snapshot(groups=(spot,), pods=pods(5, cpu="3")), Scarcity())
    assert [(launch.count, launch.units) for launch in course.launches[0]] == [(1, 4)] * 3
    assert course.after.groups[0].desired == 12
