"""Volumes decide where a pod may run, as kube-scheduler's volume filters do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from autoscaler.core.decision import Decision, Outcome
from autoscaler.core.model import ZONE_LABEL, LaunchMethod, NodeName, Pod
from autoscaler.core.planner import plan
from autoscaler.core.podspec import ClaimRef, LabelSelector, NodeTerm, Requirement
from autoscaler.core.storage import (
    NO_PROVISIONER,
    AttachLimits,
    Capacity,
    Claim,
    Storage,
    StorageClass,
    Volume,
)
from tests.builders import ZONES, group, node, pod, pods, snapshot

A, B, C = ZONES
EBS = "ebs.csi.aws.com"
GI = 2**30
LOCAL = StorageClass(name="local", provisioner=NO_PROVISIONER, waits=True)


def within(*zones: str, key: str = ZONE_LABEL) -> tuple[NodeTerm, ...]:
    return (NodeTerm((Requirement(key, "In", zones),)),)


def storage(
    *claims: Claim, volumes: tuple[Volume, ...] = (), classes: tuple[StorageClass, ...] = (), **fields: Any
) -> Storage:
    known = (StorageClass(name="ebs", provisioner=EBS, waits=True), StorageClass(name="now", provisioner=EBS), *classes)
    return Storage(
        claims={one.key: one for one in claims},
        volumes={one.name: one for one in volumes},
        classes={one.name: one for one in known},
        **fields,
    )


def claim(name: str = "data", **fields: Any) -> Claim:
    return Claim(namespace="shop", name=name, **{"storage_class": "ebs", "size": 10 * GI, **fields})


def bound(name: str = "data", volume: str = "pv-1", **fields: Any) -> Claim:
    return claim(name, volume=volume, is_bound=True, **fields)


def user(name: str = "db-0", *claims: str, **fields: Any) -> Pod:
    return pod(name, claims=tuple(ClaimRef(each) for each in claims or ("data",)), **fields)


def launched(decision: Decision) -> list[tuple[str, int]]:
    return sorted((launch.zone or "any", launch.count) for launch in decision.launches)


def whys(decision: Decision, name: str = "db-0") -> set[str]:
    verdict = decision.verdicts[next(key for key in decision.verdicts if key.name == name)]
    return {str(one.why) for one in next(iter(verdict.objections.values()), ())}


def decide(kept: Storage, *pending: Pod, **fields: Any) -> Decision:
    return plan(snapshot(**{"groups": (group(),), "pods": pending or (user(),), "storage": kept, **fields}))


@pytest.mark.parametrize(
    ("kept", "zones"),
    [
        (storage(bound(), volumes=(Volume(name="pv-1", terms=within(B)),)), [B]),
        (storage(bound(), volumes=(Volume(name="pv-1", terms=within(C, key="topology.ebs.csi.aws.com/zone")),)), [C]),
        (storage(bound(), volumes=(Volume(name="pv-1", terms=within(B) + within(C)),)), [B]),
        (storage(bound(), volumes=(Volume(name="pv-1", labels={ZONE_LABEL: C}),)), [C]),
        (storage(bound(), volumes=(Volume(name="pv-1", labels={ZONE_LABEL: f"{B}__{C}"}),)), [B]),
        (storage(bound(), volumes=(Volume(name="pv-1", labels={"failure-domain.beta.kubernetes.io/zone": C}),)), [C]),
        (storage(bound(), volumes=(Volume(name="pv-1"),)), [A]),
        (storage(claim()), [A]),
        (
            storage(
                claim(storage_class="only-c"),
                classes=(
                    StorageClass(
                        name="only-c", provisioner=EBS, waits=True, topologies=((Requirement(ZONE_LABEL, "In", (C,)),),)
                    ),
                ),
            ),
            [C],
        ),
    ],
    ids=["affinity", "csi key", "terms", "old label", "two zones", "beta label", "anywhere", "unbound", "topologies"],
)
def test_the_volume_chooses_the_zone_of_the_launch(kept: Storage, zones: list[str]) -> None:
    assert launched(decide(kept)) == [(zone, 1) for zone in zones]


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (storage(), "Volume"),
        (storage(claim(storage_class="now")), "Volume"),
        (storage(claim(storage_class="gone")), "Volume"),
        (storage(claim(storage_class="")), "Volume"),
        (storage(claim(volume="pv-1")), "Volume"),
        (storage(bound(is_lost=True)), "Volume"),
        (storage(bound(is_deleted=True), volumes=(Volume(name="pv-1"),)), "Volume"),
        (storage(bound(volume="pv-9")), "Volume"),
        (storage(claim(selected_node="old-node")), "Volume"),
        (storage(bound(), volumes=(Volume(name="pv-1", terms=within("us-east-1a")),)), "VolumeNodeAffinity"),
        (storage(bound(), volumes=(Volume(name="pv-1", labels={ZONE_LABEL: "us-east-1a"}),)), "VolumeZone"),
        (storage(claim(storage_class="local"), classes=(LOCAL,)), "Volume"),
    ],
    ids=["no claim", "immediate", "no class object", "no class", "prebound", "lost", "deleted", "no volume", "selected",
         "elsewhere", "other zone", "no local volume"],
)  # fmt: skip
def test_what_no_new_node_can_serve_is_told(kept: Storage, why: str) -> None:
    decision = decide(kept)
    assert not decision.launches
    assert whys(decision) == {why}
    assert {verdict.outcome for verdict in decision.verdicts.values()} == {Outcome.UNSCHEDULABLE}


def test_two_volumes_in_different_zones_go_together_nowhere() -> None:
    apart = (Volume(name="pv-1", terms=within(A)), Volume(name="pv-2", terms=within(B)))
    kept = storage(bound("one"), bound("two", "pv-2"), volumes=apart)
    assert whys(decide(kept, user("db-0", "one", "two"))) == {"VolumeNodeAffinity"}


def test_a_zonal_volume_is_no_promise_where_aws_picks_the_zone() -> None:
    kept = storage(bound(), volumes=(Volume(name="pv-1", terms=within(B)),))
    decision = decide(kept, groups=(group(method=LaunchMethod.DESIRED),))
    assert whys(decision) == {"ZoneNotChosen"}


def test_each_replica_follows_its_own_volume() -> None:
    names = ("data-db-0", "data-db-1", "data-db-2")
    volumes = tuple(Volume(name=f"pv-{n}", terms=within(ZONES[n])) for n in range(3))
    kept = storage(*(bound(name, f"pv-{n}") for n, name in enumerate(names)), volumes=volumes)
    assert launched(decide(kept, *(user(f"db-{n}", name) for n, name in enumerate(names)))) == [(A, 1), (B, 1), (C, 1)]


def test_an_ephemeral_claim_belongs_to_its_pod() -> None:
    ref = (ClaimRef("scratch", ephemeral=True),)
    mine, foreign = pod("web-0", claims=ref), pod("web-1", claims=ref)
    kept = storage(claim("web-0-scratch", owner=mine.uid), claim("web-1-scratch", owner=mine.uid))
    decision = decide(kept, mine, foreign)
    assert [str(verdict.outcome) for _, verdict in sorted(decision.verdicts.items())] == ["launch", "unschedulable"]


def test_a_free_local_volume_holds_the_pod_to_its_node() -> None:
    terms = within("n-1", key="kubernetes.io/hostname")
    modes = ("ReadWriteOnce",)
    free = Volume(name="pv-1", storage_class="local", is_available=True, size=20 * GI, terms=terms, access_modes=modes)
    kept = storage(
        claim(storage_class="local", access_modes=modes),
        volumes=(free,),
        classes=(LOCAL,),
    )
    decision = decide(kept, nodes=(node("n-0"), node("n-1")))
    assert [verdict.node for verdict in decision.verdicts.values()] == ["n-1"]


def test_a_claim_for_one_pod_is_used_by_one_pod() -> None:
    kept = storage(bound(access_modes=("ReadWriteOncePod",)), volumes=(Volume(name="pv-1"),))
    decision = decide(kept, user("db-0"), user("db-1"))
    assert Counter(str(one.outcome) for one in decision.verdicts.values()) == {"launch": 1, "unschedulable": 1}
    running = pod("runs", claims=(ClaimRef("data"),), node=NodeName("n-1"))
    decision = decide(kept, running, user("db-0"), nodes=(node("n-1"),))
    assert whys(decision) == {"Volume"}


def test_nodes_attach_only_so_many_volumes() -> None:
    claims = [claim(f"data-{n}") for n in range(6)]
    limits = {NodeName("n-1"): AttachLimits(node=NodeName("n-1"), limits={EBS: 3})}
    using = pod("runs", claims=(ClaimRef("data-0"),), node=NodeName("n-1"), cpu="100m")
    pending = [user(f"db-{n}", f"data-{n}", cpu="100m") for n in range(1, 6)]
    decision = decide(storage(*claims, limits=limits), using, *pending, nodes=(node("n-1"),))
    assert Counter(str(one.outcome) for one in decision.verdicts.values()) == {"fits-existing": 2, "launch": 3}
    assert sum(launch.count for launch in decision.launches) == 1  # a new m5.xlarge takes three, as the known one does


def test_a_pod_with_more_volumes_than_a_node_attaches_has_no_hope() -> None:
    claims = [claim(f"data-{n}") for n in range(4)]
    limits = {NodeName("n-1"): AttachLimits(node=NodeName("n-1"), limits={EBS: 3})}
    many = user("db-0", *(one.name for one in claims))
    decision = decide(storage(*claims, limits=limits), many, nodes=(node("n-1"),))
    assert whys(decision) == {"VolumeLimit"}


@pytest.mark.parametrize(("size", "zones"), [(10, [C]), (50, [])])
def test_a_driver_that_reports_its_capacity_is_believed(size: int, zones: list[str]) -> None:
    reach = LabelSelector((Requirement(ZONE_LABEL, "In", (C,)),))
    room = Capacity(namespace="kube-system", name="c", storage_class="ebs", nodes=reach, largest=20 * GI)
    decision = decide(storage(claim(size=size * GI), capacities=(room,)))
    assert launched(decision) == [(zone, 1) for zone in zones]
    assert zones or whys(decision) == {"VolumeCapacity"}


def test_replicas_that_share_a_volume_stay_one_class() -> None:
    kept = storage(bound(), volumes=(Volume(name="pv-1", terms=within(B)),))
    decision = plan(snapshot(groups=(group(),), storage=kept, pods=pods(8, claims=(ClaimRef("data"),))))
    assert launched(decision) == [(B, 1)]
    assert {str(one.outcome) for one in decision.verdicts.values()} == {"launch"}
