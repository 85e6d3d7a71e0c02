"""What the files lack, although pods ask about it, is told on standard error, with what adds it."""

from __future__ import annotations

from typing import Any

from tests.simulate.files import Case, pod

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
