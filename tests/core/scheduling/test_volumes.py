"""Volumes decide where a pod may run, as kube-scheduler's volume filters do."""

from __future__ import annotations

from collections import Counter

import pytest

from autoscaler.core.decision import Decision, Outcome
from autoscaler.core.model import ZONE_LABEL, LaunchMethod, NodeName
from autoscaler.core.planner import plan
from autoscaler.core.podspec import ClaimRef, LabelSelector, NodeTerm, Requirement
from autoscaler.core.storage import (
    AttachLimits,
    Capacity,
    Storage,
    StorageClass,
    Volume,
)
from tests.builders import ZONES, group, node, pod, pods, snapshot
from tests.core.scheduling.claims import (
    EBS,
    GI,
    LOCAL,
    A,
    B,
    C,
    bound,
    claim,
    decide,
    launched,
    storage,
    user,
    whys,
    within,
)


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


def test_a_claim_that_one_pod_may_use_is_not_the_ephemeral_volume_of_that_name() -> None:
    """Only claims that are named in the pod count as used, whatever an ephemeral volume is called."""
    running = pod("runs", claims=(ClaimRef("data", ephemeral=True),), node=NodeName("n-1"))
    kept = storage(bound(access_modes=("ReadWriteOncePod",)), volumes=(Volume(name="pv-1"),))
    assert fitting(decide(kept, running, user(), nodes=(node("n-1"),))) == ["n-1"]


@pytest.mark.parametrize(
    ("labels", "is_ephemeral", "zones"),
    [
        ({ZONE_LABEL: C}, True, [A]),
        ({ZONE_LABEL: f"{B} __ {C}"}, False, [B]),
        ({ZONE_LABEL: f"{C}__"}, False, [A]),
        ({ZONE_LABEL: ""}, False, [A]),
        ({"failure-domain.beta.kubernetes.io/region": "eu-west-3", ZONE_LABEL: C}, False, [C]),
        ({"topology.kubernetes.io/region": "us-east-1"}, False, []),
    ],
    ids=["ephemeral", "blanks", "an empty part", "empty", "region", "other region"],
)
def test_the_zone_labels_of_a_volume(labels: dict[str, str], is_ephemeral: bool, zones: list[str]) -> None:
    name = "db-0-data" if is_ephemeral else "data"
    one = pod("db-0", claims=(ClaimRef("data", ephemeral=is_ephemeral),))
    kept = storage(bound(name, owner=one.uid), volumes=(Volume(name="pv-1", labels=labels),))
    assert launched(decide(kept, one)) == [(zone, 1) for zone in zones]


@pytest.mark.parametrize(
    ("migrated", "fits"),
    [
        ((), ["n-1"]),
        (("kubernetes.io/aws-ebs",), ["n-2"]),
        (("kubernetes.io/gce-pd",), ["n-1"]),
    ],
    ids=["not migrated", "migrated", "another plugin"],
)
def test_where_the_driver_took_over_its_words_count(migrated: tuple[str, ...], fits: list[str]) -> None:
    """On a node whose CSINode says so; n-1 has the label of the plugin, n-2 that of the driver."""
    disk = Volume(name="pv-1", plugin="kubernetes.io/aws-ebs", terms=within("z"), migrated_terms=within("z", key=EBS))
    nodes = (node("n-1", zone="z"), node("n-2", labels={EBS: "z"}))
    limits = {each.name: AttachLimits(node=each.name, migrated=frozenset(migrated)) for each in nodes}
    assert fitting(decide(storage(bound(), volumes=(disk,), limits=limits), nodes=nodes)) == fits


def test_the_name_of_the_node_is_no_part_of_a_volume_s_affinity() -> None:
    here = Requirement("metadata.name", "In", ("n-1",)), Requirement("metadata.name", "NotIn", ("n-1",))
    for requirement, fits in zip(here, ([], ["n-1"]), strict=True):
        disk = Volume(name="pv-1", terms=(NodeTerm(fields=(requirement,)),))
        assert fitting(decide(storage(bound(), volumes=(disk,)), nodes=(node("n-1"),), groups=())) == fits


def fitting(decision: Decision) -> list[str]:
    return [str(one.node) for one in decision.verdicts.values() if one.node is not None]
