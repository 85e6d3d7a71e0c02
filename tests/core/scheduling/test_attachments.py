"""How many volumes a node attaches: each driver has its limit, and a volume counts once however many pods use it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from autoscaler.core.decision import Decision
from autoscaler.core.model import NodeName, Pod
from autoscaler.core.podspec import ClaimRef
from autoscaler.core.storage import AttachLimits, Attachment, StorageClass, Volume
from tests.builders import NOW, ZONES, group, instance, node, pod, resources
from tests.core.scheduling.claims import EBS, bound, claim, decide, launched, storage, user, whys

N1 = NodeName("n-1")
ONE_NODE = (node("n-1"),)
TINY = resources(cpu="50m", memory="1Gi", pods="10")
FULL_NODE = (node("n-1", allocatable=TINY),)


def taking(count: int, *names: str, **fields: Any) -> dict[NodeName, AttachLimits]:
    found = [NodeName(name) for name in names or ("n-1",)]
    return {name: AttachLimits(node=name, limits={EBS: count}, **fields) for name in found}


def disk(name: str = "pv-1", **fields: Any) -> Volume:
    return Volume(name=name, **{"driver": EBS, "handle": f"vol-of-{name}", **fields})


def resident(*claims: str, name: str = "runs", node: str = "n-1", **fields: Any) -> Pod:
    return user(name, *claims, node=NodeName(node), cpu="100m", **fields)


def outcomes(decision: Decision) -> Counter[str]:
    return Counter(str(one.outcome) for one in decision.verdicts.values())


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


def test_a_volume_that_a_pod_there_has_attached_costs_nothing() -> None:
    kept = storage(bound(), volumes=(disk(),), limits=taking(1))
    decision = decide(kept, resident(), user(), nodes=ONE_NODE)
    assert outcomes(decision) == {"fits-existing": 1}


def test_two_claims_of_one_handle_are_one_volume() -> None:
    volumes = (disk(handle="vol-1"), disk("pv-2", handle="vol-1"))
    kept = storage(bound(), bound("more", "pv-2"), volumes=volumes, limits=taking(1))
    assert outcomes(decide(kept, resident("more"), user(), nodes=ONE_NODE)) == {"fits-existing": 1}


def test_a_volume_attached_elsewhere_is_no_help_here() -> None:
    volumes, nodes = (disk(), disk("pv-2")), (node("n-1"), node("n-2", allocatable=TINY))
    kept = storage(bound(), bound("more", "pv-2"), volumes=volumes, limits=taking(1, "n-1", "n-2"))
    there = (resident("more"), resident(name="elsewhere", node="n-2"))
    assert outcomes(decide(kept, *there, user(), nodes=nodes)) == {"launch": 1}


@pytest.mark.parametrize("labels", [[{}, {}], [{"app": "a"}, {"app": "b"}]], ids=["of one class", "of two"])
def test_pending_pods_that_share_a_claim_attach_it_once(labels: list[dict[str, str]]) -> None:
    kept = storage(bound(), volumes=(disk(),), limits=taking(1))
    pending = [user(f"db-{n}", cpu="100m", labels=each) for n, each in enumerate(labels)]
    assert outcomes(decide(kept, *pending, nodes=ONE_NODE)) == {"fits-existing": 2}


def test_pods_that_share_a_claim_go_to_one_new_node() -> None:
    names = [f"data-{n}" for n in range(3)]
    kept = storage(*(bound(one, f"pv-{one}") for one in names), volumes=tuple(disk(f"pv-{one}") for one in names),
                   limits=taking(3))  # fmt: skip
    pending = [user(f"db-{n}", *names, cpu="100m", labels={"app": str(n % 2)}) for n in range(6)]
    decision = decide(kept, *pending, nodes=FULL_NODE)
    assert launched(decision) == [(ZONES[0], 1)]
    assert outcomes(decision) == {"launch": 6}


def test_new_nodes_have_room_for_so_many_shared_volumes() -> None:
    names = [f"data-{n}" for n in range(4)]
    kept = storage(*(bound(one, f"pv-{one}") for one in names), volumes=tuple(disk(f"pv-{one}") for one in names),
                   limits=taking(3))  # fmt: skip
    pending = [user(f"db-{n}-{m}", name, cpu="100m") for n, name in enumerate(names) for m in range(2)]
    decision = decide(kept, *pending, nodes=FULL_NODE)
    assert sum(count for _, count in launched(decision)) == 2
    assert outcomes(decision) == {"launch": 8}


def test_more_shared_volumes_than_a_node_attaches_are_hopeless_together() -> None:
    names = [f"data-{n}" for n in range(4)]
    kept = storage(*map(claim, names), limits=taking(3))
    decision = decide(kept, *(user(f"db-{n}", *names) for n in range(2)), nodes=FULL_NODE)
    assert whys(decision) == {"VolumeLimit"}


def test_an_upcoming_node_takes_what_its_kind_takes_until_its_driver_says() -> None:
    """The driver registers some time after the CSINode was made."""
    new = instance("i-2")
    limits = taking(1) | {NodeName("n-2"): AttachLimits(node=NodeName("n-2"))}
    young = node("n-2", of=new, ready=False, was_ready=False, created=NOW - timedelta(minutes=1))
    pending = [user(f"db-{n}", f"data-{n}", cpu="100m") for n in range(2)]
    kept = storage(claim("data-0"), claim("data-1"), limits=limits)
    groups = (group(instances=(new,), desired=1),)
    decision = decide(kept, *pending, nodes=(*FULL_NODE, young), groups=groups)
    assert outcomes(decision) == {"fits-upcoming": 1, "launch": 1}


@pytest.mark.parametrize(
    ("volume", "takes"),
    [(disk("pv-9"), 0), (disk("pv-9", plugin="kubernetes.io/aws-ebs"), 1), (disk("pv-8"), 1)],
    ids=["its own", "migrated", "unknown"],
)
def test_a_volume_that_its_pod_has_left_behind_takes_room(volume: Volume, takes: int) -> None:
    behind = Attachment(name="csi-1", node=N1, driver=EBS, volume="pv-9")
    kept = storage(claim(), volumes=(volume,), limits=taking(1), attachments=(behind,))
    assert outcomes(decide(kept, user(), nodes=ONE_NODE))["fits-existing"] == takes


def test_a_volume_in_use_is_not_left_behind() -> None:
    there = Attachment(name="csi-1", node=N1, driver=EBS, volume="pv-1")
    kept = storage(bound(), claim("more"), volumes=(disk(),), limits=taking(2), attachments=(there,))
    assert outcomes(decide(kept, resident(), user("db-0", "more"), nodes=ONE_NODE)) == {"fits-existing": 1}


@pytest.mark.parametrize(("provisioner", "takes"), [("kubernetes.io/aws-ebs", 1), ("kubernetes.io/vsphere-volume", 2)])
def test_a_class_of_the_plugin_before_counts_for_the_driver(provisioner: str, takes: int) -> None:
    old = StorageClass(name="old", provisioner=provisioner, waits=True)
    claims = [claim(f"data-{n}", storage_class="old") for n in range(2)]
    kept = storage(*claims, classes=(old,), limits=taking(1))
    pending = [user(f"db-{n}", f"data-{n}", cpu="100m") for n in range(2)]
    assert outcomes(decide(kept, *pending, nodes=ONE_NODE))["fits-existing"] == takes


def test_a_disk_named_in_a_running_pod_takes_room() -> None:
    old = pod("old", node=N1, inline_disks=("aws-ebs/aws://us-east-1a/vol-1",), cpu="100m")
    assert outcomes(decide(storage(claim(), limits=taking(1)), old, user(), nodes=ONE_NODE)) == {"launch": 1}


def test_replicas_with_ephemeral_volumes_stay_one_class() -> None:
    pending = [pod(f"web-{n}", claims=(ClaimRef("scratch", ephemeral=True),), cpu="100m") for n in range(4)]
    claims = [claim(f"{one.name}-scratch", owner=one.uid) for one in pending]
    decision = decide(storage(*claims, limits=taking(3)), *pending, nodes=FULL_NODE)
    assert sum(count for _, count in launched(decision)) == 2


@pytest.mark.parametrize(("of", "fits"), [("there", 1), ("new", 0)])
def test_a_node_beyond_its_limit_takes_who_attaches_nothing_new(of: str, fits: int) -> None:
    volumes = (disk(), disk("pv-2"), disk("pv-3"))
    kept = storage(bound("there"), bound("more", "pv-2"), bound("new", "pv-3"), volumes=volumes, limits=taking(1))
    decision = decide(kept, resident("there", "more"), user("db-0", of), nodes=ONE_NODE)
    assert outcomes(decision)["fits-existing"] == fits
