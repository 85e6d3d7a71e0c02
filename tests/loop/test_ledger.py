"""Our own deeds over listings of AWS that lag behind them."""

from datetime import timedelta

from autoscaler.core.decision import Launch, LaunchResult, Removal
from autoscaler.core.model import GroupName, InstanceId, NodeGroup, Zone
from autoscaler.loop.ledger import LISTING_LAG, Ledger
from tests.builders import NOW, group, instance

SOON = NOW + timedelta(seconds=10)
SPOT = GroupName("spot-a")


def launched(*names: str) -> LaunchResult:
    asked = Launch(group=SPOT, zone=Zone("eu-west-3a"), count=len(names), units=len(names))
    return LaunchResult(launch=asked, at=NOW, launched=tuple(instance(name) for name in names))


def shown(ledger: Ledger, listed: NodeGroup) -> tuple[list[str], int]:
    (seen,) = ledger.overlay((listed,), SOON)
    return [one.id for one in seen.instances if one.is_live], seen.desired


def test_an_instance_that_no_listing_shows_yet_counts() -> None:
    ledger = Ledger()
    ledger.note_results([launched("i-1")], [group("spot-a", desired=1)])
    assert shown(ledger, group("spot-a")) == (["i-1"], 1)


def test_an_instance_that_no_listing_shows_any_more_does_not_stand_twice() -> None:
    ledger = Ledger()
    ledger.note_results([launched("i-1")], [group("spot-a", desired=1)])
    listed = group("spot-a", desired=1, instances=[instance("i-1")])
    ledger.settle([listed])
    assert shown(ledger, listed) == (["i-1"], 1)
    assert ledger.overlay((group("spot-a"),), NOW + LISTING_LAG * 2) == (group("spot-a"),)


def test_an_instance_that_came_and_was_given_back_between_two_listings_leaves_no_trace() -> None:
    """Else desired stays one above the instances, and a node that never comes is waited for."""
    ledger = Ledger()
    ledger.note_results([launched("i-1")], [group("spot-a", desired=1)])
    ledger.note_removal(Removal(group=SPOT, instance=InstanceId("i-1"), decrement=True, reason="Surplus"), NOW)
    assert shown(ledger, group("spot-a")) == ([], 0)


def test_an_instance_that_is_listed_and_was_given_back_is_gone() -> None:
    ledger = Ledger()
    ledger.note_results([launched("i-1")], [group("spot-a", desired=1)])
    ledger.note_removal(Removal(group=SPOT, instance=InstanceId("i-1"), decrement=True, reason="Surplus"), NOW)
    listed = group("spot-a", desired=2, instances=[instance("i-1"), instance("i-2")])
    assert shown(ledger, listed) == (["i-2"], 1)


def test_a_raised_desired_may_be_listed_before_its_instance() -> None:
    """Else one node is counted twice, and a pod is promised a place on the one that does not exist."""
    ledger = Ledger()
    ledger.note_results([launched("i-1")], [group("spot-a", desired=1)])
    assert shown(ledger, group("spot-a", desired=1)) == (["i-1"], 1)


def test_what_is_proven_missing_stays_so_while_aws_tries_a_part_of_it_again() -> None:
    """A group at its minimum cannot shed what does not come: the rest must not be counted on anew."""
    ledger = Ledger()
    ledger.note_missing(SPOT, 5)
    ledger.note_missing(SPOT, 1)
    (seen,) = ledger.overlay((group("spot-a", desired=5),), SOON)
    assert seen.proven_missing == 5


def test_an_instance_whose_node_was_deleted_counts_as_new() -> None:
    """Else whoever deletes all Node objects has all instances terminated at once."""
    ledger = Ledger()
    old = NOW - timedelta(days=1)
    listed = group("spot-a", desired=2, instances=[instance(name, since=old) for name in ("i-1", "i-2")])
    ledger.note_nodes({InstanceId("i-1")}, NOW)
    ledger.note_nodes(set(), SOON)
    (seen,) = ledger.overlay((listed,), SOON)
    assert [one.since for one in seen.instances] == [SOON, old]
    ledger.note_nodes({InstanceId("i-1")}, SOON)
    assert ledger.overlay((listed,), SOON) == (listed,)
