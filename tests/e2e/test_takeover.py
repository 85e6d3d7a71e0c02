"""A cluster in which cluster-autoscaler was in the middle of everything is taken over, and given back.

Nothing that it had under way is lost or bought twice: a drain half done, an
instance terminated whose Node is still there, one that has not registered, a
raise that AWS cannot fill; nor are the wishes of people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml

from autoscaler.emulator.auditor import Auditor
from autoscaler.emulator.child import ChildController
from autoscaler.kubernetes.draining.marks import CANDIDATE, NOT_BALANCED, STAMP, TO_BE_DELETED
from tests.e2e import predecessor
from tests.e2e.predecessor import DISABLED, LAST_UPDATED, STATUS, instance_of, taints_of
from tests.e2e.stage import Stage, pause, wait_for
from tests.e2e.test_drain_survival import SLOW, at_the_first_eviction, at_the_marks
from tests.e2e.test_scale_down import SOON, marked, underused
from tests.e2e.test_survival import HASTY, NEVER, QUICK

SIDE_BY_SIDE = 3
pytestmark = pytest.mark.emulator("lays out by hand what theirs leaves, and refuses evictions")

TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"
THEIR_FLAGS = (
    "--cloud-provider=aws",
    "--namespace=kube-system",
    "--expander=priority",
    "--balance-similar-node-groups",
    "--skip-nodes-with-local-storage=false",
    "--scale-down-delay-after-add=0s",
    "--stderrthreshold=info",
    "--v=4",
    "--node-delete-delay-after-taint=200ms",
    "--max-graceful-termination-sec=2",
)
LASTS = 3  # seconds of their lease


@dataclass(frozen=True)
class Cast:
    """The nodes by what cluster-autoscaler was about to do with them, and the instance that is no Node yet."""

    half: str  # drained by half
    disabled: str  # unneeded, but annotated
    busy: str  # was unneeded, and is not any more
    closed: str  # cordoned by somebody else
    gone: str  # its instance is terminated
    upcoming: str  # an instance

    def staying(self) -> tuple[str, ...]:
        return self.half, self.disabled, self.busy, self.closed


def set_the_scene(stage: Stage, *, cordons: bool) -> Cast:
    """Node groups, pods, and what cluster-autoscaler did until now. Of 4 cores, no two of 3.1 share a node."""
    stage.group("od-a", "on-demand", desired=5, tags={f"{TEMPLATE}autoscaling-options/scaledownunneededtime": "1s"})
    stage.group("spot-a")
    labelled = {f"{TEMPLATE}label/pool": "batch", f"{TEMPLATE}taint/dedicated": "batch:NoSchedule"}
    stage.group("batch-a", "on-demand", tags=labelled)
    stage.aws.set_pool(market="spot", free=0)
    stage.world.set_priorities("40:\n  - ^spot-\n20:\n  - ^batch-.*\n10:\n  - ^od-\n")
    wait_for(lambda: len(ready(stage)) == 5, "the nodes")
    half, disabled, busy, closed, gone = sorted(ready(stage))
    for app, cpu, node in (
        ("web", "3100m", half),
        ("left", "500m", half),
        ("side", "1", disabled),
        ("full", "2900m", busy),
        ("lone", "600m", closed),
    ):
        place(stage, app, cpu, node)
    for node in (disabled, busy):
        predecessor.find_unneeded(stage, node)
    stage.change("nodes", "", disabled, lambda node: node["metadata"].setdefault("annotations", {}).update(WISH))
    stage.change("nodes", "", closed, lambda node: node["spec"].update(unschedulable=True))
    stage.kubernetes.kubelet.delays = NEVER
    for node in (half, gone):
        predecessor.mark(stage, node, cordons=cordons)
    predecessor.end_instance(stage, "od-a", gone)
    known = {one.id for one in stage.instances("od-a")}
    predecessor.raise_desired(stage, "od-a", 1)
    wait_for(lambda: len(stage.instances("od-a")) == 5, "the instance to be launched")
    (upcoming,) = {one.id for one in stage.instances("od-a")} - known
    stage.delete("pods", "default", stage.pods("web")[0]["metadata"]["name"])  # evicted: its successor waits
    return Cast(half, disabled, busy, closed, gone, upcoming)


WISH = {DISABLED: "true"}


def ready(stage: Stage) -> list[str]:
    return [node["metadata"]["name"] for node in stage.objects("nodes") if not node["spec"].get("taints")]


def place(stage: Stage, app: str, cpu: str, target: str) -> None:
    """A pod of a Deployment of its own on a node."""
    nodes = [node["metadata"]["name"] for node in stage.objects("nodes")]
    for name in nodes:
        stage.change("nodes", "", name, lambda node, is_closed=name != target: close(node, is_closed=is_closed))
    stage.deploy(app, 1, cpu=cpu)
    wait_for(lambda: stage.running(app) == 1, f"{app} to run on {target}")
    for name in nodes:
        stage.change("nodes", "", name, lambda node: close(node, is_closed=False))


def close(node: dict[str, dict[str, object]], *, is_closed: bool) -> None:
    node["spec"].pop("unschedulable", None)
    if is_closed:
        node["spec"]["unschedulable"] = True


def begin(stage: Stage) -> None:
    """What is under way at the moment of the change: a raise that AWS cannot fill, and pods for what is to come.

    Of the three of 3.1 cores one fits on the drained node once that is open
    again, one on the instance that is not registered yet, and one needs a new
    node; `batch` needs the group that only its tags describe.
    """
    predecessor.raise_desired(stage, "spot-a", 2)
    wait_for(lambda: failures(stage, "spot-a"), "AWS to have failed")
    stage.deploy("web", 3, cpu="3100m")
    tolerations = [{"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"}]
    stage.deploy("batch", 1, cpu="1", nodeSelector={"pool": "batch"}, tolerations=tolerations)
    predecessor.tell_status(stage)
    predecessor.hold_lease(stage, LASTS)


def failures(stage: Stage, group: str) -> int:
    with stage.aws.world.lock:
        return sum(one.status == "Failed" for one in stage.aws.world.groups[group].activities)


def written(stage: Stage) -> list[str]:
    """Whatever was asked of the API server or AWS that changes anything; only the controller asks by HTTP."""
    calls = [one.action for one in stage.aws.calls() if not one.action.startswith(("Describe", "Get"))]
    return calls + [f"{row['method']} {row['path']}" for row in stage.requests() if row["method"] != "GET"]


def let_all_register(stage: Stage) -> None:
    stage.kubernetes.kubelet.delays = QUICK
    for machine in list(stage.kubernetes.kubelet.instances.values()):
        stage.kubernetes.call(stage.kubernetes.kubelet.launch, machine)


def sizes(stage: Stage) -> dict[str, tuple[int, int]]:
    """Desired and live of each group."""
    return {name: (stage.desired(name), len(stage.instances(name))) for name in ("od-a", "spot-a", "batch-a")}


@contextmanager
def waiting_behind(stage: Stage) -> Iterator[ChildController]:
    """Ours, ready, while theirs has the lease: it must not write anything."""
    with stage.controller(*THEIR_FLAGS, *HASTY) as child:
        wait_for(lambda: child.events("lease.seen"), "the lease to be seen")
        assert child.events("lease.seen")[0]["holder"] == predecessor.HOLDER
        for _ in range(3):
            predecessor.renew(stage)
            pause(LASTS / 3)
        assert not child.events("lease.acquired")
        assert not written(stage)
        yield child


@pytest.mark.parametrize(
    ("end", "cordons"), [(predecessor.end, True), (lambda _: None, False)], ids=["released", "expired"]
)
def test_what_was_under_way_is_taken_over(end: Callable[[Stage], None], cordons: bool) -> None:
    with Stage.open() as stage:
        cast = set_the_scene(stage, cordons=cordons)
        begin(stage)
        before = stage.node(cast.gone)["spec"]
        with waiting_behind(stage) as child:
            audit = Auditor(stage.world)
            end(stage)
            wait_for(lambda: child.events("lease.acquired"), "the lease")
            wait_for(lambda: sizes(stage) == {"od-a": (6, 6), "spot-a": (0, 0), "batch-a": (1, 1)}, "the nodes")
            assert stage.node(cast.gone)["spec"] == before, "nobody may be sent to where no instance is"
            let_all_register(stage)
            wait_for(stage.all_pods_run, "all pods to run")
            check_the_end(stage, cast, audit)
            stage.change("nodes", "", cast.disabled, lambda node: node["metadata"]["annotations"].clear())
            wait_for(lambda: sizes(stage)["od-a"] == (5, 5), "the node that was wanted to stay until now to go")
            assert instance_of(stage.node(cast.half)) in {one.id for one in stage.instances("od-a")}
            assert not audit.lost
            wait_for(stage.all_pods_run, "its pod to run elsewhere")


def check_the_end(stage: Stage, cast: Cast, audit: Auditor) -> None:
    """Everything runs where it should, and nothing is left, lost or doubled."""
    pause(2.0)
    assert sizes(stage) == {"od-a": (6, 6), "spot-a": (0, 0), "batch-a": (1, 1)}
    kept = {instance_of(stage.node(name)) for name in cast.staying()} | {cast.upcoming}
    assert kept < {one.id for one in stage.instances("od-a")}
    assert not audit.lost
    assert not stage.requests("/eviction$")
    assert {pod["spec"]["nodeName"] for pod in stage.pods("left")} == {cast.half}
    assert cast.half in {pod["spec"]["nodeName"] for pod in stage.pods("web")}
    wait_for(lambda: not any(taints_of(stage.node(name)) for name in cast.staying()), "their taints to be off")
    assert [stage.node(name)["spec"].get("unschedulable", False) for name in cast.staying()] == [False] * 3 + [True]
    stage.delete("nodes", "", cast.gone)  # the cloud controller has noticed
    assert {event["involvedObject"]["name"] for event in stage.events("ClusterAutoscalerCleanup")} == {cast.half}
    check_the_status(stage)


def check_the_status(stage: Stage) -> None:
    """The status is ours, in the place and the layout of theirs."""
    (found,) = [one for one in stage.objects("configmaps", "kube-system") if one["metadata"]["name"] == STATUS]
    theirs, ours = yaml.safe_load(predecessor.BEGINNING), yaml.safe_load(found["data"]["status"])
    assert list(ours) == ["autoscalerStatus", "clusterWide", "nodeGroups", "time"]
    assert shape(ours["clusterWide"]) == shape(theirs["clusterWide"])
    assert [one["name"] for one in ours["nodeGroups"]] == ["batch-a", "od-a", "spot-a"]
    assert [one["health"]["cloudProviderTarget"] for one in ours["nodeGroups"]] == [1, 6, 0]
    assert not found["metadata"]["annotations"][LAST_UPDATED].startswith("2026-03-02 09:15:41")


def shape(value: object) -> object:
    """The keys of a document; what is left out where it is zero counts as there."""
    if not isinstance(value, dict):
        return None
    return {key: shape(part) for key, part in value.items() if key not in ("beingDeleted", "candidates")}


def test_pods_that_it_had_evicted_find_their_node_open_again_and_nothing_is_bought() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand", desired=1)
        wait_for(lambda: len(ready(stage)) == 1, "the node")
        (node,) = ready(stage)
        place(stage, "web", "3", node)
        predecessor.mark(stage, node)
        stage.delete("pods", "default", stage.pods("web")[0]["metadata"]["name"])
        wait_for(lambda: stage.pods("web", "Pending"), "the pod's successor")
        with stage.controller(*HASTY):
            wait_for(lambda: stage.running("web") == 1, "the pod to run")
            pause(1.5)
            assert not stage.launches()
            assert len(stage.instances()) == 1


@pytest.mark.parametrize("reach", [at_the_marks, at_the_first_eviction])
def test_what_ours_leaves_when_it_is_asked_to_end_is_what_theirs_cleans_up(reach: Callable[[Stage], None]) -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        with stage.controller(*HASTY, *(SLOW if reach is at_the_marks else SOON)) as child:
            underused(stage)
            reach(stage)
            (name,) = marked(stage)
            assert child.stop() == 0
        node = stage.node(name)
        assert taints_of(node) >= {TO_BE_DELETED}
        assert all(taint["value"].isdecimal() for taint in node["spec"]["taints"] if taint["key"] in taints_of(node))
        assert node["spec"]["unschedulable"] is True
        assert NOT_BALANCED not in node["metadata"]["labels"], "theirs would leave it for ever"
        (lease,) = stage.objects("leases", "kube-system")
        assert lease["spec"]["holderIdentity"] == ""
        predecessor.clean_up(stage)
        check_what_is_left(stage, name)
        with stage.controller(*HASTY, *SOON, "--paused"):
            wait_for(lambda: STAMP not in stage.node(name)["metadata"].get("annotations", {}), "the stamp to be off")
            assert stage.node(name)["spec"]["unschedulable"] is True, "the cordon is of somebody else by now"


def check_what_is_left(stage: Stage, name: str) -> None:
    """After theirs has cleaned up nothing of ours holds pods or traffic off; then somebody cordons the node."""
    node = stage.node(name)
    assert "unschedulable" not in node["spec"]
    assert {taint["key"] for taint in node["spec"].get("taints", ())} <= {CANDIDATE}
    assert set(node["metadata"].get("annotations", {})) <= {STAMP}
    assert len(stage.instances("od-a")) == stage.desired("od-a") == 2
    wait_for(lambda: stage.running("web") == 2 and stage.running("big") == 1, "all pods to run")
    stage.change("nodes", "", name, lambda value: value["spec"].update(unschedulable=True))
