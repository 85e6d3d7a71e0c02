"""Equal pods share what they have in common."""

from __future__ import annotations

from autoscaler.core.model import Pod
from autoscaler.kubernetes.interner import Interner
from tests.kubernetes.wires import pod


def test_equal_pods_share_their_parts() -> None:
    interner = Interner()

    def replica(number: int) -> Pod:
        volumes = [{"name": f"kube-api-access-{number}", "projected": {}}]
        owner = {"kind": "ReplicaSet", "name": "web", "uid": "r", "controller": True}
        spec = {"volumes": volumes, "nodeName": f"n{number}", "serviceAccountName": f"s{number}"}
        return pod(spec, interner=interner, name=f"web-{number}", labels={"app": "web"}, ownerReferences=[owner])

    first, second = replica(1), replica(2)
    assert first.spec is second.spec
    assert first.labels is second.labels
    assert first.owner is second.owner
    assert (first.node, second.node) == ("n1", "n2")


def test_daemonset_pods_on_their_nodes_share_a_spec_although_each_is_pinned() -> None:
    interner = Interner()

    def agent(node: str, kind: str = "DaemonSet") -> Pod:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        hard = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        owner = {"kind": kind, "name": "agent", "uid": kind, "controller": True}
        return pod({"nodeName": node, "affinity": {"nodeAffinity": hard}}, interner=interner, ownerReferences=[owner])

    assert agent("n1").spec is agent("n2").spec
    assert agent("n1").spec.node_terms is None
    assert agent("n1", kind="StatefulSet").spec.node_terms is not None


def test_the_tables_are_swept_of_what_no_pod_uses() -> None:
    interner = Interner()
    pods = [pod({"nodeSelector": {"n": str(number)}}, interner=interner) for number in range(2_500)]
    assert interner.size >= 2_500
    assert interner.sweep_if_grown(pods[:10])
    assert interner.size == 10
    assert pod({"nodeSelector": {"n": "3"}}, interner=interner).spec is pods[3].spec
    assert not interner.sweep_if_grown(pods[:10])
