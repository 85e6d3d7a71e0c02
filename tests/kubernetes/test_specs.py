"""The constraints of a pod, from the wire to core's PodSpec."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.podspec import (
    ClaimRef,
    HostPort,
    LabelSelector,
    NodeTerm,
    PodTerm,
    Requirement,
    SpreadConstraint,
    Toleration,
)
from autoscaler.kubernetes.convert import MalformedObjectError
from autoscaler.kubernetes.interner import Interner
from autoscaler.kubernetes.specs import PriorityClass, PriorityClasses
from tests.kubernetes.wires import pod, spec_of


def test_tolerations_and_selectors() -> None:
    spec = spec_of(
        tolerations=[
            {"key": "gpu", "value": "yes"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
        ],
        nodeSelector={"b": "2", "a": "1"},
    )
    assert spec.tolerations == (Toleration("gpu", "Equal", "yes", ""), Toleration("", "Exists", "", "NoExecute"))
    assert spec.node_selector == (("a", "1"), ("b", "2"))


def test_node_affinity() -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b", "a"]}]}
    pinned = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    required = {"nodeSelectorTerms": [term, pinned]}
    affinity = {
        "requiredDuringSchedulingIgnoredDuringExecution": required,
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "preference": term}],
    }
    spec = spec_of(affinity={"nodeAffinity": affinity})
    zone = NodeTerm((Requirement("zone", "In", ("a", "b")),))
    assert spec.node_terms == (zone, NodeTerm((), (Requirement("metadata.name", "In", ("n1",)),)))
    assert [(each.weight, each.term) for each in spec.preferred_node_terms] == [(5, zone)]
    assert spec.unknowns == ()
    empty = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": None}}
    assert spec_of(affinity={"nodeAffinity": empty}).node_terms == ()
    assert spec_of(affinity={"nodeAffinity": {}}).node_terms is None


def test_pod_affinity() -> None:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"app": "db"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]},
        "namespaces": ["b", "a"],
        "namespaceSelector": {},
        "matchLabelKeys": ["hash"],
        "mismatchLabelKeys": ["tenant"],
    }
    hard = "requiredDuringSchedulingIgnoredDuringExecution"
    soft = "preferredDuringSchedulingIgnoredDuringExecution"
    spec = spec_of(
        affinity={
            "podAffinity": {hard: [term]},
            "podAntiAffinity": {hard: [{"topologyKey": "host"}], soft: [{"weight": 1, "podAffinityTerm": term}]},
        }
    )
    selector = LabelSelector((Requirement("app", "In", ("db",)), Requirement("x", "Exists")))
    expected = PodTerm("zone", selector, ("a", "b"), LabelSelector(), ("hash",), ("tenant",))
    assert spec.affinity == (expected,)
    assert spec.anti_affinity == (PodTerm("host", None),)
    assert spec.preferred_anti_affinity[0].term == expected


def test_spread_with_its_defaults() -> None:
    hard = {"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    soft = {
        "topologyKey": "host",
        "whenUnsatisfiable": "ScheduleAnyway",
        "minDomains": 3,
        "nodeAffinityPolicy": "Ignore",
        "nodeTaintsPolicy": "Honor",
        "matchLabelKeys": ["hash"],
    }
    first, second = spec_of(topologySpreadConstraints=[hard, soft]).spread
    assert first == SpreadConstraint("zone", 2, hard=True, selector=LabelSelector())
    assert second == SpreadConstraint(
        "host", 1, hard=False, selector=None, min_domains=3, honor_node_affinity=False, honor_node_taints=True,
        match_label_keys=("hash",),
    )  # fmt: skip


def test_host_ports() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"}]
    containers = [{"name": "c", "ports": ports}]
    sidecar = {"name": "s", "restartPolicy": "Always", "ports": [{"containerPort": 1, "hostPort": 9}]}
    once = {"name": "i", "ports": [{"containerPort": 1, "hostPort": 8}]}
    every = "0.0.0.0"
    dns = HostPort("UDP", "10.0.0.1", 53)
    assert spec_of(containers=containers).host_ports == (dns,)
    assert spec_of(containers=containers, hostNetwork=True).host_ports == (HostPort("TCP", every, 80), dns)
    assert spec_of(containers=containers, initContainers=[sidecar, once]).host_ports == (HostPort("TCP", every, 9), dns)


def test_volumes() -> None:
    volumes = [
        {"name": "kube-api-access-x1", "projected": {"sources": []}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "logs", "hostPath": {"path": "/var/log"}},
        {"name": "old", "awsElasticBlockStore": {"volumeID": "vol-1"}},
    ]
    spec = spec_of(volumes=volumes)
    assert spec.claims == (ClaimRef("data-web-1"), ClaimRef("scratch", ephemeral=True))
    assert spec.local_volumes == ("logs", "tmp")
    assert spec.inline_disks == ("aws-ebs/vol-1",)


def test_disks_that_a_pod_names_itself() -> None:
    disks = [
        {"name": "a", "gcePersistentDisk": {"pdName": "pd"}},
        {"name": "b", "iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:disk", "lun": 0}},
        {"name": "c", "rbd": {"monitors": ["10.0.0.1"], "image": "disk"}},
    ]
    assert spec_of(volumes=disks).inline_disks == ("gce-pd/pd", "iscsi/iqn.2001-04.com.example:disk", "rbd/disk")


def test_a_claim_that_is_listed_twice_stays_so() -> None:
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": "data"}} for name in ("a", "b")]
    assert spec_of(volumes=volumes).claims == (ClaimRef("data"), ClaimRef("data"))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"tolerations": [{"key": "a", "operator": "Like"}]}, "Like"),
        ({"tolerations": [{"key": "a", "effect": "NoSleep"}]}, "NoSleep"),
        ({"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "Maybe"}]}, "Maybe"),
        ({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "z", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}]}}}, "Gt"),
        ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "spec.x", "operator": "In", "values": ["1"]}]}]}}}}, "spec.x"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_kept_and_named(spec: dict[str, Any], told: str) -> None:
    assert told in " ".join(spec_of(**spec).unknowns)


def test_an_unknown_preference_keeps_no_pod_away() -> None:
    term = {"matchExpressions": [{"key": "a", "operator": "Like"}]}
    soft = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    assert spec_of(affinity={"nodeAffinity": soft}).unknowns == ()


def test_gates_claims_and_the_rest() -> None:
    spec = spec_of(
        schedulingGates=[{"name": "b"}, {"name": "a"}],
        resourceClaims=[{"name": "gpu"}],
        schedulerName="mine",
        restartPolicy="Never",
        terminationGracePeriodSeconds=90,
        preemptionPolicy="Never",
    )
    assert spec.gates == ("a", "b")
    assert spec.resource_claims
    assert (spec.scheduler, spec.restart_policy, spec.grace_seconds, spec.can_preempt) == ("mine", "Never", 90, False)


def test_priority_is_the_pods_own_then_its_class_then_the_default_one() -> None:
    classes = PriorityClasses(
        (PriorityClass("high", 1000, can_preempt=False), PriorityClass("usual", 7, is_default=True))
    )

    def priority(**spec: Any) -> tuple[int, str]:
        found = pod(spec, interner=Interner(classes)).spec
        return found.priority, found.priority_class

    assert priority(priority=3, priorityClassName="high") == (3, "high")
    assert priority(priorityClassName="high") == (1000, "high")
    assert priority() == (7, "usual")
    assert priority(priorityClassName="system-node-critical") == (2_000_001_000, "system-node-critical")
    assert priority(priorityClassName="unheard-of") == (0, "unheard-of")
    assert spec_of().priority == 0


@pytest.mark.parametrize(
    ("requirement", "doubt"),
    [
        ({"key": "a", "operator": "In"}, "In of 'a' with 0 values"),
        ({"key": "a", "operator": "NotIn", "values": []}, "NotIn of 'a' with 0 values"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, "Exists of 'a' with 1 values"),
        ({"key": "a", "operator": "Gt", "values": ["1", "2"]}, "Gt of 'a' with 2 values"),
        ({"key": "a", "operator": "Near", "values": ["1"]}, "operator 'Near' of 'a'"),
    ],
)
def test_a_requirement_that_the_scheduler_would_not_parse_is_unknown(requirement: Any, doubt: str) -> None:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert spec_of(affinity=affinity).unknowns == (f"nodeAffinity.matchExpressions: {doubt}",)


def test_a_comparison_with_no_number_is_known_to_match_nothing() -> None:
    """The API server takes it, and the scheduler goes on to the next term."""
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["many"]}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert spec_of(affinity=affinity).unknowns == ()


@pytest.mark.parametrize(
    ("field", "doubt"),
    [
        ({"key": "metadata.name", "operator": "Exists"}, "operator 'Exists' of 'metadata.name'"),
        ({"key": "metadata.name", "operator": "In", "values": ["a", "b"]}, "2 values of 'metadata.name'"),
        ({"key": "metadata.uid", "operator": "In", "values": ["a"]}, "'metadata.uid'"),
    ],
)
def test_a_field_that_the_scheduler_would_not_parse_is_unknown(field: Any, doubt: str) -> None:
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert spec_of(affinity=affinity).unknowns == (f"nodeAffinity.matchFields: {doubt}",)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"schedulingGroup": {"podGroupName": "a"}}, "schedulingGroup"),
        ({"workloadRef": {"name": "a", "podGroup": "b"}}, "workloadRef"),
        ({"hostNetwork": True, "hostUsers": False}, "hostUsers"),
        (
            {"containers": [{"name": "c", "restartPolicyRules": [{"action": "RestartAllContainers"}]}]},
            "restartPolicyRules",
        ),
    ],
)
def test_what_plugins_judge_that_are_not_here_is_unknown(spec: Any, word: str) -> None:
    [doubt] = spec_of(**spec).unknowns
    assert doubt.startswith(word)


def test_what_needs_nothing_of_a_node_is_known() -> None:
    restarts = [{"name": "c", "restartPolicyRules": [{"action": "Restart"}]}]
    assert spec_of(hostNetwork=True, hostUsers=True, containers=restarts).unknowns == ()


def test_unreadable_requests_refuse_the_pending_pod_alone() -> None:
    containers = [{"name": "c", "resources": {"requests": {"cpu": "4Q"}}}]
    waiting = pod({"containers": containers, "nodeSelector": {"a": "b"}}).spec
    assert waiting.unknowns == ("containers[c].resources.requests.cpu: '4Q' is no quantity",)
    assert waiting.node_selector == (("a", "b"),)
    for spec, status in (({"nodeName": "n1"}, None), ({}, {"nominatedNodeName": "n1"})):
        with pytest.raises(MalformedObjectError, match="4Q"):
            pod({"containers": containers, **spec}, status)
