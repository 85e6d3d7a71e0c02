"""What `helm template` makes of values, by the real helm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import parse_run
from autoscaler.kubernetes.cluster import PRIORITY_CONFIG_MAP
from autoscaler.kubernetes.convert import parse_priorities
from autoscaler.kubernetes.policy_config import CONFIG_MAP as POLICY_CONFIG_MAP
from autoscaler.kubernetes.policy_config import KEY as POLICY_KEY
from autoscaler.kubernetes.policy_config import parse_policy
from tests.deploy.chart import CHART, NAMESPACE, ROOT, VALUES, Rendering, helm, refusal, render
from tests.tools import chart_readme

LEAST = {"autoDiscovery": {"clusterName": "prod"}}
BUDGET = {
    "paused": True,
    "disruption": {"cluster": "10%", "perGroup": 2, "windows": ["Mon-Fri 09:00-17:00 Europe/Paris"]},
    "floors": [{"groups": "spot", "nodes": 6, "window": "Mon-Fri 07:30-22:00 Europe/Paris", "warmup": "10m"}],
    "headroom": [{"perZone": True, "linear": {"coresPerReplica": 50}, "pod": {"cpu": 2, "memory": "4Gi"}}],
}
FILES = sorted(VALUES.glob("*.yaml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@each_file
def test_helm_finds_no_fault(file: Path) -> None:
    done = helm("lint", CHART, "--strict", "--values", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@each_file
def test_what_is_rendered_starts_the_controller(file: Path) -> None:
    rendering = render(file=file)
    assert parse_run(rendering.container["args"][1:], {}).namespace == NAMESPACE
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in rendering.objects]
    assert len(names) == len(set(names))
    selector = rendering.one("Deployment")["spec"]["selector"]["matchLabels"]
    labels = rendering.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()


def test_defaults() -> None:
    rendering = render()
    assert rendering.one("Deployment")["spec"]["replicas"] == 2
    assert rendering.one("Deployment")["metadata"]["name"] == "prod-priority-autoscaler"
    assert rendering.flags == [
        "--node-group-auto-discovery=asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/prod"
    ]
    budget = rendering.one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == rendering.one("Service")["spec"]["selector"]
    assert not rendering.all("ServiceMonitor")
    assert not rendering.all("PrometheusRule")
    assert not rendering.all("ConfigMap")


def test_probes_and_ports() -> None:
    container = render().container
    assert {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "startupProbe": {"path": "/healthz", "port": "http"},
        "livenessProbe": {"path": "/health-check", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }
    assert container["ports"] == [{"name": "http", "containerPort": 8085, "protocol": "TCP"}]
    assert parse_run(render().container["args"][1:], {}).address == ":8085", (
        "the kubelet's probes do not come over loopback"
    )


def test_the_pod_is_restricted() -> None:
    pod, container = render().pod, render().container
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"volumes", "hostNetwork", "hostPID", "hostIPC"} & pod.keys()


@pytest.mark.parametrize(
    ("flags", "rendered"),
    [
        ({"v": 4}, "--v=4"),
        ({"logtostderr": True}, "--logtostderr=true"),
        ({"leader-elect": False}, "--leader-elect=false"),
        ({"expander": "priority"}, "--expander=priority"),
        ({"startup-taint_1": "a"}, "--startup-taint=a"),
        ({"startup-taint_of_cilium": "a"}, "--startup-taint=a"),
        ({"max-nodes-total": 1_000_000}, "--max-nodes-total=1000000"),
        ({"scale-down-utilization-threshold": 0.65}, "--scale-down-utilization-threshold=0.65"),
        ({"kube-client-qps": 50.0}, "--kube-client-qps=50"),
        ({"nodes": "1:10:a, b"}, "--nodes=1:10:a, b"),
        ({"startup-taint": ""}, "--startup-taint="),
    ],
)
def test_extra_args(flags: dict[str, Any], rendered: str) -> None:
    assert render({**LEAST, "extraArgs": flags}).flags[1:] == [rendered]


def test_repeated_flags_and_groups_by_name() -> None:
    rendering = render(file=VALUES / "everything.yaml")
    config = parse_run(rendering.container["args"][1:], {})
    assert config.startup_taint == ("node.cilium.io/agent-not-ready", "ebs.csi.aws.com/agent-not-ready")
    assert [(spec.min, spec.max, spec.name) for spec in config.nodes] == [(0, 1_000_000, "special")]
    assert dict(config.node_group_auto_discovery)["team"] == "web"
    assert config.verbosity == 4, "customArgs come last, as they stand"
    assert (config.balance_similar_node_groups, config.max_nodes_total) == (False, 1_000_000)


def test_the_values_of_a_stock_installation() -> None:
    rendering = render(file=VALUES / "stock.yaml")
    config = parse_run(rendering.container["args"][1:], {})
    assert config.startup_taint == ("node.cilium.io/agent-not-ready",)
    assert not config.skip_nodes_with_local_storage
    assert rendering.container["env"] == [{"name": "AWS_REGION", "value": "us-east-1"}]
    role = rendering.one("ServiceAccount")["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    assert role == "arn:aws:iam::123456789012:role/autoscaler"


def config_map(rendering: Rendering, name: str) -> dict[str, str]:
    """The data of the one ConfigMap of this name."""
    (found,) = [each["data"] for each in rendering.all("ConfigMap") if each["metadata"]["name"] == name]
    return dict(found)


@pytest.mark.parametrize(
    "priorities",
    [{10: [".*od.*"], 20: [".*spot.*", "^web"]}, {"10": [".*"], "-5": ["a'b: c"]}, "10: [od]\n20:\n  - spot\n"],
    ids=["numbers", "texts", "yaml"],
)
def test_priorities_are_readable(priorities: object) -> None:
    rendering = render({**LEAST, "expanderPriorities": priorities})
    text = config_map(rendering, PRIORITY_CONFIG_MAP)["priorities"]
    wanted = yaml.safe_load(priorities) if isinstance(priorities, str) else priorities
    assert yaml.safe_load(text) == {int(key): patterns for key, patterns in wanted.items()}
    assert len(parse_priorities(text).entries) == 2


@pytest.mark.parametrize("policy", [BUDGET, yaml.safe_dump(BUDGET)], ids=["map", "yaml"])
def test_the_policy_is_readable(policy: object) -> None:
    text = config_map(render({**LEAST, "policy": policy}), POLICY_CONFIG_MAP)[POLICY_KEY]
    assert parse_policy(text) == parse_policy(yaml.safe_dump(BUDGET))
    assert parse_policy(text).budget is not None


def test_environment_and_volumes() -> None:
    container = render(file=VALUES / "everything.yaml").container
    assert container["env"] == [
        {"name": "AWS_REGION", "value": "eu-west-3"},
        {"name": "AWS_MAX_ATTEMPTS", "value": "3"},
        {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"},
        {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "one"}}},
        {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "secrets", "key": "two"}}},
    ]
    assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "secrets"}}]
    assert container["volumeMounts"] == [{"name": "certificates", "mountPath": "/etc/certificates", "readOnly": True}]
    assert container["image"] == "registry.example/autoscaler:1.2.3"
    assert render(file=VALUES / "bare.yaml").container["image"] == "autoscaler@sha256:" + 64 * "0"


def test_values_land_where_they_belong() -> None:
    values, rendering = (
        yaml.safe_load((VALUES / "everything.yaml").read_text()),
        render(file=VALUES / "everything.yaml"),
    )
    deployment, pod = rendering.one("Deployment"), rendering.pod
    for key in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"):
        assert pod[key] == values[key]
    for key in ("dnsPolicy", "dnsConfig", "initContainers", "hostNetwork", "terminationGracePeriodSeconds"):
        assert pod[key] == values[key]
    assert rendering.container["resources"] == values["resources"]
    assert deployment["spec"]["strategy"] == values["updateStrategy"]
    assert deployment["spec"]["revisionHistoryLimit"] == values["revisionHistoryLimit"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    for each in rendering.objects:
        if each["metadata"]["name"] != "prod-more":
            assert each["metadata"]["labels"]["team"] == "platform"
    budget = rendering.one("PodDisruptionBudget")["spec"]
    assert (budget["minAvailable"], budget.get("maxUnavailable")) == ("50%", None)
    monitor, rule = rendering.one("ServiceMonitor"), rendering.one("PrometheusRule")
    assert monitor["metadata"]["namespace"] == rule["metadata"]["namespace"] == "monitoring"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}
    assert monitor["spec"]["endpoints"][0]["port"] == rendering.one("Service")["spec"]["ports"][0]["name"]
    assert rule["spec"]["groups"][0]["rules"][-1] == {"alert": "Mine", "expr": "vector(1)"}


def test_bare_values_leave_everything_out() -> None:
    rendering = render(file=VALUES / "bare.yaml")
    assert [each["kind"] for each in rendering.objects] == ["Deployment"]
    assert rendering.flags == ["--nodes=1:10:workers"]
    assert rendering.pod["serviceAccountName"] == "default"
    assert "priorityClassName" not in rendering.pod


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("prod", {}, "prod-priority-autoscaler"),
        ("priority-autoscaler", {}, "priority-autoscaler"),
        ("prod", {"nameOverride": "nodes"}, "prod-nodes"),
        ("prod", {"fullnameOverride": "nodes"}, "nodes"),
        ("prod", {"fullnameOverride": "n" * 62 + "-more"}, "n" * 62),
    ],
)
def test_names(release: str, values: dict[str, Any], name: str) -> None:
    rendering = render({**LEAST, **values}, release=release)
    assert {each["metadata"]["name"] for each in rendering.objects} == {name}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "set autoDiscovery.clusterName or autoscalingGroups"),
        ({**LEAST, "replicas": 2}, "additional properties 'replicas' not allowed"),
        ({**LEAST, "replicaCount": "two"}, "at '/replicaCount': got string, want integer"),
        ({**LEAST, "replicaCount": -1}, "at '/replicaCount'"),
        ({**LEAST, "cloudProvider": "gce"}, "at '/cloudProvider'"),
        ({**LEAST, "rbac": {"pspEnabled": True}}, "'pspEnabled' not allowed"),
        ({**LEAST, "rbac": {"serviceAccount": {"annotations": {"a": 1}}}}, "got number, want string"),
        ({**LEAST, "extraArgs": {"startup-taint": ["a", "b"]}}, "at '/extraArgs/startup-taint'"),
        ({**LEAST, "extraArgs": {"--v": 4}}, "at '/extraArgs': additional properties '--v' not allowed"),
        ({**LEAST, "customArgs": "--v=4"}, "at '/customArgs': got string, want array"),
        ({**LEAST, "expanderPriorities": {"high": [".*"]}}, "at '/expanderPriorities': additional properties 'high'"),
        ({**LEAST, "expanderPriorities": {"10": ".*"}}, "at '/expanderPriorities/10'"),
        ({**LEAST, "policy": {"pause": True}}, "at '/policy': additional properties 'pause' not allowed"),
        ({**LEAST, "policy": {"disruption": {"windows": "always"}}}, "at '/policy/disruption/windows'"),
        ({**LEAST, "policy": {"floors": [{"groups": "spot", "nodes": "2"}]}}, "at '/policy/floors/0/nodes'"),
        ({**LEAST, "policy": {"headroom": [{"replicas": 2}]}}, "missing property 'pod'"),
        ({**LEAST, "autoscalingGroups": [{"name": "a", "maxSize": 1}]}, "missing property 'minSize'"),
        ({**LEAST, "image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
        ({**LEAST, "serviceMonitor": {"interval": "often"}}, "at '/serviceMonitor/interval'"),
        ({**LEAST, "grafanaDashboards": True}, "at '/grafanaDashboards': got boolean, want object"),
        ({**LEAST, "extraEnvSecrets": {"A": {"name": "secret"}}}, "missing property 'key'"),
        ({**LEAST, "service": {"servicePort": 0}}, "at '/service/servicePort'"),
        ({**LEAST, "serviceMonitor": {"enabled": True}, "service": {"create": False}}, "needs service.create"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], told: str) -> None:
    assert told in refusal(values)


def test_alerts_ask_for_figures_that_exist() -> None:
    rules = render({**LEAST, "prometheusRule": {"enabled": True}}).one("PrometheusRule")["spec"]["groups"][0]["rules"]
    told = (ROOT / "docs" / "metrics.md").read_text()
    assert len(rules) > 4
    for rule in rules:
        names = re.findall(r"(?:priority|cluster)_autoscaler_\w+", rule["expr"])
        assert names
        for name in names:
            assert f"`{name}`" in told, f"{rule['alert']}: {name}"
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert f'{{namespace="{NAMESPACE}",job="prod-priority-autoscaler"' in rule["expr"]


def test_every_dashboard_is_there_for_grafanas_sidecar() -> None:
    on = {"enabled": True, "namespace": "monitoring", "annotations": {"grafana_folder": "Nodes"}}
    made = [each for each in render({**LEAST, "grafanaDashboards": on}).all("ConfigMap") if "grafana" in str(each)]
    files = {path.name: json.loads(path.read_text()) for path in (ROOT / "dashboards").glob("*.json")}
    assert files
    assert {name: json.loads(text) for each in made for name, text in each["data"].items()} == files
    for each in made:
        metadata = each["metadata"]
        assert metadata["name"] == f"prod-priority-autoscaler-{next(iter(each['data'])).removesuffix('.json')}"
        assert (metadata["namespace"], metadata["labels"]["grafana_dashboard"]) == ("monitoring", "1")
        assert metadata["annotations"] == {"grafana_folder": "Nodes"}


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert chart["version"] == chart["appVersion"] == version[1]


def test_the_readme_tells_every_value() -> None:
    text, readme = (CHART / "values.yaml").read_text(), (CHART / "README.md").read_text()
    assert chart_readme.undescribed(text) == []
    assert readme == chart_readme.with_table(readme, text), "run python -m tests.tools.chart_readme"
