"""What a KubeSchedulerConfiguration says of filters, and every way in which it can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.podspec import NodeTerm, Requirement, SpreadConstraint
from autoscaler.core.schedulers import Profile
from autoscaler.kubernetes.scheduler_config import (
    SchedulerConfig,
    SchedulerConfigError,
    parse_scheduler_config,
    read_scheduler_config,
)

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def document(*profiles: dict[str, Any], **fields: Any) -> str:
    head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    return json.dumps({**head, "profiles": list(profiles), **fields})


def profile(name: str = "default-scheduler", plugins: Any = None, **arguments: Any) -> dict[str, Any]:
    configured = [{"name": key, "args": value} for key, value in arguments.items()]
    return {"schedulerName": name, "plugins": plugins, "pluginConfig": configured}


def read(*profiles: dict[str, Any], **fields: Any) -> SchedulerConfig:
    return parse_scheduler_config(document(*profiles, **fields), "file")


def only(*profiles: dict[str, Any], **fields: Any) -> Profile:
    config = read(*profiles, **fields)
    assert config.warnings == ()
    [found] = config.schedulers.profiles.values()
    return found


def added(*terms: Any) -> dict[str, Any]:
    return {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def spread(*constraints: Any) -> dict[str, Any]:
    return {"defaultingType": "List", "defaultConstraints": list(constraints)}


ZONE = {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1}


def test_what_a_distribution_ships_changes_nothing() -> None:
    text = """---
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: /var/lib/kube-scheduler/kubeconfig, qps: 0}
leaderElection: {leaderElect: true}
"""
    config = parse_scheduler_config(text, "file")
    assert dict(config.schedulers.profiles) == {"default-scheduler": Profile()}
    assert not config.schedulers.derives_selectors
    assert config.warnings == ()


def test_without_a_file_there_is_no_configuration() -> None:
    assert read_scheduler_config(None) == SchedulerConfig()


def test_added_affinity() -> None:
    ssd = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}]}
    big = {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]}]}
    assert only(profile(NodeAffinity=added(ssd, big))).added_terms == (
        NodeTerm((Requirement("disk", "In", ("nvme", "ssd")),)),
        NodeTerm((Requirement("cores", "Gt", ("8",)),)),
    )
    soft = {"addedAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": ssd}]}}
    assert only(profile(NodeAffinity=soft)).added_terms is None
    assert only(profile(NodeAffinity=added())).added_terms == ()


def test_default_constraints() -> None:
    full = {
        **ZONE,
        "minDomains": 3,
        "nodeAffinityPolicy": "Ignore",
        "nodeTaintsPolicy": "Honor",
        "matchLabelKeys": ["x"],
    }
    soft = {**ZONE, "whenUnsatisfiable": "ScheduleAnyway"}
    found = only(profile(PodTopologySpread=spread(full, soft, {**ZONE, "topologyKey": "host", "maxSkew": 2})))
    assert found.default_spread == (
        SpreadConstraint("zone", 1, True, None, 3, honor_node_affinity=False, honor_node_taints=True),
        SpreadConstraint("host", 2, True, None),
    )
    assert read(profile(PodTopologySpread=spread(ZONE))).schedulers.derives_selectors
    assert not read(profile(PodTopologySpread=spread(soft))).schedulers.derives_selectors
    assert only(profile(PodTopologySpread={"defaultingType": "System"})).default_spread == ()


def test_ignored_resources() -> None:
    fit = {"ignoredResources": ["example.com/foo"], "ignoredResourceGroups": ["example.org"], "scoringStrategy": {}}
    found = only(profile(NodeResourcesFit={"kind": "NodeResourcesFitArgs", **fit}))
    assert found.ignored_resources == {"example.com/foo"}
    assert found.ignored_groups == {"example.org"}


def test_what_an_extender_takes_over_replaces_every_profiles_list() -> None:
    managed = [{"name": "example.com/gpu", "ignoredByScheduler": True}, {"name": "example.com/o"}]
    extender = {"urlPrefix": "http://x", "managedResources": managed}
    fit = {"ignoredResources": ["example.com/foo"]}
    config = read(profile(NodeResourcesFit=fit), profile("second"), extenders=[extender])
    assert [each.ignored_resources for each in config.schedulers.profiles.values()] == [{"example.com/gpu"}] * 2
    assert config.warnings == ()
    config = read(profile(), extenders=[{**extender, "filterVerb": "filter"}])
    assert config.warnings == (
        "extender http://x filters nodes for pods that ask for example.com/gpu, example.com/o, which is not simulated",
    )


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("plugins", "words"),
    [
        ({"score": {"disabled": named("*")}, "filter": {"enabled": named("NodePorts")}}, []),
        ({"multiPoint": {"disabled": named("ImageLocality")}}, []),
        ({"multiPoint": {"disabled": named("*"), "enabled": named("NodeName")},
          "filter": {"enabled": named("NodePorts")}},
         ["the filters NodeUnschedulable, TaintToleration, NodeAffinity, NodeResourcesFit"]),
        ({"filter": {"disabled": named("NodePorts", "VolumeZone")}}, ["NodePorts, VolumeZone are disabled; they go"]),
        ({"filter": {"disabled": named("*")}, "multiPoint": {"enabled": named("Trimaran")}},
         ["the filters NodeUnschedulable, NodeName", "the plugins Trimaran are not known"]),
        ({"postFilter": {"enabled": named("Preempt")}, "preFilter": {"enabled": named("Coscheduling")}},
         ["the plugins Coscheduling are not known"]),
    ],
)  # fmt: skip
def test_plugins_that_cannot_be_followed_are_told(plugins: Any, words: list[str]) -> None:
    warnings = read(profile("mine", plugins)).warnings
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert warning.startswith("scheduler 'mine': ")
        assert word in warning


@pytest.mark.parametrize(
    ("plugins", "spreads"),
    [
        ({"filter": {"disabled": named("PodTopologySpread")}}, False),
        ({"multiPoint": {"disabled": named("PodTopologySpread")}}, False),
        ({"multiPoint": {"disabled": named("PodTopologySpread"), "enabled": named("PodTopologySpread")}}, True),
        (
            {"multiPoint": {"disabled": named("PodTopologySpread")}, "filter": {"enabled": named("PodTopologySpread")}},
            True,
        ),
    ],
)
def test_spread_constraints_are_left_out_with_their_filter(plugins: Any, spreads: bool) -> None:
    found = only(profile(plugins=plugins, PodTopologySpread=spread(ZONE)))
    assert found.spreads is spreads
    assert bool(found.default_spread) is spreads


ARGS = "profiles[0].pluginConfig[0].args"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", ["line 1"]),
        ("[" * 5000, ["file: "]),
        ("", ["expected one KubeSchedulerConfiguration, got 0 documents"]),
        ("a: 1\n---\nb: 2\n", ["got 2 documents"]),
        ("7", ["expected a mapping"]),
        (document().replace("/v1", "/v1beta3"), ["expected apiVersion kubescheduler.config.k8s.io/v1"]),
        (document(profile=[]), ["unknown field 'profile'"]),
        (document(profile(), profile()), ["profiles[1].schedulerName: 'default-scheduler' has a profile already"]),
        (document(profile(), {}), ["profiles[1].schedulerName: needed"]),
        (document({"pluginsConfig": []}), ["profiles[0]: unknown field 'pluginsConfig'"]),
        (document({"schedulerName": 7}), ["profiles[0].schedulerName: expected a text, got 7"]),
        (document(profile(plugins={"filters": {}})), ["profiles[0].plugins: unknown field 'filters'"]),
        (document(profile(NodeAffinity={"addedAffinities": {}})), [f"{ARGS}: unknown field 'addedAffinities'"]),
        (document(profile(NodeAffinity={"kind": "Other"})), [f"{ARGS}: expected NodeAffinityArgs"]),
        (document(profile(NodeAffinity=added({"matchExpressions": [{"key": "a", "operator": "Exists", "of": 1}]}))),
         [f"{ARGS}.addedAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0]: unknown field 'of'"]),
        (document(profile(NodeAffinity=added({"matchExpressions": [{"key": "a", "operator": "Near"}]}))),
         [f"{ARGS}.addedAffinity.{REQUIRED}.nodeSelectorTerms[0]: matchExpressions: operator 'Near' of 'a'"]),
        (document(profile(NodeAffinity=added({"matchExpressions": [{"key": "a", "operator": "In"}]}))), ["0 values"]),
        (document(profile(NodeAffinity=added({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["x"]}]}))),
         ["'x' is no integer"]),
        (document(profile(NodeAffinity=added({"matchFields": [{"key": "a", "operator": "In"}]}))), ["Fields: 'a'"]),
        (document(profile(NodeAffinity=added({"matchExpressions": [{"key": 7}]}))), ["Expected `str`"]),
        (document(profile(PodTopologySpread={"defaultConstraints": [ZONE]})), [f"{ARGS}.defaultingType: expected L"]),
        (document(profile(PodTopologySpread={"defaultingType": "Lists"})), ["one of System, List, got 'Lists'"]),
        (document(profile(PodTopologySpread=spread({**ZONE, "maxSkew": 0}))), ["[0].maxSkew: expected more than 0"]),
        (document(profile(PodTopologySpread=spread({**ZONE, "maxSkew": "1"}))), ["expected a whole number, got '1'"]),
        (document(profile(PodTopologySpread=spread({**ZONE, "whenUnsatisfiable": "Never"}))), ["got 'Never'"]),
        (document(profile(PodTopologySpread=spread({**ZONE, "topologyKey": ""}))), ["topologyKey is missing"]),
        (document(profile(PodTopologySpread=spread({**ZONE, "labelSelector": {}}))), ["labelSelector: a default"]),
        (document(profile(PodTopologySpread=spread({**ZONE, "nodeTaintsPolicy": "x"}))), ["one of Ignore, Honor"]),
        (document(profile(PodTopologySpread=spread(ZONE, ZONE))), ["defaultConstraints[1]: ", "there already"]),
        (document(profile(NodeResourcesFit={"ignoredResources": ["a b"]})), [f"{ARGS}.ignoredResources[0]: ", "'a b'"]),
        (document(profile(NodeResourcesFit={"ignoredResourceGroups": ["a/b"]})), ["expected a resource group"]),
        (document(profile(NodeResourcesFit={"ignoredResources": "a/b"})), ["expected a list, got 'a/b'"]),
        (document({"pluginConfig": [{"name": "NodeAffinity"}, {"name": "NodeAffinity"}]}), ["is configured already"]),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_with_file_and_path(text: str, words: list[str]) -> None:
    with pytest.raises(SchedulerConfigError) as raised:
        parse_scheduler_config(text, "file")
    message = str(raised.value)
    assert message.startswith("file: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchedulerConfigError, match=r"absent\.yaml: No such file"):
        read_scheduler_config(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(SchedulerConfigError, match=r"binary\.yaml: "):
        read_scheduler_config(tmp_path / "binary.yaml")
