"""Claims that wait for their first consumer: which free volume each gets, where one is made, and who follows whom."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from autoscaler.core.decision import Decision
from autoscaler.core.model import ZONE_LABEL, Uid
from autoscaler.core.planner import plan
from autoscaler.core.podspec import ClaimRef, LabelSelector, NodeTerm, PreferredNodeTerm, Requirement
from autoscaler.core.storage import Capacity, Claim, ClaimKey, Driver, StorageClass, Volume
from tests.builders import NOW, group, node, pod, snapshot
from tests.core.scheduling.claims import EBS, GI, LOCAL, A, B, C, claim, decide, launched, storage, user, whys, within

RWO = ("ReadWriteOnce",)
TWO_NODES = (node("n-1"), node("n-2"))


def wanting(name: str = "data", **fields: Any) -> Claim:
    return claim(name, **{"storage_class": "local", "access_modes": RWO, "uid": f"uid-of-{name}", **fields})


def free(name: str = "pv-1", on: str = "n-1", **fields: Any) -> Volume:
    known = {"storage_class": "local", "is_available": True, "size": 20 * GI, "access_modes": RWO}
    return Volume(name=name, terms=within(on, key="kubernetes.io/hostname"), **{**known, **fields})


def nodes_of(decision: Decision) -> list[str]:
    return sorted(str(one.node) for one in decision.verdicts.values() if one.node is not None)


@pytest.mark.parametrize(
    ("asks", "has", "fits"),
    [
        ({}, {}, True),
        ({"size": 21 * GI}, {}, False),
        ({"access_modes": ("ReadWriteMany",)}, {}, False),
        ({"access_modes": RWO}, {"access_modes": (*RWO, "ReadOnlyMany")}, True),
        ({"mode": "Block"}, {}, False),
        ({"mode": "Block"}, {"mode": "Block"}, True),
        ({"attributes_class": "gold"}, {}, False),
        ({}, {"attributes_class": "gold"}, False),
        ({"attributes_class": "gold"}, {"attributes_class": "gold"}, True),
        ({}, {"storage_class": "other"}, False),
        ({}, {"is_available": False}, False),
        ({}, {"is_deleted": True}, False),
        ({"selector": LabelSelector((Requirement("speed", "In", ("fast",)),))}, {}, False),
        ({"selector": LabelSelector((Requirement("speed", "In", ("fast",)),))}, {"labels": {"speed": "fast"}}, True),
        ({}, {"claim": ClaimKey("shop", "other")}, False),
        ({}, {"claim": ClaimKey("shop", "data"), "is_available": False}, True),
        ({}, {"claim": ClaimKey("shop", "data"), "claim_uid": "uid-of-data"}, True),
        ({}, {"claim": ClaimKey("shop", "data"), "claim_uid": "uid-of-the-one-before"}, False),
        ({}, {"claim": ClaimKey("shop", "data"), "storage_class": "other"}, False),
        ({}, {"claim": ClaimKey("shop", "data"), "size": 1}, False),
        ({"access_modes": ("ReadWriteMany",)}, {"claim": ClaimKey("shop", "data")}, True),
    ],
)
def test_which_free_volume_a_claim_gets(asks: dict[str, Any], has: dict[str, Any], fits: bool) -> None:
    kept = storage(wanting(**asks), volumes=(free(**has),), classes=(LOCAL,))
    decision = decide(kept, nodes=TWO_NODES)
    assert nodes_of(decision) == (["n-1"] if fits else [])
    assert fits or whys(decision) == {"Volume"}


def test_a_volume_meant_for_the_claim_goes_before_all_others() -> None:
    volumes = (free("pv-1", "n-1", size=10 * GI), free("pv-2", "n-2", claim=ClaimKey("shop", "data")))
    assert nodes_of(decide(storage(wanting(), volumes=volumes, classes=(LOCAL,)), nodes=TWO_NODES)) == ["n-2"]


def test_a_claim_whose_own_volume_is_elsewhere_gets_a_new_one_if_the_class_makes_any() -> None:
    volume = free(storage_class="ebs", claim=ClaimKey("shop", "data"), is_available=False)
    decision = decide(storage(wanting(storage_class="ebs"), volumes=(volume,)), nodes=())
    assert launched(decision) == [(A, 1)]


@pytest.mark.parametrize(
    ("volumes", "fits"), [([("pv-1", "n-1"), ("pv-2", "n-2")], []), ([("pv-1", "n-2"), ("pv-2", "n-2")], ["n-2"])]
)
@pytest.mark.parametrize("claims", [["one", "two"], ["one", "one"]], ids=["two claims", "one claim twice"])
def test_each_claim_of_a_pod_needs_a_volume_of_its_own(
    volumes: list[tuple[str, str]], fits: list[str], claims: list[str]
) -> None:
    """A claim that is listed twice is looked for twice: kube-scheduler does not tell them apart."""
    kept = storage(wanting("one"), wanting("two"), volumes=tuple(free(*each) for each in volumes), classes=(LOCAL,))
    decision = decide(kept, user("db-0", *claims), nodes=TWO_NODES)
    assert nodes_of(decision) == fits


def test_the_smallest_claim_takes_the_smallest_volume() -> None:
    volumes = (free("pv-big", size=20 * GI), free("pv-small", size=10 * GI))
    kept = storage(wanting("a", size=15 * GI), wanting("b", size=5 * GI), volumes=volumes, classes=(LOCAL,))
    assert nodes_of(decide(kept, user("db-0", "a", "b"), nodes=TWO_NODES)) == ["n-1"]


def test_what_one_pod_of_the_plan_takes_is_gone_for_the_next() -> None:
    kept = storage(wanting("one"), wanting("two"), volumes=(free(),), classes=(LOCAL,))
    decision = decide(kept, user("db-0", "one"), user("db-1", "two"), nodes=TWO_NODES)
    assert nodes_of(decision) == ["n-1"]
    more = storage(wanting("one"), wanting("two"), volumes=(free(), free("pv-2", "n-2")), classes=(LOCAL,))
    assert nodes_of(decide(more, user("db-0", "one"), user("db-1", "two"), nodes=TWO_NODES)) == ["n-1", "n-2"]


def test_replicas_with_ephemeral_volumes_take_one_each() -> None:
    ref = (ClaimRef("scratch", ephemeral=True),)
    pending = [pod(f"web-{n}", claims=ref) for n in range(3)]
    claims = [wanting(f"{one.name}-scratch", owner=one.uid) for one in pending]
    kept = storage(*claims, volumes=(free(), free("pv-2", "n-2")), classes=(LOCAL,))
    assert nodes_of(decide(kept, *pending, nodes=TWO_NODES)) == ["n-1", "n-2"]


def test_an_ephemeral_claim_that_nobody_owns_is_nobodys() -> None:
    kept = storage(claim("web-0-scratch"))
    assert whys(decide(kept, pod("web-0", claims=(ClaimRef("scratch", ephemeral=True),))), "web-0") == {"Volume"}


def test_pods_follow_the_claim_that_they_share() -> None:
    """The first of them decides in which zone the volume will be."""
    full = [node("n-a", zone=A), node("n-b", zone=B)]
    pending = [user(f"db-{n}", cpu="3", labels={"app": str(n % 2)}) for n in range(4)]
    decision = decide(storage(claim()), *pending, nodes=full)
    assert Counter(str(one.outcome) for one in decision.verdicts.values()) == {"fits-existing": 1, "launch": 3}
    assert nodes_of(decision) == ["n-a"]
    assert launched(decision) == [(A, 3)]


def test_pods_with_claims_of_their_own_go_anywhere() -> None:
    kept = storage(claim("data-0"), claim("data-1"))
    pending = [user(f"db-{n}", f"data-{n}", cpu="3") for n in range(2)]
    assert launched(decide(kept, *pending, nodes=())) == [(A, 1), (B, 1)]


def test_pods_follow_a_free_volume_that_they_share() -> None:
    kept = storage(wanting(), volumes=(free("pv-1", "n-1"), free("pv-2", "n-2")), classes=(LOCAL,))
    decision = decide(kept, user("db-0", cpu="3"), user("db-1", cpu="3"), nodes=TWO_NODES)
    assert nodes_of(decision) == ["n-1"]


def test_a_volume_that_is_being_made_on_a_node_holds_the_pod_there() -> None:
    kept = storage(claim(selected_node="n-2"))
    assert nodes_of(decide(kept, nodes=TWO_NODES)) == ["n-2"]
    taken = storage(wanting(selected_node="n-1"), volumes=(free(),), classes=(LOCAL,))
    assert nodes_of(decide(taken, nodes=TWO_NODES)) == []  # it waits for a new one, and nobody makes any


def room(zone: str, **fields: Any) -> Capacity:
    nodes = LabelSelector((Requirement(ZONE_LABEL, "In", (zone,)),))
    return Capacity(**{"namespace": "kube-system", "name": zone, "storage_class": "ebs", "nodes": nodes, **fields})


@pytest.mark.parametrize(
    ("driver", "capacities", "zones"),
    [
        (None, (room(C, largest=20 * GI),), [C]),
        (Driver(name=EBS), (room(C, largest=20 * GI),), [A]),
        (Driver(name=EBS, tells_capacity=True), (room(C, largest=20 * GI),), [C]),
        (Driver(name=EBS, tells_capacity=True), (room(C, largest=1 * GI),), []),
        (Driver(name=EBS, tells_capacity=True), (room(C, largest=20 * GI, storage_class="other"),), []),
        (Driver(name=EBS, tells_capacity=True), (room(C, largest=20 * GI, nodes=None),), []),
        (Driver(name=EBS, tells_capacity=True), (room(C, largest=20 * GI, nodes=LabelSelector()),), [A]),
        (Driver(name=EBS, tells_capacity=True), (), []),
    ],
    ids=["no driver", "not heeded", "heeded", "too small", "other class", "nowhere", "everywhere", "none told"],
)
def test_capacity_counts_where_the_driver_wants_it(
    driver: Driver | None, capacities: tuple[Capacity, ...], zones: list[str]
) -> None:
    drivers = {driver.name: driver} if driver is not None else {}
    decision = decide(storage(claim(), capacities=capacities, drivers=drivers))
    assert launched(decision) == [(zone, 1) for zone in zones]
    assert zones or whys(decision) == {"VolumeCapacity"}


@pytest.mark.parametrize(
    ("topologies", "zones"),
    [
        (((Requirement(ZONE_LABEL, "In", (B,)),), (Requirement(ZONE_LABEL, "In", (C,)),)), [B]),
        (((), (Requirement(ZONE_LABEL, "In", (C,)),)), [C]),
        (((),), []),
        (((Requirement(ZONE_LABEL, "In", (B,)), Requirement("rack", "In", ("1",))),), []),
    ],
    ids=["either", "an empty one is nowhere", "only an empty one", "all of one"],
)
def test_a_class_makes_volumes_within_its_topologies(topologies: Any, zones: list[str]) -> None:
    kind = StorageClass(name="some", provisioner=EBS, waits=True, topologies=topologies)
    rooms = tuple(room(zone, largest=20 * GI, storage_class="some") for zone in (A, B, C))
    drivers = {EBS: Driver(name=EBS, tells_capacity=True)}
    for capacities in ((), rooms):
        kept = storage(
            claim(storage_class="some"), classes=(kind,), capacities=capacities, drivers=drivers if capacities else {}
        )
        decision = decide(kept)
        assert launched(decision) == [(zone, 1) for zone in zones]
        assert zones or whys(decision) == {"Volume"}


def test_a_pod_of_another_uid_is_no_owner() -> None:
    mine = pod("web-0", claims=(ClaimRef("scratch", ephemeral=True),))
    kept = storage(claim("web-0-scratch", owner=Uid("another")))
    assert whys(decide(kept, mine, groups=(group(),)), "web-0") == {"Volume"}


def test_a_preference_moves_no_pod_to_the_volume_that_another_has() -> None:
    wish = (PreferredNodeTerm(100, NodeTerm((Requirement("disk", "In", ("ssd",)),))),)
    nodes = (node("n-1"), node("n-2", labels={"disk": "ssd"}))
    needs = user("needs", "one", needs={"disk": "ssd"}, created=NOW - timedelta(seconds=100))
    prefers = user("prefers", "two", preferred_node_terms=wish, created=NOW - timedelta(seconds=50))
    claims = [wanting(name) for name in ("one", "two")]
    volumes = (free("pv-1", "n-1"), free("pv-2", "n-2"))
    world = snapshot(nodes=nodes, pods=(prefers, needs), storage=storage(*claims, volumes=volumes, classes=(LOCAL,)))
    verdicts = plan(world).verdicts
    assert (verdicts[needs.key].node, verdicts[prefers.key].node) == ("n-2", "n-1")
