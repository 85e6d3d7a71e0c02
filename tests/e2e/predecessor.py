"""What a cluster-autoscaler leaves behind: its lease, taints and status, and what it has under way at AWS.

Written as its sources write it, straight into the world: no process of theirs
runs here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from autoscaler import clock
from autoscaler.emulator.aws.groups import set_desired, terminate
from autoscaler.kubernetes.draining.marks import CANDIDATE, TO_BE_DELETED
from tests.e2e.stage import Stage, wait_for

HOLDER = "cluster-autoscaler-6d5f8c7b9-x2x7k"
LEASE = "cluster-autoscaler"
STATUS = "cluster-autoscaler-status"
DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
LAST_UPDATED = "cluster-autoscaler.kubernetes.io/last-updated"
BEGINNING = """\
autoscalerStatus: Running
clusterWide:
  health:
    lastProbeTime: "2026-03-02T09:15:41Z"
    lastTransitionTime: "2026-03-01T22:03:10Z"
    nodeCounts:
      longUnregistered: 0
      registered:
        beingDeleted: 1
        notStarted: 0
        ready: 5
        suspended: 0
        total: 5
        unready:
          resourceUnready: 0
          total: 0
      unregistered: 3
    status: Healthy
  scaleDown:
    candidates: 2
    lastProbeTime: "2026-03-02T09:15:41Z"
    lastTransitionTime: "2026-03-02T09:02:27Z"
    status: CandidatesPresent
  scaleUp:
    lastProbeTime: "2026-03-02T09:15:41Z"
    lastTransitionTime: "2026-03-02T09:14:05Z"
    status: InProgress
time: 2026-03-02 09:15:41.73120944 +0000 UTC
"""


def hold_lease(stage: Stage, seconds: int) -> None:
    """Its pod holds the lease; others wait so many seconds for it."""
    now = _micro_time()
    spec = {
        "holderIdentity": HOLDER,
        "leaseDurationSeconds": seconds,
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": 3,
    }
    stage.create("leases", {"metadata": {"name": LEASE, "namespace": "kube-system"}, "spec": spec})


def renew(stage: Stage) -> None:
    stage.change("leases", "kube-system", LEASE, lambda lease: lease["spec"].update(renewTime=_micro_time()))


def end(stage: Stage) -> None:
    """A clean end: the status is deleted, the lease given back as client-go does."""
    stage.delete("configmaps", "kube-system", STATUS)
    given_up = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
    stage.change("leases", "kube-system", LEASE, lambda lease: lease["spec"].update(given_up))


def tell_status(stage: Stage) -> None:
    meta = {"name": STATUS, "namespace": "kube-system", "annotations": {LAST_UPDATED: "2026-03-02 09:15:41 +0000 UTC"}}
    stage.create("configmaps", {"metadata": meta, "data": {"status": BEGINNING}})


def find_unneeded(stage: Stage, node: str) -> None:
    """The soft taint, two minutes old."""
    _taint(stage, node, CANDIDATE, "PreferNoSchedule", clock.now() - timedelta(minutes=2))


def mark(stage: Stage, node: str, *, cordons: bool = True) -> None:
    """The beginning of a removal; with --cordon-node-before-terminating, which is the default, `cordons`."""
    _taint(stage, node, TO_BE_DELETED, "NoSchedule", clock.now())
    if cordons:
        stage.change("nodes", "", node, lambda value: value["spec"].update(unschedulable=True))


def raise_desired(stage: Stage, group: str, units: int) -> None:
    with stage.aws.world.lock:
        found = stage.aws.world.groups[group]
        set_desired(stage.aws.world, found, found.desired + units)


def end_instance(stage: Stage, group: str, node: str) -> None:
    """Its last step; that the Node goes too is the cloud controller's, which is slow here."""
    ident = instance_of(stage.node(node))
    stage.kubernetes.call(stage.kubernetes.kubelet.instances.pop, ident)
    with stage.aws.world.lock:
        terminate(stage.aws.world, stage.aws.world.groups[group], stage.aws.world.instances[ident], decrement=True)
    wait_for(lambda: ident not in {one.id for one in stage.aws.instances(group)}, "the instance to be gone")


def instance_of(node: dict[str, Any]) -> str:
    return str(node["spec"]["providerID"]).rpartition("/")[2]


def taints_of(node: dict[str, Any]) -> set[str]:
    """The keys of cluster-autoscaler's taints on a node."""
    return {taint["key"] for taint in node["spec"].get("taints", ())} & {CANDIDATE, TO_BE_DELETED}


def _taint(stage: Stage, node: str, key: str, effect: str, since: datetime) -> None:
    taint = {"key": key, "value": str(int(since.timestamp())), "effect": effect}
    stage.change("nodes", "", node, lambda value: value["spec"].setdefault("taints", []).append(taint))


def _micro_time() -> str:
    return f"{clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"


def clean_up(stage: Stage) -> None:
    """What it does at its start: every ToBeDeleted taint goes, and the cordon of that node; nothing else."""
    for node in stage.objects("nodes"):
        if TO_BE_DELETED in taints_of(node):
            stage.change("nodes", "", node["metadata"]["name"], _clean)


def _clean(node: dict[str, Any]) -> None:
    node["spec"].pop("unschedulable", None)
    node["spec"]["taints"] = [taint for taint in node["spec"]["taints"] if taint["key"] != TO_BE_DELETED]
