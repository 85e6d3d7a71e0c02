"""`--scheduler-config-file`, through the command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulate.files import Case, asg, pod

FLAG = "--scheduler-config-file=scheduler.yaml"
KUBERNETES = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default"}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def configure(case: Case, *, plugins: Any = None, **arguments: Any) -> None:
    configured = [{"name": name, "args": value} for name, value in arguments.items()]
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{"schedulerName": "default-scheduler", "plugins": plugins, "pluginConfig": configured}],
    }
    (case.folder / "scheduler.yaml").write_text(json.dumps(document))


def replica_set(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}},
    }


def replica(number: int) -> dict[str, Any]:
    made = pod(f"web-{number}")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "uid-web", "controller": True}
    made["metadata"] |= {"labels": {"app": "web", "hash": "1"}, "ownerReferences": [owner]}
    return made


def zones_of(decided: dict[str, Any]) -> list[str]:
    return sorted(each["zone"] for each in decided["launches"])


ZONAL = {
    "defaultingType": "List",
    "defaultConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
}


def test_default_constraints_spread_what_would_fit_one_node(case: Case) -> None:
    case.cluster(KUBERNETES, replica_set("web", app="web", hash="1"), *(replica(number) for number in range(3)))
    case.asgs(asg("spot-a"))
    assert len(zones_of(case.decide())) == 1
    configure(case, PodTopologySpread=ZONAL)
    assert zones_of(case.decide(FLAG)) == ["eu-west-3a", "eu-west-3b", "eu-west-3c"]


def test_what_selects_must_be_in_the_input(case: Case) -> None:
    configure(case, PodTopologySpread=ZONAL)
    case.cluster(replica_set("web", app="web", hash="1"), replica(1))
    verdict = case.decide(FLAG)["verdicts"]["shop/web-1"]
    assert verdict["outcome"] == "unschedulable"
    assert verdict["objections"]["spot-a"] == ["UnknownConstraint"]
    assert "no Service is known" in case.run(FLAG, "--output=text").stdout


def test_added_affinity_objects_in_its_own_words(case: Case) -> None:
    term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["batch"]}]}
    configure(case, NodeAffinity={"addedAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}})
    tag = {"Key": "k8s.io/cluster-autoscaler/node-template/label/pool", "Value": "batch"}
    case.asgs(asg("spot-a"), asg("od-a", spot=False, Tags=[tag]))
    decided = case.decide(FLAG)
    assert [each["group"] for each in decided["launches"]] == ["od-a"]
    assert decided["verdicts"]["shop/web-1"]["objections"] == {"spot-a": ["NodeAffinityMismatch"]}
    case.asgs(asg("spot-a"))
    assert "addedAffinity" in case.run(FLAG, "--output=text").stdout


def test_ignored_resources_buy_a_node_that_lacks_them(case: Case) -> None:
    asking = pod("web-1")
    asking["spec"]["containers"][0]["resources"]["requests"]["example.com/tool"] = "1"
    case.cluster(asking)
    case.asgs(asg("spot-a"))
    assert case.decide()["verdicts"]["shop/web-1"]["outcome"] == "unschedulable"
    configure(case, NodeResourcesFit={"ignoredResources": ["example.com/tool"]})
    assert case.decide(FLAG)["verdicts"]["shop/web-1"]["outcome"] == "launch"


def test_what_cannot_be_followed_is_one_warning(case: Case) -> None:
    configure(case, plugins={"filter": {"disabled": [{"name": "NodePorts"}]}})
    done = case.run(FLAG)
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert all(word in line for word in ("scheduler.yaml", "default-scheduler", "NodePorts"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["No such file"]),
        ("a: [", ["line 1"]),
        (b"\xff\xfa", ["utf-8"]),
        ("kind: Policy", ["KubeSchedulerConfiguration"]),
        (
            "{apiVersion: kubescheduler.config.k8s.io/v1, kind: KubeSchedulerConfiguration, profiles: [{plugin: 1}]}",
            ["profiles[0]: unknown field 'plugin'"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "run"])
def test_a_bad_file_is_one_line_and_exit_code_2(case: Case, command: str, text: Any, words: list[str]) -> None:
    if text is not None:
        (case.folder / "scheduler.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = case.run(FLAG) if command == "simulate" else case.command("run", "--nodes=0:1:spot-a", FLAG)
    assert (done.returncode, done.stdout) == (2, "")
    told = [line for line in done.stderr.splitlines() if line.startswith(f"autoscaler {command}: ")]
    assert len(told) == 1, done.stderr
    assert all(word in told[0] for word in ("scheduler.yaml", *words)), told
