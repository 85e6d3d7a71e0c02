"""Who may do what: client certificates, ServiceAccount tokens, and kinds that RBAC keeps to itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import anyio
import pytest
import yaml

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.cache import Pace
from autoscaler.kubernetes.cluster import ClusterCache, ClusterSettings
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.controlplane.account import Account, rule
from tests.controlplane.cluster import NAMESPACE, Cluster, hollow, pod
from tests.controlplane.test_reading import until

pytestmark = [pytest.mark.controlplane, pytest.mark.anyio]

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
NEEDED = [rule("", "pods", "nodes"), rule("apps", "daemonsets")]
PACE = Pace(first_delay=0.05, max_delay=0.5, absent_delay=0.5, jitter=lambda: 0.0)


async def who_am_i(kubeconfig: Path) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    async with connect(KubernetesSettings(kubeconfig=str(kubeconfig))) as api:
        answer = json.loads(await api.send("POST", REVIEW, body))
    return str(answer["status"]["userInfo"]["username"])


async def test_a_client_certificate_is_shown(own: Cluster) -> None:
    assert await who_am_i(own.kubeconfig) == "admin"


async def test_a_token_is_sent(controlplane: Cluster, tmp_path: Path) -> None:
    with Account.made(controlplane, "reader", NEEDED) as account:
        kubeconfig = account.write_kubeconfig(tmp_path / "kubeconfig")
        assert await who_am_i(kubeconfig) == f"system:serviceaccount:{NAMESPACE}:reader"
        config = yaml.safe_load(kubeconfig.read_text())
        config["users"][0]["user"]["token"] = base64.b64encode(b"somebody else").decode()
        kubeconfig.write_text(json.dumps(config))
        with pytest.raises(KubernetesError) as refused:
            await who_am_i(kubeconfig)
        assert refused.value.status == 401


async def test_an_unknown_authority_is_not_believed(own: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(own.kubeconfig.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    with pytest.raises(KubernetesError) as refused:
        await who_am_i(path)
    assert (refused.value.status, refused.value.reason) == (0, "Unreachable")


async def test_kinds_that_are_not_permitted_count_as_absent(controlplane: Cluster, tmp_path: Path) -> None:
    controlplane.add_nodes([hollow("node-a")])
    controlplane.add_pods([pod("web")])
    controlplane.wait_judged()
    with Account.made(controlplane, "reader", NEEDED) as account:
        settings = KubernetesSettings(kubeconfig=str(account.write_kubeconfig(tmp_path / "kubeconfig")))
        async with connect(settings) as api, anyio.create_task_group() as tasks:
            cache = ClusterCache(api, ClusterSettings(pace=PACE, namespace=NAMESPACE))
            await tasks.start(cache.run)
            absent = {each.kind.name for each in cache.reflectors() if each.absent}
            assert absent >= {"Namespace", "PriorityClass", "ConfigMap", "ReplicaSet", "Deployment", "Job"}
            assert cache.stale(anyio.current_time()) == []
            view = cache.view()
            assert [each.name for each in view.pods if each.namespace == NAMESPACE] == ["web"]
            assert "node-a" in {each.name for each in view.nodes}
            account.permit([*NEEDED, rule("apps", "replicasets"), rule("", "namespaces")])
            await until(lambda: NAMESPACE in cache.view().namespaces, "the namespaces, once they are permitted")
            tasks.cancel_scope.cancel()


async def test_pods_that_are_not_permitted_stop_everything(controlplane: Cluster, tmp_path: Path) -> None:
    with Account.made(controlplane, "reader", [rule("", "nodes"), rule("apps", "daemonsets")]) as account:
        settings = KubernetesSettings(kubeconfig=str(account.write_kubeconfig(tmp_path / "kubeconfig")))
        async with connect(settings) as api, anyio.create_task_group() as tasks:
            cache = ClusterCache(api, ClusterSettings(pace=PACE, namespace=NAMESPACE))
            tasks.start_soon(cache.run)
            await until(lambda: cache.nodes.synced and cache.pods.failures > 2, "refusals")
            assert "Pod" in cache.stale(anyio.current_time())
            tasks.cancel_scope.cancel()
