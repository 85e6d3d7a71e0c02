"""The chart through its life on a real API server, by the real helm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlplane.client import Json
from tests.controlplane.cluster import NAMESPACE, Cluster
from tests.deploy.chart import CHART, VALUES, helm

pytestmark = pytest.mark.controlplane

RELEASE = "prod"
NAME = "prod-priority-autoscaler"
PRIORITIES = "cluster-autoscaler-priority-expander"
GIVEN_TO_US = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE},
}
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


def run(cluster: Cluster, command: str, *arguments: str | Path) -> str:
    """Run helm as the administrator; return what it says."""
    done = helm(command, RELEASE, *arguments, "--namespace", NAMESPACE, "--kubeconfig", cluster.kubeconfig)
    assert done.returncode == 0, done.stderr
    return done.stdout


def deployment(cluster: Cluster) -> Json:
    found: Json = cluster.client.get(f"{DEPLOYMENTS}/{NAME}")["spec"]
    return found


def config_maps(cluster: Cluster) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.client.items(CONFIG_MAPS)}


def test_from_a_shadow_to_the_end(own: Cluster) -> None:
    """Install as a shadow, change over, roll back, go: what is not the chart's stays."""
    for name in ("priority-autoscaler-state", PRIORITIES):
        own.client.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": {"a": "1"}})
    try:
        said = run(own, "install", CHART, "--values", VALUES / "shadow.yaml")
        assert "This is a dry run" in said
        assert "expanderPriorities is empty" in said
        assert deployment(own)["replicas"] == 1

        change_over = (CHART, "--values", VALUES / "stock.yaml", "--set", "serviceMonitor.enabled=false")
        with pytest.raises(AssertionError, match=f'ConfigMap "{PRIORITIES}" in namespace "{NAMESPACE}" exists'):
            run(own, "upgrade", *change_over)
        own.client.patch(f"{CONFIG_MAPS}/{PRIORITIES}", {"metadata": GIVEN_TO_US})
        said = run(own, "upgrade", *change_over)
        assert f"It holds the lease {NAMESPACE}/cluster-autoscaler" in said
        assert deployment(own)["replicas"] == 2
        assert ".*spot.*" in own.client.get(f"{CONFIG_MAPS}/{PRIORITIES}")["data"]["priorities"]

        run(own, "rollback", "1")
        assert "--dry-run=true" in deployment(own)["template"]["spec"]["containers"][0]["args"]
        assert PRIORITIES not in config_maps(own)
    finally:
        run(own, "uninstall", "--ignore-not-found")
    assert not own.client.items(DEPLOYMENTS)
    assert "priority-autoscaler-state" in config_maps(own)
