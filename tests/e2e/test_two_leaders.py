"""Two that believe to lead: what the stopped one had sent arrives after its successor has acted, and does no harm.

The first process is stopped (SIGSTOP) while a write of its own is on the way.
The second takes the lease over and acts; then the stale write arrives, and
the first wakes up. One test for each kind of write.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from autoscaler.emulator.auditor import Auditor
from autoscaler.emulator.child import ChildController
from autoscaler.kubernetes.draining.marks import STAMP
from tests.e2e.detour import Detour
from tests.e2e.stage import A, Stage, metric, pause, wait_for
from tests.e2e.test_drain_survival import step_of
from tests.e2e.test_scale_down import SOON, marked, underused
from tests.e2e.test_survival import HASTY

SIDE_BY_SIDE = 2
pytestmark = pytest.mark.emulator("holds requests on their way, which TLS hides")

TERMINATE = "TerminateInstanceInAutoScalingGroup"
STATUS = "cluster-autoscaler-status"
WRITTEN = "priority_autoscaler_status_writes_total"
FLAGS = (*HASTY, *SOON, "--max-bulk-soft-taint-count=0")


@contextmanager
def detoured(stage: Stage, *flags: str) -> Iterator[tuple[ChildController, Detour, Detour]]:
    """A controller that reaches AWS and the API server by detours."""
    with Detour.start(stage.aws.url) as aws, Detour.start(stage.kubernetes.url) as kubernetes:
        file = stage.world.kubeconfig.with_name("detour")
        file.write_text(stage.kubernetes.kubeconfig().replace(stage.kubernetes.url, kubernetes.url))
        with stage.controller(*flags, AWS_ENDPOINT_URL=aws.url, KUBECONFIG=str(file)) as child:
            try:
                yield child, aws, kubernetes
            finally:
                if child.returncode is None:
                    os.kill(child.pid, signal.SIGCONT)


def overtake(
    stage: Stage,
    first: ChildController,
    detour: Detour,
    acted: Callable[[ChildController], object],
    *flags: str,
    settled: Callable[[], object] = lambda: True,
) -> str:
    """Stop the first once its write is on the way, let a second act, then let the write arrive; return its answer.

    At the end the second still runs and has `settled` what the write did, and
    the first has seen that it leads no more.
    """
    wait_for(lambda: detour.held, "the write to be on its way")
    os.kill(first.pid, signal.SIGSTOP)
    with stage.controller(*(flags or FLAGS)) as second:
        wait_for(lambda: second.events("lease.acquired"), "the successor to lead")
        wait_for(lambda: acted(second), "the successor to act")
        detour.release()
        wait_for(lambda: detour.answers, "the stale write to be answered")
        os.kill(first.pid, signal.SIGCONT)
        wait_for(lambda: first.returncode is not None, "the first to end")
        assert first.returncode == 1
        wait_for(lambda: first.events("lease.lost"), "its last words")
        pause(1.0)
        wait_for(settled, "the successor to have settled it")
        assert second.returncode is None
    return detour.answers[0].decode().split()[1]


def test_a_stale_launch_replays_the_answer_of_its_token() -> None:
    with Stage.open() as stage:
        stage.group("spot-a", zones=[A])
        with detoured(stage, *HASTY) as (first, aws, _):
            aws.hold(b"Action=LaunchInstances")
            stage.deploy("web", 3)
            assert overtake(stage, first, aws, lambda _: stage.running("web") == 3, *HASTY) == "200"
        assert len(stage.launches()) == 2
        assert len({call.parameters["ClientToken"] for call in stage.launches()}) == 1
        assert len(stage.instances("spot-a")) == stage.desired("spot-a") == 3


def test_a_stale_termination_takes_no_other_instance_and_no_second_place() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.keep("web", 1)
        with detoured(stage, *FLAGS) as (first, aws, _):
            underused(stage)
            audit = Auditor(stage.world)
            aws.hold(f"Action={TERMINATE}".encode())
            assert overtake(stage, first, aws, lambda _: len(stage.instances("spot-a")) == 1) == "400"
        assert len({call.parameters["InstanceId"] for call in stage.aws.calls(TERMINATE)}) == 1
        assert len(stage.instances("spot-a")) == stage.desired("spot-a") == 1
        assert stage.running("web") == 2
        assert stage.running("big") == 1
        assert audit.clean(), vars(audit)


def owner_of(stage: Stage) -> str:
    """Whose drain stands on a node."""
    for node in stage.objects("nodes"):
        text = node["metadata"].get("annotations", {}).get(STAMP)
        if text:
            return str(json.loads(text)["owner"])
    return ""


def test_stale_marks_do_not_replace_those_of_the_successor() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with detoured(stage, *FLAGS) as (first, _, kubernetes):
            underused(stage)
            kubernetes.hold(rb"^PUT /api/v1/nodes/")
            owners: list[str] = []

            def has_marked(_: ChildController) -> bool:
                is_marked = step_of(stage) == "Marked"  # first: who marked it stands there by then
                owners[:] = [owner_of(stage)]
                return is_marked

            slow = (*FLAGS, "--node-delete-delay-after-taint=8s")
            assert overtake(stage, first, kubernetes, has_marked, *slow) == "409"
            assert owners[0]
            assert owner_of(stage) in ("", owners[0])
        with stage.controller(*FLAGS):
            wait_for(lambda: len(stage.instances("spot-a")) == 1 and not marked(stage), "the drain to be finished")


def test_stale_marks_on_a_node_that_the_successor_keeps_are_taken_off() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with detoured(stage, *FLAGS) as (first, _, kubernetes):
            underused(stage)
            kubernetes.hold(rb"^PUT /api/v1/nodes/")
            assert overtake(stage, first, kubernetes, lambda _: True, *FLAGS, "--paused") == "200"
        with stage.controller(*FLAGS, "--paused"):
            wait_for(lambda: not marked(stage), "the marks to be taken off")
        assert len(stage.instances("spot-a")) == 2
        assert not stage.requests("/eviction$")


def with_stateful_pod(stage: Stage) -> None:
    """Two nodes: a pod of a StatefulSet alone on one, `big` on the other."""
    stage.deploy("full", 1, cpu="3", memory="1Gi")
    container = {"name": "main", "image": "example", "resources": {"requests": {"cpu": "400m", "memory": "1Gi"}}}
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "serviceName": "db", "selector": {"matchLabels": labels}, "template": template}
    stage.create("statefulsets", {"metadata": {"name": "db", "namespace": "default"}, "spec": spec})
    wait_for(lambda: stage.running("db") == 1 and stage.running("full") == 1, "the first node's pods to run")
    stage.deploy("big", 1, cpu="1500m", memory="1Gi")
    wait_for(lambda: stage.running("big") == 1, "the other's to run")
    stage.deploy("full", 0)


def test_a_stale_eviction_leaves_the_pod_alone_that_has_the_old_ones_name() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with detoured(stage, *FLAGS) as (first, _, kubernetes):
            kubernetes.hold(rb"^POST \S+/db-0/eviction")
            with_stateful_pod(stage)
            old = stage.pods("db")[0]["metadata"]["uid"]
            new: list[dict[str, Any]] = []

            def has_moved_it(_: ChildController) -> bool:
                new[:] = stage.pods("db", "Running")
                return len(stage.instances("spot-a")) == 1 and bool(new)

            assert overtake(stage, first, kubernetes, has_moved_it) in ("404", "409")
        assert new[0]["metadata"]["uid"] != old
        assert [pod["metadata"]["uid"] for pod in stage.pods("db", "Running")] == [new[0]["metadata"]["uid"]]


def test_a_stale_status_does_not_replace_that_of_the_successor() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with detoured(stage, *HASTY) as (first, _, kubernetes):
            wait_for(lambda: has_written(first), "the first status")
            kubernetes.hold(b"^PUT \\S+/configmaps/" + STATUS.encode())
            assert overtake(stage, first, kubernetes, has_written, *HASTY) == "409"


def has_written(child: ChildController) -> bool:
    return metric(child, WRITTEN, result="written") > 0


def test_a_stale_state_does_not_replace_that_of_the_successor() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with detoured(stage, *HASTY) as (first, _, kubernetes):
            kubernetes.hold(rb"^(POST|PUT) \S+/configmaps(/\S+)? [^{]*\{.*priority-autoscaler-state")

            def has_saved(_: ChildController) -> bool:
                stage.deploy("web", 1)
                return stage.running("web") == 1 and "i-" in state_of(stage)

            assert overtake(stage, first, kubernetes, has_saved, *HASTY) == "409"
        assert "i-" in state_of(stage)


def state_of(stage: Stage) -> str:
    """When each instance was first seen, as it stands in the state."""
    found = {one["metadata"]["name"]: one for one in stage.objects("configmaps", "kube-system")}
    return str(found["priority-autoscaler-state"]["data"]["firstSeen"]) if "priority-autoscaler-state" in found else ""


def test_a_stale_renewal_does_not_take_the_lease_back() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        with detoured(stage, *HASTY) as (first, _, kubernetes):
            kubernetes.hold(rb"^PUT \S+/leases/cluster-autoscaler")
            assert overtake(stage, first, kubernetes, lambda _: True, *HASTY) == "409"
