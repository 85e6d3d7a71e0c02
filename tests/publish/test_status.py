"""The status as cluster-autoscaler writes it: words, times, counts, and the text byte for byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import yaml
from hypothesis import given

from autoscaler.core.decision import Decision, RefusalKind
from autoscaler.core.model import Lifecycle, Node
from autoscaler.core.planner import plan
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.snapshot import Snapshot
from autoscaler.publish.status import OUT_OF_CAPACITY, GroupStanding, Status, status_of
from autoscaler.publish.status_text import go_time, status_text
from tests.builders import NOW, ZONES, group, instance, node, policy, snapshot, taint
from tests.publish.telling import answer, launch
from tests.worlds import worlds

SECOND = timedelta(seconds=1)
GOING = {"taints": (taint("ToBeDeletedByClusterAutoscaler=:NoSchedule"),)}
TEXT = """\
autoscalerStatus: Running
clusterWide:
  health:
    lastProbeTime: "2026-01-01T12:00:10Z"
    lastTransitionTime: "2026-01-01T12:00:00Z"
    nodeCounts:
      longUnregistered: 0
      registered:
        beingDeleted: 1
        notStarted: 0
        ready: 1
        suspended: 0
        total: 2
        unready:
          resourceUnready: 0
          total: 0
      unregistered: 0
    status: Healthy
  scaleDown:
    candidates: 1
    lastProbeTime: "2026-01-01T12:00:10Z"
    lastTransitionTime: "2026-01-01T12:00:00Z"
    status: CandidatesPresent
  scaleUp:
    lastProbeTime: "2026-01-01T12:00:10Z"
    lastTransitionTime: "2026-01-01T12:00:00Z"
    status: NoActivity
nodeGroups:
- health:
    cloudProviderTarget: 2
    lastProbeTime: "2026-01-01T12:00:10Z"
    lastTransitionTime: "2026-01-01T12:00:00Z"
    maxSize: 10
    minSize: 0
    nodeCounts:
      longUnregistered: 0
      registered:
        beingDeleted: 1
        notStarted: 0
        ready: 1
        suspended: 0
        total: 2
        unready:
          resourceUnready: 0
          total: 0
      unregistered: 0
    status: Healthy
  name: spot-a
  scaleDown:
    candidates: 1
    lastProbeTime: "2026-01-01T12:00:10Z"
    lastTransitionTime: "2026-01-01T12:00:00Z"
    status: CandidatesPresent
  scaleUp:
    backoffInfo: {}
    lastProbeTime: "2026-01-01T12:00:10Z"
    lastTransitionTime: "2026-01-01T12:00:00Z"
    status: NoActivity
time: 2026-01-01 12:00:11.25 +0000 UTC
"""


def unneeded(*nodes: Node) -> Decision:
    return Decision(at=NOW, scale_down=ScaleDownMemory(unneeded={each.name: NOW for each in nodes}))


def standing(world: Snapshot, decision: Decision | None = None) -> GroupStanding:
    (found,) = status_of(world, decision or Decision(at=NOW), Status()).groups
    return found


def one_group(*nodes_fields: dict[str, Any], **fields: Any) -> Snapshot:
    """A group whose instances have these Nodes."""
    instances = [instance(f"i-{number}") for number in range(len(nodes_fields))]
    nodes = [node(f"n{number}", of=instances[number], **each) for number, each in enumerate(nodes_fields)]
    own = group("spot-a", instances=(*instances, *fields.pop("without_node", ())), **fields)
    return snapshot(groups=[own], nodes=nodes)


def test_the_text_is_theirs() -> None:
    world = one_group({}, GOING)
    status = status_of(world, unneeded(world.nodes[0]), Status())
    assert status_text(status, NOW + 10 * SECOND, NOW + 11.25 * SECOND) == TEXT


def test_before_the_first_pass_it_says_so() -> None:
    text = status_text(Status(), NOW, NOW)
    assert text.startswith("autoscalerStatus: Initializing\nclusterWide:\n  health:\n    lastProbeTime: null\n")
    assert yaml.safe_load(text)["clusterWide"]["scaleUp"] == {
        "lastProbeTime": None, "lastTransitionTime": None, "status": "",
    }  # fmt: skip
    assert go_time(NOW) == "2026-01-01 12:00:00 +0000 UTC"


def test_a_transition_keeps_its_time_until_the_next() -> None:
    world = one_group({}, {})
    first = status_of(world, Decision(at=NOW), Status())
    later = replace(world, at=NOW + 5 * SECOND)
    same = status_of(later, Decision(at=later.at), first)
    assert same == first
    changed = status_of(later, unneeded(world.nodes[0]), first)
    (before, after) = first.groups[0].standing, changed.groups[0].standing
    assert (before.scale_down.since, after.scale_down.since) == (NOW, later.at)
    assert after.health.since == NOW


def test_nodes_and_instances_are_counted_by_state() -> None:
    not_ready = {"ready": False, "ready_changed": NOW}
    world = one_group(
        {},
        {**not_ready, "was_ready": False, "created": NOW - SECOND},
        {**not_ready, "was_ready": False},
        {**not_ready, "created": NOW - SECOND},
        GOING,
        without_node=(
            instance(lifecycle=Lifecycle.PENDING, since=NOW - SECOND),
            instance(since=NOW - timedelta(minutes=16)),
            instance(lifecycle=Lifecycle.LEAVING),
        ),
    )
    counts = standing(world).standing.counts
    assert (counts.ready, counts.not_started, counts.unready, counts.being_deleted) == (1, 1, 2, 1)
    assert (counts.registered, counts.unregistered, counts.long_unregistered) == (5, 1, 1)


def test_scale_up_is_in_progress_while_something_is_to_come() -> None:
    world = one_group({})
    assert standing(world).standing.scale_up.status == "NoActivity"
    for fields in ({"desired": 3}, {"without_node": [instance(since=NOW)]}):
        assert standing(one_group({}, **fields)).standing.scale_up.status == "InProgress"
    proven = one_group({}, desired=3, proven_missing=2)
    assert standing(proven).standing.scale_up.status == "NoActivity"
    cluster = status_of(one_group({}, desired=3), Decision(at=NOW), Status()).cluster
    assert cluster.scale_up.status == "InProgress"


def test_more_unready_nodes_than_the_limits_are_unhealthy() -> None:
    down: dict[str, Any] = {"ready": False, "ready_changed": NOW}
    assert standing(one_group(*[down] * 3)).standing.health.status == "Healthy"
    bad = standing(one_group(*[down] * 4, {})).standing
    assert (bad.health.status, bad.scale_up.status) == ("Unhealthy", "Unhealthy")
    assert standing(one_group(*[down] * 4, *[{}] * 6)).standing.health.status == "Healthy"


def learned(zone: str, memory: CapacityMemory, kind: RefusalKind, detail: str) -> CapacityMemory:
    asked = answer(launch("spot-a", zone), 0, kind, code="InsufficientInstanceCapacity", detail=detail)
    return memory.learn(asked, group("spot-a"), policy(), 0.0)


def test_a_group_is_in_backoff_when_all_of_its_zones_are_closed() -> None:
    memory = learned(ZONES[0], CapacityMemory(), RefusalKind.NO_CAPACITY, "no more")
    partly = replace(one_group({}), memory=memory, at=NOW + SECOND)
    assert standing(partly).backoff is None
    for zone in ZONES[1:]:
        memory = learned(zone, memory, RefusalKind.NO_CAPACITY, "no more")
    whole = standing(replace(partly, memory=memory))
    assert whole.standing.scale_up.status == "Backoff"
    assert whole.backoff is not None
    assert whole.backoff[0] == OUT_OF_CAPACITY


def test_another_failure_has_its_own_word_and_long_messages_are_cut() -> None:
    memory = CapacityMemory().group_failed(group("spot-a").name, "x" * 900, NOW, policy())
    world = replace(one_group({}), memory=memory)
    found = standing(world)
    assert found.backoff is not None
    assert found.backoff[0] == "InBackoff"
    text = status_text(status_of(world, Decision(at=NOW), Status()), NOW, NOW)
    message = yaml.safe_load(text)["nodeGroups"][0]["scaleUp"]["backoffInfo"]["errorMessage"]
    assert message == "x" * 500


def test_odd_words_survive() -> None:
    for name in ("true", "007", "a: b", "# no", "'quoted'", 'say "so"', "é ü", "null", "-", "a\nb"):
        world = snapshot(groups=[group(name)])
        text = status_text(status_of(world, Decision(at=NOW), Status()), NOW, NOW)
        assert yaml.safe_load(text)["nodeGroups"][0]["name"] == name


@given(worlds())
def test_every_world_has_a_status_that_can_be_read_back(world: Snapshot) -> None:
    decision = plan(world)
    status = status_of(world, decision, Status())
    found = yaml.safe_load(status_text(status, world.at, world.at))
    assert [one["name"] for one in found["nodeGroups"]] == sorted(one.name for one in world.groups)
    assert found["clusterWide"]["health"]["nodeCounts"]["registered"]["total"] == len(world.nodes)
    assert status_of(world, decision, status) == status
