"""What an earlier process left on nodes is resumed, taken off, or left to end by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from autoscaler.core.model import Lifecycle, Node, NodeGroup, NodeName
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.draining.marks import STAMP, Stamp, Step
from autoscaler.loop.leftovers import Leftover, find_leftovers, marked_by_others
from tests.builders import NOW, group, instance, node, pod, taint

TAINT = taint("ToBeDeletedByClusterAutoscaler=1767268800:NoSchedule")


def marked(**changes: Any) -> Node:
    stamp = Stamp(
        owner="old", cause="Unneeded", since=NOW, deadline=NOW + timedelta(minutes=5), step=Step.EVICTING, attempt=2
    )
    text = msgspec.json.encode(msgspec.structs.replace(stamp, **changes)).decode()
    return node("n1", instance_id="i-1", annotations={STAMP: text}, taints=(TAINT,), is_cordoned=True)


def groups(lifecycle: Lifecycle = Lifecycle.IN_SERVICE) -> tuple[NodeGroup, ...]:
    return (group("spot-a", instances=[instance("i-1", lifecycle=lifecycle)]),)


def found(
    one: Node, of: tuple[NodeGroup, ...] | None = None, *, is_first: bool = True, busy: tuple[NodeName, ...] = ()
) -> list[Leftover]:
    snapshot = Snapshot(at=NOW, nodes=(one,), groups=groups() if of is None else of, pods=(pod("web-1", node="n1"),))
    theirs = marked_by_others(snapshot) if is_first else set()
    return list(find_leftovers(snapshot, busy=busy, identity="me", theirs=theirs))


def test_a_drain_that_had_begun_is_resumed() -> None:
    (left,) = found(marked())
    assert left.is_resumable
    assert left.stamp is not None
    assert (left.group, left.pods, left.stamp.attempt) == ("spot-a", 1, 2)


@pytest.mark.parametrize(
    "change", [{"deadline": NOW}, {"cause": "OfAnotherVersion"}, {"owner": "me"}], ids=["late", "unknown", "own"]
)
def test_what_cannot_be_resumed_is_taken_off(change: dict[str, Any]) -> None:
    (left,) = found(marked(**change))
    assert not left.is_resumable


def test_an_instance_that_is_going_needs_nothing() -> None:
    assert not found(marked(), groups(Lifecycle.LEAVING))


def test_an_instance_that_no_group_has_is_waited_for_until_the_deadline() -> None:
    assert not found(marked(), ())
    assert found(marked(deadline=NOW), ())


def test_what_is_busy_is_left_alone() -> None:
    assert not found(marked(), busy=(NodeName("n1"),))


def test_a_taint_without_a_stamp_is_taken_off_at_the_start_only() -> None:
    left = node("n1", instance_id="i-1", taints=(TAINT,), is_cordoned=True)
    assert [one.stamp for one in found(left)] == [None]
    assert not found(left, is_first=False)


def test_a_node_whose_instance_has_just_gone_is_opened_for_nobody() -> None:
    def left(age: timedelta) -> Node:
        since = taint(f"ToBeDeletedByClusterAutoscaler={int((NOW - age).timestamp())}:NoSchedule")
        return node("n1", instance_id="i-1", taints=(since,), is_cordoned=True)

    assert not found(left(timedelta(minutes=1)), ())
    assert found(left(timedelta(minutes=6)), ())
    assert found(left(timedelta(minutes=1)))


def test_where_the_taint_is_off_nothing_is_resumed_and_the_cordon_is_anothers() -> None:
    (left,) = found(replace(marked(), taints=()))
    assert not left.is_resumable
    assert left.keeps_cordon
    (left,) = found(marked())
    assert not left.keeps_cordon


def test_a_cordon_alone_is_somebody_elses() -> None:
    assert not found(node("n1", instance_id="i-1", is_cordoned=True))
