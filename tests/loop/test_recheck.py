"""The second look decides about one node alone, as if it carried no marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec

from autoscaler.core.model import Node
from autoscaler.core.planner import plan
from autoscaler.core.scaledown.memory import ScaleDownMemory
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.draining.marks import STAMP, Stamp
from autoscaler.loop.recheck import as_if_unmarked, why_kept
from tests.builders import NOW, group, instance, node, pod, policy, taint


def marked(name: str, *, cordoned: bool = True) -> Node:
    stamp = Stamp(owner="me", cause="Unneeded", since=NOW, deadline=NOW + timedelta(minutes=5), cordoned=cordoned)
    return node(
        name,
        instance_id=f"i-{name}",
        annotations={STAMP: msgspec.json.encode(stamp).decode()},
        taints=(taint("ToBeDeletedByClusterAutoscaler=1767268800:NoSchedule"),),
        is_cordoned=True,
    )


def world(*nodes: Node) -> Snapshot:
    """Nodes of 4 cores with a pod each, all just seen by a loop that remembers nothing yet."""
    instances = [instance(f"i-{one.name}") for one in nodes]
    pods = [pod(f"web-{one.name}", node=one.name, owner="ReplicaSet/web", created=NOW) for one in nodes]
    return Snapshot(
        at=NOW,
        nodes=nodes,
        groups=(group("spot-a", desired=len(nodes), instances=instances),),
        pods=tuple(pods),
        policy=policy(),
        scale_down=ScaleDownMemory(added={group("spot-a").name: NOW}),
    )


def objection(snapshot: Snapshot, name: str) -> str:
    wanted = next(one.name for one in snapshot.nodes if one.name == name)
    return why_kept(plan(as_if_unmarked(snapshot, wanted)), wanted)


def test_a_node_that_still_can_go_goes_whatever_the_clocks_say() -> None:
    assert objection(world(marked("n1"), node("n2", instance_id="i-n2")), "n1") == ""


def test_without_a_place_for_its_pods_it_stays() -> None:
    full = world(marked("n1"), node("n2", instance_id="i-n2"))
    full = replace(full, pods=(*full.pods, pod("big", node="n2", cpu="3300m", owner="ReplicaSet/big")))
    assert "NoPlaceToMovePods" in objection(full, "n1")


def test_a_cordon_that_was_there_before_still_counts() -> None:
    assert "ForeignCordon" in objection(world(marked("n1", cordoned=False), node("n2", instance_id="i-n2")), "n1")


def test_paused_keeps_it() -> None:
    snapshot = world(marked("n1"), node("n2", instance_id="i-n2"))
    paused = replace(snapshot.policy, scale_down=replace(snapshot.policy.scale_down, paused=True))
    assert "Paused" in objection(replace(snapshot, policy=paused), "n1")


def test_another_node_takes_neither_its_turn_nor_its_places() -> None:
    snapshot = world(marked("n2"), node("n1", instance_id="i-n1"), node("n3", instance_id="i-n3"))
    seen = as_if_unmarked(snapshot, snapshot.nodes[0].name)
    decision = plan(seen)
    assert [drain.node for drain in decision.drains] == ["n2"]
    assert set(decision.kept) == {"n1", "n3"}
