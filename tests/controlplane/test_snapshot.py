"""`autoscaler snapshot` of a real cluster, and `simulate` on what it wrote."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.emulator.aws import AwsEmulator, EmulatorConfig
from tests.controlplane.cluster import NAMESPACE, Cluster, hollow, pod

pytestmark = pytest.mark.controlplane


def command(*words: str, aws: AwsEmulator, kubeconfig: Path) -> str:
    """Run the program; its output."""
    account = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
    place = {"AWS_REGION": aws.config.region, "AWS_ENDPOINT_URL": aws.url, "KUBECONFIG": str(kubeconfig)}
    line = [sys.executable, "-m", "autoscaler.cli", *words]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=60, env=os.environ | account | place, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_snapshot_is_read_back_by_simulate(controlplane: Cluster, tmp_path: Path) -> None:
    controlplane.add_nodes([hollow("node-a", cpu="1")])
    controlplane.add_pods([pod("small"), pod("large", cpu="3")])
    controlplane.wait_judged()
    with AwsEmulator.start(EmulatorConfig()) as aws:
        aws.create_group(name="spot-a", market="spot", instance_types=["m5.xlarge"])
        written = command(
            "snapshot", f"--directory={tmp_path}", "--nodes=0:5:spot-a", aws=aws, kubeconfig=controlplane.kubeconfig
        )
        name, *words = shlex.split(written.splitlines()[-1])
        assert name == "autoscaler"
        decision = json.loads(command(*words, "--output=json", aws=aws, kubeconfig=controlplane.kubeconfig))
    verdict = decision["verdicts"][f"{NAMESPACE}/large"]
    assert (verdict["outcome"], verdict["group"]) == ("launch", "spot-a")
    assert [launch["count"] for launch in decision["launches"]] == [1]
    assert f"{NAMESPACE}/small" not in decision["verdicts"], "the scheduler has bound it"
