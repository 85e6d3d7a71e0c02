"""What the files lack, although pods ask about it, is told on standard error, with what adds it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulate.files import Case, pod
from tests.simulate.test_volumes import claim, user, volume

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "blue"}}}


def apart(**selector: str) -> dict[str, Any]:
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "namespaceSelector": {"matchLabels": selector},
    }
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_no_namespaces_are_told_where_their_labels_are_asked_for(case: Case) -> None:
    asking = [pod(f"asking-{number}", affinity=apart(team="blue")) for number in range(5)]
    running = pod("running", affinity=apart(team="blue"), nodeName="n1")
    plain = [pod("by-name", affinity=apart(**{"kubernetes.io/metadata.name": "shop"})), pod("plain")]
    case.cluster(*asking, running, *plain)
    done = case.run("--output=text")
    assert done.returncode == 0
    waiting, repelling = done.stderr.splitlines()
    assert "Pod shop/asking-0, shop/asking-1, shop/asking-2 and 2 more: namespaceSelector of a pod affinity" in waiting
    assert "Pod shop/running: namespaceSelector of the anti-affinity is taken to mean every namespace" in repelling
    assert all("add what `kubectl get namespaces -o json` prints" in line for line in (waiting, repelling))
    assert "asks for labels of namespaces, of which none is known" in done.stdout
    verdicts = case.decide()["verdicts"]
    assert verdicts["shop/asking-0"]["objections"]["spot-a"] == ["UnknownConstraint"]
    assert {verdicts[f"shop/{name}"]["outcome"] for name in ("by-name", "plain")} == {"launch"}
    case.cluster(*asking, running, *plain, NAMESPACE)
    done = case.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert {each["outcome"] for each in case.decide()["verdicts"].values()} == {"launch"}


REMEDY = "add what `kubectl get persistentvolumeclaims,persistentvolumes,storageclasses -A -o json` prints"
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "gp3"},
    "provisioner": "ebs.csi.aws.com",
    "volumeBindingMode": "WaitForFirstConsumer",
}


@pytest.mark.parametrize(
    ("objects", "missing"),
    [
        ([], "PersistentVolumeClaim"),
        ([claim("data", volumeName="pv")], "PersistentVolume"),
        ([claim("data")], "StorageClass"),
        ([claim("data"), CLASS], ""),
        ([claim("data", volumeName="pv"), volume("pv", "eu-west-3a")], ""),
        ([claim("other")], ""),  # its claim is missing, and the objection says so
    ],
)
def test_a_kind_of_storage_that_is_missing_is_told(case: Case, objects: list[dict[str, Any]], missing: str) -> None:
    case.cluster(pod("plain"), user("web-1", "data"), user("web-2", "data"), *objects)
    done = case.run()
    assert done.returncode == 0
    told = f"no node can be promised, as there is no {missing} in the input: {REMEDY}"
    expected = f"autoscaler simulate: Pod shop/web-1, shop/web-2: {told}\n" if missing else ""
    assert done.stderr == expected


def test_who_uses_no_volume_or_has_a_node_hears_nothing(case: Case) -> None:
    case.cluster(pod("plain"), user("running", "data", nodeName="n1"))
    assert case.run().stderr == ""
