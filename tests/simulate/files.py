"""Files as kubectl and aws print them, for whole-process runs of `autoscaler simulate`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

BORN = "2026-01-01T11:59:00Z"
MARKED = "2026-01-01T12:00:00Z"


def pod(name: str, cpu: str = "500m", memory: str = "512Mi", **spec: Any) -> dict[str, Any]:
    """A pending pod that the scheduler gave up on."""
    container = {"name": "main", "image": "example", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "creationTimestamp": BORN},
        "spec": {"containers": [container], **spec},
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": MARKED}
            ],
        },
    }


def asg(name: str, *, spot: bool = True, zones: tuple[str, ...] = ("a", "b", "c"), **fields: Any) -> dict[str, Any]:
    """An empty group of m5.xlarge behind a mixed instances policy that is wholly spot or wholly on-demand."""
    types = fields.pop("types", ("m5.xlarge",))
    return {
        "AutoScalingGroupName": name,
        "MinSize": 0,
        "MaxSize": 10,
        "DesiredCapacity": 0,
        "AvailabilityZones": [f"eu-west-3{zone}" for zone in zones],
        "CreatedTime": "2025-12-01T08:00:00Z",
        "Instances": [],
        "Tags": [],
        "MixedInstancesPolicy": {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "1"},
                "Overrides": [{"InstanceType": each} for each in types],
            },
            "InstancesDistribution": {
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0 if spot else 100,
            },
        },
        **fields,
    }


def priorities(text: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cluster-autoscaler-priority-expander", "namespace": "kube-system"},
        "data": {"priorities": text},
    }


class Case:
    """A folder with input files, and runs of the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cluster(self, *objects: dict[str, Any], name: str = "cluster.yaml") -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        text = json.dumps(document) if name.endswith(".json") else yaml.safe_dump(document)
        (self.folder / name).write_text(text)

    def asgs(self, *groups: dict[str, Any]) -> None:
        (self.folder / "asgs.json").write_text(json.dumps({"AutoScalingGroups": list(groups)}))

    def run(self, *arguments: str, cluster: tuple[str, ...] = ("cluster.yaml",)) -> subprocess.CompletedProcess[str]:
        """Run the command in the folder; standard output is JSON unless `--output` says otherwise."""
        files = [f"--cluster={name}" for name in cluster]
        output = () if any(each.startswith("--output") for each in arguments) else ("--output=json",)
        return self.command("simulate", *files, "--asgs=asgs.json", *output, *arguments)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run any command in the folder."""
        return subprocess.run(
            [sys.executable, "-m", "autoscaler.cli", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def decide(self, *arguments: str) -> dict[str, Any]:
        """Run the command and return what it decided."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        decided: dict[str, Any] = json.loads(done.stdout)
        return decided
