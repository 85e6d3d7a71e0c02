"""The roles and the AWS policy hold exactly what the code uses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from autoscaler.core.podspec import SpreadConstraint
from autoscaler.core.schedulers import NO_SCHEDULERS, Profile, Schedulers
from autoscaler.kubernetes.cache import Pace
from autoscaler.kubernetes.cluster import PRIORITY_CONFIG_MAP, ClusterCache, ClusterSettings
from autoscaler.kubernetes.policy_config import CONFIG_MAP as POLICY_CONFIG_MAP
from autoscaler.kubernetes.reserve_config import CONFIG_MAP as HEADROOM_CONFIG_MAP
from autoscaler.kubernetes.state import STATE_CONFIG_MAP
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.deploy.chart import ROOT, VALUES, render

IAM = ROOT / "deploy" / "iam"
NOWHERE = "http://127.0.0.1:1"
CONFIG_MAPS = {PRIORITY_CONFIG_MAP, POLICY_CONFIG_MAP, HEADROOM_CONFIG_MAP}
LEAST = {"autoDiscovery": {"clusterName": "prod"}}
EVENTS = {("", "events", "create", ""), ("", "events", "patch", "")}
DRAINS = {
    ("", "nodes", "get", ""),
    ("", "nodes", "update", ""),
    ("", "pods/eviction", "create", ""),
}


async def followed(schedulers: Schedulers = NO_SCHEDULERS) -> tuple[set[tuple[str, str]], set[str]]:
    """Return (API group, resource) of all that is followed in the whole cluster, and the ConfigMaps beside it."""
    settings = ClusterSettings(pace=Pace(jitter=lambda: 0), schedulers=schedulers)
    async with connect(KubernetesSettings(master_url=NOWHERE)) as api:
        kinds = [one.kind for one in ClusterCache(api, settings).reflectors()]
    resources, config_maps = set(), set()
    for kind in kinds:
        path = re.fullmatch(r"/api(?:s/([^/]+))?/v\d\w*/(\w+)", kind.path)
        if path is not None:
            resources.add((path[1] or "", path[2]))
        else:
            assert kind.path == "/api/v1/namespaces/kube-system/configmaps"
            config_maps.add(kind.selector["fieldSelector"].removeprefix("metadata.name="))
    return resources, config_maps


@pytest.mark.anyio
async def test_what_is_followed_can_be_read_and_nothing_else() -> None:
    resources, config_maps = await followed()
    assert len(resources) >= 11
    assert config_maps <= CONFIG_MAPS
    rules = render().rules("ClusterRole") - EVENTS - DRAINS
    assert {verb for _, _, verb, _ in rules} == {"list", "watch"}
    for verb in ("list", "watch"):
        readable = {(group, resource) for group, resource, can, _ in rules if can == verb}
        assert readable == resources


@pytest.mark.anyio
async def test_services_can_be_read_with_a_scheduler_configuration_alone() -> None:
    spread = (SpreadConstraint("zone", 1, True, None),)
    more, _ = await followed(Schedulers(profiles={"default-scheduler": Profile(default_spread=spread)}))
    assert more - (await followed())[0] == {("", "services")}
    named = {"extraArgs": {"scheduler-config-file": "/etc/scheduler/config.yaml"}, **LEAST}
    rules = render(named).rules("ClusterRole") - render().rules("ClusterRole")
    assert rules == {("", "services", verb, "") for verb in ("list", "watch")}


def test_what_may_be_written() -> None:
    assert render().rules("ClusterRole") >= EVENTS | DRAINS
    lease = ("coordination.k8s.io", "leases")
    assert render().rules("Role") == {
        *(("", "configmaps", verb, name) for name in CONFIG_MAPS for verb in ("list", "watch")),
        ("", "configmaps", "get", STATE_CONFIG_MAP),
        ("", "configmaps", "update", STATE_CONFIG_MAP),
        ("", "configmaps", "get", "cluster-autoscaler-status"),
        ("", "configmaps", "update", "cluster-autoscaler-status"),
        ("", "configmaps", "create", ""),
        (*lease, "create", ""),
        *((*lease, verb, "cluster-autoscaler") for verb in ("get", "update", "watch")),
    }


@pytest.mark.parametrize("values", [None, {**LEAST, "extraArgs": {"dry-run": None}}])
def test_a_dry_run_may_write_nothing(values: dict[str, Any] | None) -> None:
    rendering = render(values) if values is not None else render(file=VALUES / "shadow.yaml")
    assert any(flag in ("--dry-run", "--dry-run=true") for flag in rendering.flags)
    for kind in ("ClusterRole", "Role"):
        assert {verb for _, _, verb, _ in rendering.rules(kind)} <= {"get", "list", "watch"}
    assert not rendering.rules("ClusterRole") & (EVENTS | DRAINS)
    assert not [rule for rule in rendering.rules("Role") if rule[1] == "leases"]


def test_another_lease_is_the_one_that_may_be_held() -> None:
    leases = {rule[3] for rule in render(file=VALUES / "everything.yaml").rules("Role") if rule[1] == "leases"}
    assert leases == {"", "other"}


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"status-config-map-name": "other-status"}, {STATE_CONFIG_MAP, "other-status"}),
        ({"write-status-configmap": False}, {STATE_CONFIG_MAP}),
        ({"dry-run": True}, {STATE_CONFIG_MAP}),
    ],
)
def test_only_the_status_config_map_that_is_written_can_be(flags: dict[str, Any], names: set[str]) -> None:
    rules = render({"extraArgs": flags, **LEAST}).rules("Role")
    assert {name for _, resource, verb, name in rules if (resource, verb) == ("configmaps", "get")} == names


def test_bindings_join_the_roles_to_the_service_account() -> None:
    rendering = render(file=VALUES / "everything.yaml")
    account = rendering.one("ServiceAccount")["metadata"]
    assert rendering.pod["serviceAccountName"] == account["name"] == "autoscaler"
    for binding, role in (("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")):
        bound = rendering.one(binding)
        assert bound["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        assert (bound["roleRef"]["kind"], bound["roleRef"]["name"]) == (role, rendering.one(role)["metadata"]["name"])
    rules = rendering.rules("ClusterRole")
    assert ("example.com", "things", "watch", "") in rules, "additionalRules"


def policy() -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads((IAM / "policy.json").read_text())["Statement"]
    return statements


def called() -> set[str]:
    """Return the AWS actions that the sources name in calls."""
    services = {"autoscaling", "ec2", "eks"}
    found = set()
    for path in (ROOT / "autoscaler" / "aws").rglob("*.py"):
        for service, action in re.findall(r'"(\w+)",\s*"([A-Z][A-Za-z]+)"', path.read_text()):
            if service in services:
                found.add(f"{service}:{action}")
    return found


def test_the_aws_policy_permits_what_is_called_and_nothing_else() -> None:
    permitted = [action for statement in policy() for action in statement["Action"]]
    assert len(permitted) == len(set(permitted))
    assert len(called()) >= 14
    behind = {"ec2:CreateFleet"}  # asked for by LaunchInstances, on the caller's behalf
    assert set(permitted) == called() | behind


def test_whatever_changes_a_group_is_bound_to_the_clusters_tag() -> None:
    for statement in policy():
        is_read = all(re.match(r"\w+:(Describe|Get)", action) for action in statement["Action"])
        if not is_read and statement["Sid"] != "LaunchFleet":
            assert statement["Condition"] == {
                "Null": {"aws:ResourceTag/k8s.io/cluster-autoscaler/${cluster_name}": "false"}
            }


def test_terraform_and_the_readme_tell_the_same() -> None:
    module, readme = (IAM / "main.tf").read_text(), (IAM / "README.md").read_text()
    variables = set(re.findall(r"\$\{(\w+)\}", (IAM / "policy.json").read_text()))
    template = re.search(r'templatefile\("\$\{path\.module\}/policy\.json", \{([^}]*)\}\)', module)
    assert template is not None
    assert set(re.findall(r"(\w+)\s*=", template[1])) == variables == {"cluster_name"}
    for statement in policy():
        for action in statement["Action"]:
            assert f"`{action}`" in readme, action
