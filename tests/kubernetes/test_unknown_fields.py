"""Fields of constraints that this version does not know: who has one is refused by name, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml

from autoscaler.kubernetes.codec import Codec, Malformed
from autoscaler.kubernetes.convert import Interner, MalformedObjectError, to_daemonset
from autoscaler.kubernetes.offline import read_objects
from autoscaler.kubernetes.unknown_fields import decode_object
from autoscaler.kubernetes.wire import WireDaemonSet, WirePod
from autoscaler.snapshot.parts import parts
from tests.kubernetes.wires import spec_of

HARD = "requiredDuringSchedulingIgnoredDuringExecution"
SOFT = "preferredDuringSchedulingIgnoredDuringExecution"
TOLD = "a field that this version does not know"
NEW = {"newPolicy": "Strict"}
SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}


def requirement(**more: Any) -> dict[str, Any]:
    return {"key": "a", "operator": "Exists", **more}


def near(**term: Any) -> dict[str, Any]:
    return {"podAffinity": {HARD: [{"topologyKey": "zone", **term}]}}


def on_nodes(*terms: Any, **more: Any) -> dict[str, Any]:
    return {"nodeAffinity": {HARD: {"nodeSelectorTerms": list(terms), **more}}}


def document(spec: dict[str, Any], name: str = "web") -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "c"}], **spec}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"topologySpreadConstraints": [SPREAD, SPREAD | NEW]}, "topologySpreadConstraints[1].newPolicy"),
        ({"topologySpreadConstraints": [{**SPREAD, "labelSelector": NEW}]},
         "topologySpreadConstraints[0].labelSelector.newPolicy"),
        ({"tolerations": [{"key": "gpu", **NEW}]}, "tolerations[0].newPolicy"),
        ({"affinity": NEW}, "affinity.newPolicy"),
        ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingRequiredDuringExecution": {}}}},
         "affinity.nodeAffinity.requiredDuringSchedulingRequiredDuringExecution"),
        ({"affinity": on_nodes(**NEW)}, f"affinity.nodeAffinity.{HARD}.newPolicy"),
        ({"affinity": on_nodes({"matchTaints": []})}, f"affinity.nodeAffinity.{HARD}.nodeSelectorTerms[0].matchTaints"),
        ({"affinity": on_nodes({"matchExpressions": [requirement(**NEW)]})},
         f"affinity.nodeAffinity.{HARD}.nodeSelectorTerms[0].matchExpressions[0].newPolicy"),
        ({"affinity": near(**NEW)}, f"affinity.podAffinity.{HARD}[0].newPolicy"),
        ({"affinity": near(namespaceSelector={"matchExpressions": [requirement(**NEW)]})},
         f"affinity.podAffinity.{HARD}[0].namespaceSelector.matchExpressions[0].newPolicy"),
        ({"affinity": {"podAntiAffinity": NEW}}, "affinity.podAntiAffinity.newPolicy"),
        ({"resources": {"requests": {"cpu": "1"}, "newPolicy": {}}}, "resources.newPolicy"),
        ({"containers": [{"name": "a"}, {"name": "b", "resources": NEW}]}, "containers[1].resources.newPolicy"),
        ({"resourceClaims": [{"name": "gpu", **NEW}]}, "resourceClaims[0].newPolicy"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_told_by_its_path(spec: dict[str, Any], path: str) -> None:
    assert spec_of(**spec).unknowns == (f"{path}: {TOLD}",)


def test_what_is_known_beside_it_still_counts() -> None:
    spec = spec_of(topologySpreadConstraints=[SPREAD | NEW], nodeSelector={"a": "b"}, tolerations=[{"key": "x", **NEW}])
    assert [one.topology_key for one in spec.spread] == ["zone"]
    assert spec.node_selector == (("a", "b"),)
    assert len(spec.unknowns) == 2


def test_every_field_of_kubernetes_1_36_is_known() -> None:
    """Source: api/openapi-spec/swagger.json of v1.36.3, the definitions below io.k8s.api.core.v1.PodSpec."""
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
    term = {
        "topologyKey": "zone", "labelSelector": selector, "namespaces": ["shop"], "namespaceSelector": selector,
        "matchLabelKeys": ["a"], "mismatchLabelKeys": ["b"],
    }  # fmt: skip
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    pods = {HARD: [term], SOFT: [{"weight": 1, "podAffinityTerm": term}]}
    nodes = {
        HARD: {"nodeSelectorTerms": [named, {"matchExpressions": [requirement(values=None)]}]},
        SOFT: [{"weight": 1, "preference": named}],
    }
    spread = {
        **SPREAD, "labelSelector": selector, "minDomains": 2, "nodeAffinityPolicy": "Honor",
        "nodeTaintsPolicy": "Ignore", "matchLabelKeys": ["a"],
    }  # fmt: skip
    toleration = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 300}
    amounts = {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}
    claims = [{"name": "gpu", "resourceClaimName": "a"}, {"name": "nic", "resourceClaimTemplateName": "b"}]
    container = {"name": "c", "resources": {**amounts, "claims": [{"name": "gpu", "request": "one"}]}}
    spec = spec_of(
        affinity={"nodeAffinity": nodes, "podAffinity": pods, "podAntiAffinity": pods},
        topologySpreadConstraints=[spread],
        tolerations=[toleration],
        resources=amounts,
        resourceClaims=claims,
        containers=[container],
    )
    assert spec.unknowns == ()
    assert spec.resource_claims


def test_a_preference_with_an_unknown_field_keeps_no_pod_away() -> None:
    term = {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", **NEW}}
    preference = {"weight": 1, "preference": {"matchExpressions": [requirement(**NEW)]}}
    affinity = {"podAntiAffinity": {SOFT: [term]}, "nodeAffinity": {SOFT: [preference]}}
    soft = {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", **NEW}
    spec = spec_of(affinity=affinity, topologySpreadConstraints=[soft])
    assert spec.unknowns == ()
    assert len(spec.preferred_anti_affinity) == len(spec.preferred_node_terms) == len(spec.spread) == 1


def test_it_costs_the_other_objects_of_a_page_nothing() -> None:
    odd = document({"tolerations": [NEW]}, "odd")
    bad = document({"tolerations": [{**NEW, "key": 5}]}, "bad")
    page = {"metadata": {"resourceVersion": "1"}, "items": [document({}, "plain"), odd, bad]}
    codec = Codec(WirePod)
    _, [plain, told, malformed] = codec.read_page(json.dumps(page).encode())
    assert isinstance(plain, WirePod)
    assert plain.spec.unknown_fields is None
    assert isinstance(told, WirePod)
    assert told.spec.unknown_fields == ("tolerations[0].newPolicy",)
    assert isinstance(malformed, Malformed)
    assert "Expected `str | null`" in malformed.fault
    event = codec.read_event(json.dumps({"type": "MODIFIED", "object": odd}).encode())
    assert event.type == "MODIFIED"
    assert event.object == told


def test_replicas_with_an_unknown_field_share_their_spec() -> None:
    interner = Interner()
    body = json.dumps(document({"tolerations": [NEW]})).encode()
    first, second = (interner.spec(decode_object(body, msgspec.json.Decoder(WirePod)).spec) for _ in range(2))
    assert first is second


def test_the_template_of_a_daemonset_is_told_too() -> None:
    template = {"spec": {"containers": [{"name": "c"}], "tolerations": [{"operator": "Exists", **NEW}]}}
    body = json.dumps({"metadata": {"name": "agent"}, "spec": {"template": template}}).encode()
    found = to_daemonset(decode_object(body, msgspec.json.Decoder(WireDaemonSet)), Interner())
    assert found.spec.unknowns == (f"tolerations[0].newPolicy: {TOLD}",)


def test_a_constraint_that_yaml_shares_is_told_for_each_of_its_pods() -> None:
    text = """
    - {kind: Pod, metadata: {name: a}, spec: &spec {containers: [{name: c}], tolerations: [{newPolicy: 1}]}}
    - {kind: Pod, metadata: {name: b}, spec: *spec}
    """
    pods = read_objects(yaml.safe_load(text), "f").pods
    assert [pod.spec.unknowns for pod in pods] == [(f"tolerations[0].newPolicy: {TOLD}",)] * 2


def test_where_no_pod_can_be_told_the_object_cannot_be_read() -> None:
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "p"}}
    for form in (budget | {"spec": {"selector": NEW}}, json.dumps(budget | {"spec": {"selector": NEW}}).encode()):
        with pytest.raises(MalformedObjectError, match=r"f: PodDisruptionBudget p: .*newPolicy"):
            read_objects([form], "f")


def test_a_snapshot_tells_of_it() -> None:
    [part] = [each for each in parts() if each.kind == "Pod"]
    for spec in ({"tolerations": [NEW]}, {"tolerations": [NEW], "affinity": NEW}):
        cut = part.excerpt(json.dumps(document(spec)).encode())
        live = spec_of(**spec).unknowns
        assert live
        assert read_objects([b'{"apiVersion":"v1","kind":"Pod",' + cut[1:]], "f").pods[0].spec.unknowns == live
