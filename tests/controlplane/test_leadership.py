"""Two replicas of the controller and one lease on a real API server: one leads, and the other takes over."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from anyio.from_thread import start_blocking_portal

from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.child import ChildController
from tests.controlplane.authority import write_kubeconfig
from tests.controlplane.client import wait_for
from tests.controlplane.cluster import NAMESPACE, Cluster
from tests.controlplane.hollow import joined
from tests.controlplane.test_scaling import TAG
from tests.kubernetes.link import Link, linked

pytestmark = pytest.mark.controlplane

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/cluster-autoscaler"
QUICK = ("--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms")
FREEZE = Callable[[], None]


@pytest.fixture
def aws(own: Cluster) -> Iterator[AwsEmulator]:
    with joined(own) as running:
        yield running


@contextmanager
def replica(aws: AwsEmulator, kubeconfig: Path, *flags: str) -> Iterator[ChildController]:
    environment = {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": aws.config.region,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_EC2_METADATA_DISABLED": "true",
        "KUBECONFIG": str(kubeconfig),
    }
    common = [f"--node-group-auto-discovery=asg:tag={TAG}", f"--namespace={NAMESPACE}"]
    with ChildController.start([*common, *flags], environment) as child:
        yield child


@contextmanager
def behind_a_link(cluster: Cluster, folder: Path) -> Iterator[tuple[Path, FREEZE]]:
    """A kubeconfig whose way to the API server can be frozen."""
    known = yaml.safe_load(cluster.kubeconfig.read_text())
    place, user = known["clusters"][0]["cluster"], known["users"][0]["user"]
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(linked(place["server"])) as link:
        assert isinstance(link, Link)
        url = link.url.replace("http://", "https://")
        path = write_kubeconfig(folder / "linked", url, place["certificate-authority-data"], user)
        yield path, lambda: portal.call(link.freeze)


def leads(child: ChildController) -> bool:
    return bool(child.events("lease.acquired"))


def when(child: ChildController, event: str) -> str:
    """The time of the last such line; both processes have the same clock."""
    return str(child.events(event)[-1]["time"])


def holder(cluster: Cluster) -> str:
    return str(cluster.client.get(LEASE)["spec"]["holderIdentity"])


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_leader_that_is_killed_or_stopped_is_replaced(own: Cluster, aws: AwsEmulator, end: signal.Signals) -> None:
    with replica(aws, own.kubeconfig, *QUICK) as first:
        wait_for(lambda: leads(first), "the first to lead")
        with replica(aws, own.kubeconfig, *QUICK) as second:
            wait_for(lambda: second.events("lease.seen"), "the second to wait")
            before = holder(own)
            os.kill(first.pid, end)
            wait_for(lambda: leads(second), "the second to take over")
            assert holder(own) != before
            os.kill(first.pid, signal.SIGCONT)
            wait_for(lambda: first.returncode is not None, "the first to end")
            if end is signal.SIGSTOP:
                wait_for(lambda: first.events("lease.lost"), "its last words")
                assert first.returncode == 1
            assert second.returncode is None
            assert own.client.get(LEASE)["spec"]["leaseTransitions"] == 1


def test_a_leader_that_is_cut_off_ends_before_another_leads(own: Cluster, aws: AwsEmulator, tmp_path: Path) -> None:
    with behind_a_link(own, tmp_path) as (kubeconfig, freeze), replica(aws, kubeconfig, *QUICK) as first:
        wait_for(lambda: leads(first), "the first to lead")
        with replica(aws, own.kubeconfig, *QUICK) as second:
            wait_for(lambda: second.events("lease.seen"), "the second to wait")
            freeze()
            wait_for(lambda: leads(second), "the second to take over")
            wait_for(lambda: first.events("lease.lost"), "the first to see that it leads no more")
            assert when(first, "lease.lost") < when(second, "lease.acquired")


def test_a_clean_stop_hands_over_at_once(own: Cluster, aws: AwsEmulator) -> None:
    """Not by expiry: with the default times that would take a quarter of a minute."""
    with replica(aws, own.kubeconfig) as first:
        wait_for(lambda: leads(first), "the first to lead")
        with replica(aws, own.kubeconfig) as second:
            wait_for(lambda: second.events("lease.seen"), "the second to wait")
            assert first.stop() == 0
            wait_for(lambda: leads(second), "the second to take over", 7)
