"""Small clusters with volumes, and what is decided for the pods that want them."""

from __future__ import annotations

from typing import Any

from autoscaler.core.decision import Decision
from autoscaler.core.model import ZONE_LABEL, Pod
from autoscaler.core.planner import plan
from autoscaler.core.podspec import ClaimRef, NodeTerm, Requirement
from autoscaler.core.storage import NO_PROVISIONER, Claim, Storage, StorageClass, Volume
from tests.builders import ZONES, group, pod, snapshot

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
