"""The whole command against both emulators: what it writes, what it keeps to itself, what `simulate` makes of it."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from autoscaler.aws.client import AwsSettings
from autoscaler.aws.client import connect as connect_aws
from autoscaler.aws.discovery import Selection
from autoscaler.aws.groups import GroupSource
from autoscaler.aws.offline import Files, Input, read_groups
from autoscaler.core.model import Node, NodeGroup, Pod
from autoscaler.emulator.aws import AwsEmulator
from autoscaler.emulator.aws.faults import access_denied, throttling
from autoscaler.emulator.kubernetes import KubernetesEmulator, Options
from autoscaler.kubernetes.cache import Pace
from autoscaler.kubernetes.cluster import ClusterCache, ClusterSettings, ClusterView
from autoscaler.kubernetes.offline import read_cluster
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.emulator.aws_worlds import start
from tests.snapshot.secretive import ENCODED, SECRET, create_nodegroup, objects

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "eu-west-3",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class World:
    """Both emulators, and how a command meets them."""

    cluster: KubernetesEmulator
    aws: AwsEmulator

    def run(self, command: str, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": self.aws.url, **variables}
        line = [sys.executable, "-m", "autoscaler.cli", command, *flags]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, env=environment)

    def snapshot(self, directory: Path, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("snapshot", f"--kubernetes={self.cluster.url}", f"--directory={directory}", *flags, **variables)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    options = Options(scheduler=False, controllers=False)
    with KubernetesEmulator.start(options) as cluster, start() as aws:
        cluster.call(cluster.store.load, objects())
        aws.create_group(name="spot-a", market="spot", max=5, tags={"team": "web"}, template={"UserData": ENCODED})
        aws.create_group(name="od-a", market="on-demand", max=5, instance_types=["m5.large", "c5.large"])
        aws.create_group(name="other", max=5)
        aws.create_group(name="eks-a", max=5, tags={"eks:cluster-name": "prod", "eks:nodegroup-name": "blue"})
        create_nodegroup(aws)
        yield World(cluster, aws)


@dataclass(frozen=True)
class Taken:
    """A snapshot of that world."""

    directory: Path
    result: subprocess.CompletedProcess[str]

    def read(self, name: str) -> Any:
        return json.loads((self.directory / name).read_bytes())

    def items(self, kind: str) -> dict[str, Any]:
        items = self.read("cluster.json")["items"]
        return {each["metadata"]["name"]: each for each in items if each["kind"] == kind}


@pytest.fixture(scope="module")
def taken(world: World, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    directory = tmp_path_factory.mktemp("taken") / "new" / "snap shot"
    result = world.snapshot(
        directory, "--nodes=0:5:spot-a", "--nodes=0:3:od-a", "--nodes=0:2:eks-a", "--max-nodes-total=9"
    )
    assert result.returncode == 0, result.stderr
    return Taken(directory, result)


def test_no_secret_leaves(taken: Taken) -> None:
    files = [path for path in taken.directory.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_text()
        assert SECRET not in content, path
        assert ENCODED not in content, path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SECRET not in taken.result.stdout
    names = {str(path.relative_to(taken.directory)) for path in files}
    assert names == {
        "cluster.json",
        "asgs.json",
        "launch-templates.json",
        "instance-types.json",
        "nodegroups/prod.blue.json",
    }
    assert taken.items("Secret") == {}
    assert set(taken.items("ConfigMap")) == {"cluster-autoscaler-priority-expander"}


def test_what_is_read_stays(taken: Taken) -> None:
    waiting = taken.items("Pod")["waiting"]
    assert waiting["apiVersion"] == "v1"
    assert waiting["metadata"]["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    assert waiting["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert taken.items("Pod")["claiming"]["spec"]["volumes"][1]["persistentVolumeClaim"] == {"claimName": "data"}
    assert set(taken.items("Pod")) == {"waiting", "running", "claiming"}, "finished pods take no room"
    assert "template" not in taken.items("Deployment")["web"]["spec"]
    assert taken.items("Deployment")["web"]["spec"]["replicas"] == 0
    assert taken.items("Deployment")["spare"]["spec"]["template"]["spec"]["containers"]
    assert "spec" not in taken.items("CronJob")["nightly"]
    assert taken.items("PersistentVolume")["pv"]["spec"]["csi"] == {
        "driver": "ebs.csi.aws.com",
        "volumeHandle": "vol-1",
    }
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    assert taken.items("StorageClass")["gp3"]["metadata"]["annotations"] == default
    assert taken.items("CSIDriver")["lvm.example.com"]["spec"] == {"storageCapacity": True}
    source = {"persistentVolumeName": "pv"}
    attached = {"attacher": "ebs.csi.aws.com", "nodeName": "n-1", "source": source}
    assert taken.items("VolumeAttachment")["csi-1"]["spec"] == attached
    assert taken.items("PodDisruptionBudget")["web"]["spec"]["minAvailable"] == 1
    assert taken.items("PriorityClass").keys() >= {"system-cluster-critical"}
    groups = [each["AutoScalingGroupName"] for each in taken.read("asgs.json")["AutoScalingGroups"]]
    assert groups == ["eks-a", "od-a", "spot-a"], "and not the others of the account"
    assert {each["InstanceType"] for each in taken.read("instance-types.json")["InstanceTypes"]} == {
        "m5.large",
        "c5.large",
    }
    assert len(taken.read("launch-templates.json")["LaunchTemplateVersions"]) == 3


def test_what_is_left_out_is_told(taken: Taken) -> None:
    (line,) = taken.result.stderr.splitlines()
    assert line.startswith("autoscaler snapshot: Pod shop/broken: ")
    assert line.endswith("left out")


def test_simulate_reads_it_by_the_command_that_was_printed(world: World, taken: Taken) -> None:
    *_, command = taken.result.stdout.splitlines()
    name, *arguments = shlex.split(command)
    assert name == "autoscaler"
    assert {"--nodes=0:5:spot-a", "--nodes=0:3:od-a", "--max-nodes-total=9"} <= set(arguments)
    result = world.run(*arguments, "--output=json")
    assert result.returncode == 0
    [warning] = result.stderr.splitlines()
    assert warning.startswith("autoscaler simulate: Pod shop/claiming: no node can be promised, as there is no ")
    decision = json.loads(result.stdout)
    assert decision["at"] == next(each for each in arguments if each.startswith("--at=")).removeprefix("--at=")
    verdicts = decision["verdicts"]
    assert set(verdicts) == {"shop/waiting", "shop/claiming"}
    assert verdicts["shop/waiting"]["outcome"] in ("launch", "fits-existing")


def facts_of(values: Iterable[Pod | Node]) -> dict[str, dict[str, Any]]:
    """Every field by name, as these values are equal only to themselves."""
    return {each.name: {item.name: getattr(each, item.name) for item in fields(each)} for each in values}


async def view_live(url: str) -> ClusterView:
    settings = ClusterSettings(pace=Pace(jitter=lambda: 0.5))
    async with connect(KubernetesSettings(master_url=url)) as api, anyio.create_task_group() as tasks:
        cache = ClusterCache(api, settings)
        await tasks.start(cache.run)
        view = cache.view()
        tasks.cancel_scope.cancel()
    return view


async def groups_live(url: str, selection: Selection) -> tuple[NodeGroup, ...]:
    settings = AwsSettings(region="eu-west-3", endpoints=dict.fromkeys(("autoscaling", "ec2", "eks"), url))
    async with connect_aws(settings) as aws:
        return await GroupSource(aws, selection).refresh()


@pytest.mark.anyio
async def test_offline_the_cluster_looks_as_it_does_live(world: World, taken: Taken) -> None:
    offline = read_cluster([("cluster.json", [(taken.directory / "cluster.json").read_bytes()])])
    live = await view_live(world.cluster.url)
    assert facts_of(offline.pods) == facts_of(live.pods)
    assert facts_of(offline.nodes) == facts_of(live.nodes)
    assert offline.daemonsets == live.daemonsets
    assert offline.namespaces == live.namespaces
    assert set(offline.priority_classes) == set(live.priority_classes)


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "tags"), [("spot-a", {"team": "web"}), ("eks-a", {"eks:cluster-name": "prod"})])
async def test_offline_the_groups_look_as_they_do_live(
    world: World, taken: Taken, monkeypatch: pytest.MonkeyPatch, name: str, tags: dict[str, str]
) -> None:
    for variable, value in CREDENTIALS.items():
        monkeypatch.setenv(variable, value)

    def read(file: str) -> tuple[Input, ...]:
        return (Input(file, taken.read(file)),)

    files = Files(
        asgs=read("asgs.json"),
        launch_templates=read("launch-templates.json"),
        instance_types=read("instance-types.json"),
        nodegroups=read("nodegroups/prod.blue.json"),
    )
    selection = Selection(tags=tags)
    live = await groups_live(world.aws.url, selection)
    assert [group.name for group in live] == [name]
    assert read_groups(files, selection) == tuple(replace(group, subnets={}) for group in live), "no file has subnets"


@pytest.fixture
def trouble(world: World) -> Iterator[World]:
    """The world, for one test that lets things go wrong."""
    yield world
    world.aws.faults.clear()
    world.cluster.call(world.cluster.faults.clear)


def refuse(world: World, path: str, status: int, **more: Any) -> None:
    world.cluster.call(world.cluster.faults.add, {"path": path, "status": status, **more})


def test_an_older_snapshot_survives_a_failure(trouble: World, tmp_path: Path) -> None:
    assert trouble.snapshot(tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    trouble.aws.faults.add(access_denied("autoscaling", "DescribeAutoScalingGroups"))
    result = trouble.snapshot(tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("autoscaler snapshot: DescribeAutoScalingGroups: ")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_kind_that_is_not_permitted_is_left_out(trouble: World, tmp_path: Path) -> None:
    refuse(trouble, "poddisruptionbudgets", 403)
    trouble.aws.faults.add(access_denied("ec2", "DescribeLaunchTemplateVersions"))
    result = trouble.snapshot(tmp_path, "--nodes=0:5:od-a", "--nodes=0:5:spot-a")
    assert result.returncode == 0
    assert "autoscaler snapshot: PodDisruptionBudget: left out: " in result.stderr
    assert result.stderr.count("autoscaler snapshot: launch template") == 1, "what is denied is not asked again"
    found = Taken(tmp_path, result)
    assert found.items("PodDisruptionBudget") == {}
    assert found.items("Pod")


def test_without_pods_there_is_no_snapshot(trouble: World, tmp_path: Path) -> None:
    refuse(trouble, "^/api/v1/pods", 403)
    result = trouble.snapshot(tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("autoscaler snapshot: GET /api/v1/pods: 403 ")
    assert list(tmp_path.iterdir()) == []


def test_throttling_and_a_forgotten_list_only_take_time(trouble: World, tmp_path: Path, taken: Taken) -> None:
    refuse(trouble, "/api/v1/pods", 410, times=1)
    trouble.aws.faults.add(throttling("autoscaling", "DescribeAutoScalingGroups", times=1))
    result = trouble.snapshot(tmp_path, "--nodes=0:5:spot-a")
    assert result.returncode == 0, result.stderr
    assert Taken(tmp_path, result).items("Pod") == taken.items("Pod")


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (("--kubernetes=http://127.0.0.1:1",), "GET /api/v1/nodes: "),
        (("--kubeconfig=/nowhere", "--kubernetes="), "kubeconfig /nowhere: "),
        (("--nodes=0:1:nobody",), "Auto Scaling group nobody: --nodes names it, but there is none in the region"),
        (("--directory=/proc/none",), "/proc/none/cluster.json: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(world: World, tmp_path: Path, flags: tuple[str, ...], fault: str) -> None:
    result = world.snapshot(tmp_path, *flags)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith(f"autoscaler snapshot: {fault}")
    assert "Traceback" not in result.stderr


def test_an_account_that_cannot_be_reached_is_one_line(world: World, tmp_path: Path) -> None:
    result = world.snapshot(tmp_path, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("autoscaler snapshot: DescribeAutoScalingGroups: ")
    assert list(tmp_path.iterdir()) == []
