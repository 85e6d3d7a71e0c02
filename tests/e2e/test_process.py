"""How the process begins and ends."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler import clock
from autoscaler.emulator.world import EmulatedWorld
from tests.e2e.stage import DISCOVERY, Stage

pytestmark = pytest.mark.emulator("how a process begins and ends, with hardly a request")


def run(world: EmulatedWorld, *flags: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A controller that is expected to end by itself."""
    command = [sys.executable, "-m", "autoscaler.cli", "run", *flags]
    return subprocess.run(
        command, env=world.environment() | environment, capture_output=True, text=True, timeout=40, check=False
    )


def test_sigterm_ends_it_soon_and_well_whatever_it_does() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        with stage.controller() as child:
            stage.aws.faults.hold("LaunchInstances")
            stage.deploy("web", 1)
            child.wait(lambda: bool(stage.launches()), 30, "a call under way")
            began = clock.monotonic()
            assert child.stop() == 0
            assert clock.monotonic() - began <= 2.0
            assert child.events("process.stopped")
            stage.aws.faults.clear()


def test_a_port_in_use_is_said_and_ends_it() -> None:
    with Stage.open() as stage, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(stage.world, DISCOVERY, f"--address=127.0.0.1:{port}")
        assert done.returncode == 1
        assert f"127.0.0.1:{port}" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["missing", "not YAML"])
def test_a_kubeconfig_that_cannot_be_used_is_said(how: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    if how != "missing":
        file.write_text("{{{")
    with Stage.open() as stage:
        done = run(stage.world, DISCOVERY, f"--kubeconfig={file}", "--address=127.0.0.1:0")
        assert done.returncode == 1
        assert str(file) in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_region_it_says_what_to_set() -> None:
    with Stage.open() as stage:
        done = run(stage.world, DISCOVERY, "--address=127.0.0.1:0", AWS_REGION="", HOME="/nonexistent")
        assert done.returncode == 1
        assert "--aws-region" in done.stderr


def test_bad_flags_are_all_told_at_once() -> None:
    with Stage.open() as stage:
        done = run(stage.world, "--max-nodes-total=many", "--scan-intervall=10s", "--nodes=5:3:web", "--expander=magic")
        assert done.returncode == 2
        for fault in ("--max-nodes-total", "--scan-intervall", "--scan-interval", "--nodes", "--expander"):
            assert fault in done.stderr
        assert not stage.requests()
