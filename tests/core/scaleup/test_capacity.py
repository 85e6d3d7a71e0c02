"""What the capacity memory allows and forbids after each class of answer."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind, Why
from autoscaler.core.model import CapacityPool, GroupName, InstanceType, LaunchMethod, Market, NodeGroup, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.capacity import CapacityMemory
from tests.builders import NOW, ZONES, group, instance, shape

A, B, C = (Zone(zone) for zone in ZONES)
POLICY = Policy()
FRESH = CapacityMemory()


def after(seconds: float = 0, **more: float) -> datetime:
    return NOW + timedelta(seconds=seconds, **more)


def refusal(kind: RefusalKind = RefusalKind.NO_CAPACITY, **fields: Any) -> Refusal:
    return Refusal(**{"kind": kind, "code": "SomeCode", **fields})


def result(
    of: NodeGroup, *refusals: Refusal, at: datetime = NOW, zone: Zone | None = A, got: Iterable[str] = (), **fields: Any
) -> LaunchResult:
    """An answer; `got` names the types of the instances launched."""
    launched = tuple(instance(kind=kind, zone=zone or A) for kind in got)
    count = fields.pop("count", max(len(launched), 1))
    method = fields.pop("method", LaunchMethod.SYNC)
    launch = Launch(group=of.name, zone=zone, count=count, units=count, method=method)
    return LaunchResult(launch=launch, at=at, launched=launched, refusals=refusals, **fields)


def learn(
    memory: CapacityMemory, of: NodeGroup, *refusals: Refusal, jitter: float = 0, **fields: Any
) -> CapacityMemory:
    return memory.learn(result(of, *refusals, **fields), of, POLICY, jitter)


def whys(memory: CapacityMemory, of: NodeGroup, zone: Zone | None = A, at: datetime = NOW) -> set[Why]:
    return {objection.why for objection in memory.availability(of, zone, at).objections}


def limit(memory: CapacityMemory, of: NodeGroup, zone: Zone | None = A, at: datetime = NOW) -> int | None:
    found = memory.availability(of, zone, at)
    assert not found.objections
    return found.limit


def refused_twice(of: NodeGroup) -> CapacityMemory:
    """Dry until NOW + 60 s."""
    return learn(learn(FRESH, of, refusal(), at=after(-30)), of, refusal())


def test_a_fresh_memory_allows_everything() -> None:
    assert limit(FRESH, group()) is None
    assert FRESH.next_change(NOW) is None


def test_a_refused_pool_is_dry_for_30_seconds_then_for_60() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal())

    assert whys(memory, spot, at=after(29.9)) == {Why.IN_BACKOFF}
    assert limit(memory, spot, at=after(30)) == 1
    assert memory.next_change(NOW) == after(30)

    memory = learn(memory, spot, refusal(), at=after(30))
    assert whys(memory, spot, at=after(89.9)) == {Why.IN_BACKOFF}
    assert limit(memory, spot, at=after(90)) == 1

    memory = learn(memory, spot, refusal(), at=after(90))
    assert limit(memory, spot, at=after(150)) == 1


def test_jitter_shortens_by_up_to_a_tenth() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal(), jitter=0.5)
    assert memory.next_change(NOW) == after(28.5)


def test_the_span_runs_from_the_asking() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal(), at=after(2), seconds=2.0)
    assert memory.next_change(NOW) == after(30)


def test_the_objection_tells_the_code_and_until_when() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal(code="InsufficientInstanceCapacity"))
    (objection,) = memory.availability(spot, A, NOW).objections
    assert str(objection) == "InBackoff: InsufficientInstanceCapacity, until 12:00:30"


def test_a_pool_that_gives_again_is_asked_for_1_2_4_8_and_then_anything() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal())
    for allowed in (1, 2, 4, 8):
        assert limit(memory, spot, at=after(40)) == allowed
        memory = learn(memory, spot, at=after(40), got=["m5.xlarge"] * allowed)
    assert limit(memory, spot, at=after(40)) is None
    assert not memory.pools


def test_a_refusal_on_the_way_back_begins_again_with_the_longer_span() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal())
    memory = learn(memory, spot, at=after(30), got=["m5.xlarge"])
    memory = learn(memory, spot, refusal(), at=after(31), got=["m5.xlarge"], count=2)
    assert whys(memory, spot, at=after(90)) == {Why.IN_BACKOFF}
    assert limit(memory, spot, at=after(91)) == 1


def test_a_pool_that_has_recovered_starts_with_the_short_span() -> None:
    spot = group()
    memory = refused_twice(spot)
    for _ in range(4):
        memory = learn(memory, spot, at=after(70), got=["m5.xlarge"])
    memory = learn(memory, spot, refusal(), at=after(80))
    assert limit(memory, spot, at=after(110)) == 1


def test_two_refusals_of_one_wave_count_once() -> None:
    """Two groups that share the pool were asked at the same time."""
    one, two = group("spot-a"), group("spot-b")
    memory = learn(learn(FRESH, one, refusal()), two, refusal(), at=after(0.2))
    assert limit(memory, one, at=after(30.2)) == 1


def test_a_pool_is_one_type_in_one_zone_and_market() -> None:
    spot, other = group("spot-a"), group("spot-b", types=["m5.xlarge", "m6i.xlarge"])
    memory = learn(FRESH, spot, refusal())

    assert limit(memory, spot, B) is None
    assert limit(memory, spot, None) is None, "AWS would pick another zone"
    assert limit(memory, group("od-a", market=Market.ON_DEMAND)) is None
    assert limit(memory, other) is None, "it has another type"
    assert whys(memory, group("spot-c")) == {Why.IN_BACKOFF}, "the same pool under another name"


def test_a_refusal_that_names_the_type_leaves_the_others() -> None:
    spot = group(types=["m5.xlarge", "m6i.xlarge"])
    memory = learn(FRESH, spot, refusal(instance_type="m5.xlarge"), got=["m6i.xlarge"], count=2)
    assert memory.dry_pools(NOW) == (CapacityPool(InstanceType("m5.xlarge"), A, Market.SPOT),)
    assert limit(memory, spot) is None


def test_a_refusal_that_names_nothing_known_stands_for_the_whole_offering() -> None:
    spot = group()
    assert whys(learn(FRESH, spot, refusal(instance_type="c9.huge")), spot) == {Why.IN_BACKOFF}


def test_an_answer_that_names_only_what_was_dry_stands_for_the_whole_offering() -> None:
    spot = group(types=["m5.xlarge", "m6i.xlarge"])
    known = refusal(instance_type="m5.xlarge")
    memory = learn(FRESH, spot, known)
    assert limit(memory, spot) is None, "the other type is worth a call"
    memory = learn(memory, spot, known, at=after(1))
    assert whys(memory, spot, at=after(1)) == {Why.IN_BACKOFF}


def test_a_success_that_was_answered_before_the_refusal_proves_nothing() -> None:
    one, two = group("spot-a"), group("spot-b")
    memory = learn(FRESH, one, refusal(), at=after(0.5))
    memory = learn(memory, two, at=after(0.4), got=["m5.xlarge"])
    assert whys(memory, one, at=after(1)) == {Why.IN_BACKOFF}


def test_a_success_of_another_group_reopens_the_pool() -> None:
    one, two = group("spot-a"), group("spot-b", types=["m5.xlarge", "m6i.xlarge"])
    memory = learn(FRESH, one, refusal())
    memory = learn(memory, two, at=after(5), got=["m5.xlarge"])
    assert limit(memory, one, at=after(5)) == 2


def test_heavy_instances_may_be_fewer_than_asked() -> None:
    spot = group(types=[shape("m5.xlarge", weight=4)])
    launched = (instance(weight=4), instance(weight=4))
    launch = Launch(group=spot.name, zone=A, count=8, units=8)
    memory = FRESH.learn(LaunchResult(launch=launch, at=NOW, launched=launched), spot, POLICY, 0)
    assert limit(memory, spot) is None


def test_a_group_of_unknown_types_has_a_memory_of_its_own() -> None:
    spot, other = group("spot-a", types=[]), group("spot-b", types=[])
    memory = learn(FRESH, spot, refusal(instance_type="m5.xlarge"))
    assert whys(memory, spot) == {Why.IN_BACKOFF}
    assert limit(memory, other) is None


@pytest.mark.parametrize(
    ("kind", "first"), [(RefusalKind.CONTENTION, 2), (RefusalKind.THROTTLED, 2), (RefusalKind.NO_ANSWER, 2)]
)
def test_nothing_is_dry_after_contention_but_the_loop_does_not_spin(kind: RefusalKind, first: int) -> None:
    spot, other = group("spot-a"), group("spot-b")
    memory = learn(FRESH, spot, refusal(kind))
    assert memory.dry_pools(NOW) == ()
    assert whys(memory, spot) == {Why.IN_BACKOFF}
    assert limit(memory, spot, at=after(first)) is None
    assert limit(memory, other) is None

    memory = learn(memory, spot, refusal(kind), at=after(first))
    assert limit(memory, spot, at=after(3 * first)) is None
    assert whys(memory, spot, at=after(3 * first - 0.1)) == {Why.IN_BACKOFF}


def test_a_quota_closes_its_market_and_class_everywhere() -> None:
    spot = group("spot-a")
    memory = learn(FRESH, spot, refusal(RefusalKind.LIMIT))

    assert whys(memory, group("spot-b", types=["c5.large"]), C) == {Why.QUOTA_EXCEEDED}
    assert limit(memory, group("gpu", types=["g5.xlarge"])) is None
    assert limit(memory, group("od-a", market=Market.ON_DEMAND)) is None
    assert limit(memory, spot, at=after(minutes=5)) is None

    memory = learn(memory, spot, refusal(RefusalKind.LIMIT), at=after(minutes=5))
    assert whys(memory, spot, at=after(minutes=14)) == {Why.QUOTA_EXCEEDED}, "doubled"
    memory = learn(memory, spot, at=after(minutes=15), got=["m5.xlarge"])
    memory = learn(memory, spot, refusal(RefusalKind.LIMIT), at=after(minutes=16))
    assert limit(memory, spot, at=after(minutes=21)) is None, "a success makes the next span the first"


def test_a_full_subnet_closes_the_zone_and_no_pool() -> None:
    spot = group(subnets={A: "subnet-a", B: "subnet-b"})
    memory = learn(FRESH, spot, refusal(RefusalKind.NO_ADDRESSES))

    assert memory.dry_pools(NOW) == ()
    assert whys(memory, spot) == {Why.NO_FREE_ADDRESSES}
    assert limit(memory, spot, B) is None
    assert limit(memory, spot, None) is None
    assert whys(memory, group("od", market=Market.ON_DEMAND, subnets={A: "subnet-a"})) == {Why.NO_FREE_ADDRESSES}
    assert limit(memory, group("elsewhere", subnets={A: "subnet-z"})) is None
    assert limit(memory, spot, at=after(minutes=3)) is None


def test_a_full_subnet_that_is_not_known_closes_the_zone_for_this_group_only() -> None:
    spot = group()
    for told in (None, "subnet-x"):
        memory = learn(FRESH, spot, refusal(RefusalKind.NO_ADDRESSES, subnet=told))
        assert whys(memory, spot) == {Why.NO_FREE_ADDRESSES}
        assert limit(memory, group("spot-b")) is None


def test_an_unsupported_type_is_out_of_that_zone_for_hours() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal(RefusalKind.UNSUPPORTED, instance_type="m5.xlarge", zone=A))
    assert whys(memory, spot, at=after(hours=5)) == {Why.UNSUPPORTED}
    assert whys(memory, group("od", market=Market.ON_DEMAND)) == {Why.UNSUPPORTED}
    assert limit(memory, spot, B) is None
    assert limit(memory, spot, at=after(hours=6)) is None


def test_unsupported_without_a_type_does_not_condemn_all_types_for_others() -> None:
    spot = group(types=["m5.xlarge", "m6i.xlarge"])
    memory = learn(FRESH, spot, refusal(RefusalKind.UNSUPPORTED))
    assert whys(memory, spot) == {Why.UNSUPPORTED}
    assert limit(memory, group("spot-b")) is None


@pytest.mark.parametrize(
    ("kind", "why"), [(RefusalKind.CONFIGURATION, Why.MISCONFIGURED), (RefusalKind.UNKNOWN, Why.IN_BACKOFF)]
)
def test_other_failures_back_the_group_off_as_cluster_autoscaler_does(kind: RefusalKind, why: Why) -> None:
    spot = group()
    memory, at = FRESH, 0
    for span in (5, 10, 20, 30, 30):
        memory = learn(memory, spot, refusal(kind), at=after(minutes=at))
        assert whys(memory, spot, at=after(-1, minutes=at + span)) == {why}
        assert whys(memory, spot, B, at=after(-1, minutes=at + span)) == {why}
        assert limit(memory, spot, at=after(minutes=at + span)) is None
        at += span
    later = learn(memory, spot, refusal(kind), at=after(minutes=at + 180))
    assert limit(later, spot, at=after(minutes=at + 185)) is None, "forgotten after three hours"
    memory = learn(memory, spot, at=after(minutes=at), got=["m5.xlarge"])
    memory = learn(memory, spot, refusal(kind), at=after(minutes=at + 1))
    assert limit(memory, spot, at=after(minutes=at + 6)) is None, "a full launch forgives"


def test_nodes_that_never_come_back_the_group_off_whatever_launches() -> None:
    spot = group()
    memory = FRESH.group_failed(spot.name, "no Node within 15m", NOW, POLICY)
    assert whys(memory, spot) == {Why.IN_BACKOFF}
    memory = learn(memory, spot, at=after(minutes=6), got=["m5.xlarge"])
    memory = memory.group_failed(spot.name, "no Node within 15m", after(minutes=21), POLICY)
    assert whys(memory, spot, at=after(minutes=30)) == {Why.IN_BACKOFF}, "doubled"
    assert limit(memory, group("spot-b")) is None


def test_all_objections_are_told() -> None:
    spot = group()
    memory = learn(refused_twice(spot), spot, refusal(RefusalKind.CONFIGURATION))
    assert whys(memory, spot) == {Why.MISCONFIGURED, Why.IN_BACKOFF}
    assert whys(memory, spot, B) == {Why.MISCONFIGURED}


def test_without_the_launch_api_it_is_tried_again_after_an_hour() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal(RefusalKind.NO_LAUNCH_API))
    assert not memory.has_launch_api(GroupName("any"), NOW)
    assert memory.has_launch_api(GroupName("any"), after(hours=1))
    assert memory.next_change(NOW) == after(hours=1)
    assert limit(memory, spot) is None, "the desired method takes over at once"


def test_a_denial_to_one_group_leaves_the_others_the_launch_api() -> None:
    """An IAM policy may go by the group's tags."""
    served, denied = group("spot-a"), group("spot-b")
    memory = learn(learn(FRESH, served), denied, refusal(RefusalKind.NO_LAUNCH_API))
    assert memory.has_launch_api(served.name, NOW)
    assert not memory.has_launch_api(denied.name, NOW)
    assert memory.has_launch_api(denied.name, after(hours=1))


def test_fewer_instances_than_asked_without_an_error_is_a_short_pause() -> None:
    spot = group()
    memory = learn(FRESH, spot, got=["m5.xlarge"], count=3)
    assert whys(memory, spot) == {Why.IN_BACKOFF}
    assert limit(memory, spot, at=after(2)) is None


def test_a_raised_desired_capacity_says_nothing_yet() -> None:
    spot = group(method=LaunchMethod.DESIRED)
    memory = learn(FRESH, spot, method=LaunchMethod.DESIRED, count=3)
    assert limit(memory, spot) is None
    memory = refused_twice(spot).with_asked(spot, A, after(60))
    memory = learn(memory, spot, method=LaunchMethod.DESIRED, at=after(61))
    assert whys(memory, spot, at=after(62)) == {Why.IN_BACKOFF}, "the answer is still to come"


def test_the_refusal_number_changes_with_every_answer_and_only_then() -> None:
    spot = group()
    memory = learn(FRESH, spot, refusal())
    assert (FRESH.refusal_number(spot, A), memory.refusal_number(spot, A)) == (0, 1)
    assert memory.refusal_number(spot, B) == 0
    for kind, code in ((RefusalKind.NO_ANSWER, ""), (RefusalKind.CONTENTION, "IdempotentCallInProgressFault")):
        assert learn(memory, spot, refusal(kind, code=code)).refusal_number(spot, A) == 1, "the token is repeated"
    assert learn(memory, spot, refusal(RefusalKind.LIMIT)).refusal_number(spot, A) == 2
    assert learn(memory, spot, got=["m5.xlarge"]).refusal_number(spot, A) == 2


def test_pools_declared_dry() -> None:
    spot = group()
    memory = FRESH.with_dry([CapacityPool(InstanceType("m5.xlarge"), A, Market.SPOT)], after(hours=1), "--ice")
    assert whys(memory, spot) == {Why.IN_BACKOFF}
    assert whys(memory, group("spot-b")) == {Why.IN_BACKOFF}
    assert limit(memory, spot, B) is None


def test_old_entries_are_forgotten() -> None:
    spot = group()
    memory = learn(refused_twice(spot), spot, refusal(RefusalKind.LIMIT), zone=B)
    later = learn(memory, group("other", types=["g5.xlarge"]), at=after(hours=4), got=["g5.xlarge"])
    assert not later.pools
    assert not later.closures
    assert [offering.group for offering in later.answered] == [GroupName("other")]


def test_the_memory_is_bounded() -> None:
    memory = FRESH.with_dry(
        (CapacityPool(InstanceType(f"m5.{number}"), A, Market.SPOT) for number in range(5000)), after(60), "x"
    )
    assert len(memory.without_expired(NOW).pools) == 2000


def test_learning_leaves_the_old_memory_as_it_was() -> None:
    spot = group()
    memory = refused_twice(spot)
    before = memory.to_state()
    learn(memory, spot, refusal(), refusal(RefusalKind.LIMIT), at=after(70))
    memory.with_asked(spot, A, after(70))
    assert memory.to_state() == before


@given(
    kinds=st.lists(st.sampled_from(sorted(set(RefusalKind) - {RefusalKind.NO_LAUNCH_API})), min_size=1, max_size=3),
    types=st.lists(st.sampled_from(["m5.xlarge", "m6i.xlarge", "g5.xlarge"]), max_size=3, unique=True),
    told=st.sampled_from([None, "m5.xlarge", "c9.huge"]),
    told_zone=st.sampled_from([None, A, B, Zone("eu-west-3z")]),
    zone=st.sampled_from([None, A]),
)
def test_an_offering_that_only_refuses_is_not_asked_for_ever(
    kinds: list[RefusalKind], types: list[str], told: str | None, told_zone: Zone | None, zone: Zone | None
) -> None:
    """Whatever AWS names: after a few calls the offering objects."""
    spot = group(types=types, subnets={A: "subnet-a"})
    memory, calls = FRESH, 0
    while not memory.availability(spot, zone, after(calls / 10)).objections:
        calls += 1
        named = (refusal(kind, instance_type=told, zone=told_zone) for kind in kinds)
        memory = learn(memory, spot, *named, zone=zone, at=after(calls / 10))
        assert calls <= 2
