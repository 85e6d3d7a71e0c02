"""What `make kind` applies is taken by a real API server; the rest needs Docker, and says so where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.controlplane.client import Json
from tests.controlplane.cluster import Cluster
from tests.deploy.chart import ROOT, render

KIND = ROOT / "deploy" / "kind"
COLLECTIONS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
}


def manifests() -> list[Json]:
    emulator = [each for each in yaml.safe_load_all((KIND / "emulator.yaml").read_text()) if each]
    chart = render(file=KIND / "values.yaml", release="priority-autoscaler", namespace="kube-system").objects
    return [*emulator, *(each for each in chart if each["kind"] in COLLECTIONS)]


@pytest.mark.controlplane
def test_the_api_server_takes_them(controlplane: Cluster) -> None:
    for manifest in manifests():
        path = COLLECTIONS[manifest["kind"]].format("kube-system")
        controlplane.client.create(f"{path}?dryRun=All&fieldValidation=Strict", manifest)


def test_the_chart_looks_for_the_emulator_where_it_is() -> None:
    service = next(
        each for each in manifests() if each["metadata"]["name"] == "aws-emulator" and each["kind"] == "Service"
    )
    values = yaml.safe_load((KIND / "values.yaml").read_text())
    port = service["spec"]["ports"][0]["port"]
    where = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}:{port}"
    assert values["extraEnv"]["AWS_ENDPOINT_URL"] == where
    assert f"--port={port}" in (KIND / "Dockerfile").read_text()


def test_without_docker_it_says_what_is_missing(tmp_path: Path) -> None:
    for tool in ("bash", "dirname"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    done = subprocess.run(
        [KIND / "up.sh"], env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "make kind: docker is needed and was not found" in done.stderr
