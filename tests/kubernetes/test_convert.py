"""Pods, nodes and DaemonSets, from the wire to what the core sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from autoscaler.core.model import GroupName, Phase
from autoscaler.core.podspec import (
    Effect,
    PodSpec,
    Taint,
    Toleration,
)
from autoscaler.core.policy import PolicyError
from autoscaler.kubernetes.convert import (
    Interner,
    MalformedObjectError,
    parse_priorities,
    to_daemonset,
)
from autoscaler.kubernetes.wire import WireDaemonSet
from tests.kubernetes.wires import node, pod, spec_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_bare_pod_has_the_defaults() -> None:
    spec = spec_of()
    assert spec == PodSpec(requests=spec.requests, images=("web:1",))
    assert dict(spec.requests.items()) == {"pods": 1}


def test_times_phase_and_places() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    later = {**condition, "lastTransitionTime": "2026-01-01T12:00:05Z"}
    waiting = pod(status={"phase": "Pending", "conditions": [later], "nominatedNodeName": "n7"})
    assert waiting.unschedulable_since == datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)
    assert waiting.nominated_node == "n7"
    assert pod(status={"conditions": [condition]}).unschedulable_since == NOON
    assert pod(status={"conditions": [{**later, "reason": "SchedulingGated"}]}).unschedulable_since is None
    assert pod({"nodeName": "n1"}, status={"conditions": [later]}).unschedulable_since is None
    assert pod(status={"phase": "Strange"}).phase is Phase.UNKNOWN
    leaving = pod(deletionTimestamp="2026-01-01T12:00:30Z")
    assert leaving.deleted_at == datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def test_only_the_controller_among_owners_counts() -> None:
    job = {"kind": "Job", "name": "j", "uid": "2", "apiVersion": "batch/v1", "controller": True}
    assert pod(ownerReferences=[{"kind": "Thing", "name": "t", "uid": "1"}]).owner is None
    owner = pod(ownerReferences=[{"kind": "Thing", "name": "t", "uid": "1"}, job]).owner
    assert owner is not None
    assert (owner.kind, owner.name, owner.uid, owner.api_version) == ("Job", "j", "2", "batch/v1")


def test_only_annotations_that_are_read_are_kept() -> None:
    kept = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "priority-autoscaler/max-wait": "5m",
        "kubernetes.io/config.mirror": "x",
        "autoscaling.x-k8s.io/consume-provisioning-request": "r",
    }
    assert dict(pod(annotations={**kept, "kubectl.kubernetes.io/last-applied-configuration": "{}"}).annotations) == kept


@pytest.mark.parametrize("meta", [{"name": ""}, {"name": None}])
def test_a_pod_without_a_name_is_malformed(meta: dict[str, Any]) -> None:
    with pytest.raises((MalformedObjectError, msgspec.ValidationError)):
        pod(**meta)


def test_a_pod_without_containers_is_malformed() -> None:
    with pytest.raises(MalformedObjectError, match=r"Pod shop/web-1: spec\.containers"):
        pod({"containers": []})


def test_a_node() -> None:
    seen = node(
        spec={
            "providerID": "aws:///eu-west-3a/i-0123456789abcdef0",
            "unschedulable": True,
            "taints": [{"key": "a", "value": "b", "effect": "NoExecute"}, {"key": "c", "effect": "Strange"}],
        },
        status={
            "capacity": {"cpu": "4", "memory": "16Gi", "pods": "58"},
            "allocatable": {"cpu": "3920m", "memory": "15Gi", "pods": "58"},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T12:00:40Z"}],
        },
    )
    assert seen.instance_id == "i-0123456789abcdef0"
    assert seen.is_cordoned
    assert seen.taints == (Taint("a", "b", Effect.NO_EXECUTE), Taint("c", "", Effect.NO_SCHEDULE))
    assert dict(seen.allocatable.items()) == {"cpu": 3920, "memory": 15 * 2**30, "pods": 58}
    assert seen.capacity["cpu"] == 4000
    assert seen.ready
    assert seen.ready_changed == datetime(2026, 1, 1, 12, 0, 40, tzinfo=UTC)


@pytest.mark.parametrize("provider_id", ["", "aws:///eu-west-3a/fargate-ip-10-0-0-1", "kind://docker/kind/n1"])
def test_a_node_that_is_no_instance(provider_id: str) -> None:
    assert node(spec={"providerID": provider_id}).instance_id is None


@pytest.mark.parametrize(
    ("status", "changed", "ready", "was_ready"),
    [
        ("True", "2026-01-01T12:00:40Z", True, True),
        ("False", "2026-01-01T12:00:00Z", False, False),  # since its creation
        ("False", "2026-01-01T12:09:00Z", False, True),
        ("Unknown", "2026-01-01T12:09:00Z", False, True),
        ("False", None, False, False),
    ],
)
def test_readiness(status: str, changed: str | None, ready: bool, was_ready: bool) -> None:
    seen = node(status={"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": changed}]})
    assert (seen.ready, seen.was_ready) == (ready, was_ready)


def test_a_node_without_conditions_was_never_ready() -> None:
    assert (node().ready, node().was_ready) == (False, False)


def test_an_unreadable_amount_makes_a_node_malformed() -> None:
    with pytest.raises(MalformedObjectError, match=r"Node n1: status.allocatable.memory: '4Q' is no quantity"):
        node(status={"allocatable": {"memory": "4Q"}})


def test_a_daemonset_tolerates_what_its_controller_adds() -> None:
    document = {
        "metadata": {"name": "agent", "namespace": "kube-system", "uid": "d"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {
                    "hostNetwork": True,
                    "containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}],
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                },
            }
        },
    }
    wire = msgspec.json.decode(msgspec.json.encode(document), type=WireDaemonSet)
    seen = to_daemonset(wire, Interner())
    assert seen.spec.requests["cpu"] == 100
    assert dict(seen.labels) == {"app": "agent"}
    assert Toleration("gpu", "Exists") in seen.spec.tolerations
    assert Toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoSchedule") in seen.spec.tolerations
    assert any(each.key == "node.kubernetes.io/network-unavailable" for each in seen.spec.tolerations)


def test_priorities() -> None:
    tiers = parse_priorities("10:\n- od-.*\n50:\n- spot-.*\n- cheap\n")
    assert [priority for priority, _ in tiers.entries] == [50, 10]
    names = [GroupName(name) for name in ("spot-a", "od-a", "other")]
    assert list(tiers.assign(names).values()) == [50, 10, None]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a mapping"),
        ("- a", "expected a mapping"),
        ("a: [b]", "'a' is no integer"),
        ("1.5: [b]", "no integer"),
        ("true: [b]", "no integer"),
        ("10: spot", "priority 10: expected a list"),
        ("10: [1]", "priority 10: expected a list"),
        ("10: ['(']", "priority 10: regex"),
        ("10: ['(?=a)']", "priority 10: regex"),
        ("10: [a", "line"),
    ],
)
def test_a_bad_priority_map_says_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=r".*") as caught:
        parse_priorities(text)
    assert told in str(caught.value)
