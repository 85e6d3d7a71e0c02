"""What each kind of flag takes and refuses, through the command line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autoscaler.config import Config, ConfigError, Dry, MinMax, NodesSpec, parse_run, parse_simulate
from autoscaler.core.scaledown.policy import BadCondition

GROUP = "--nodes=0:5:web"
INPUT = ("--cluster=c.yaml", "--asgs=a.json")


@pytest.mark.parametrize(
    ("argument", "field", "value"),
    [
        ("--max-nodes-total=7", "max_nodes_total", 7),
        ("--expendable-pods-priority-cutoff=-5", "expendable_pods_priority_cutoff", -5),
        ("--scale-down-utilization-threshold=0.7", "scale_down_utilization_threshold", 0.7),
        ("--max-total-unready-percentage=100", "max_total_unready_percentage", 100.0),
        ("--scan-interval=1m30s", "scan_interval", timedelta(seconds=90)),
        ("--new-pod-scale-up-delay=0", "new_pod_scale_up_delay", timedelta(0)),
        ("--on-demand-min-age=90m", "on_demand_min_age", timedelta(minutes=90)),
        ("--on-demand-min-age=never", "on_demand_min_age", None),
        (
            "--drain-node-conditions=KernelDeadlock,OutOfDisk=True,10m",
            "drain_node_conditions",
            (BadCondition("KernelDeadlock"), BadCondition("OutOfDisk", "True", timedelta(minutes=10))),
        ),
        ("--cores-total=10:50", "cores_total", MinMax(10, 50)),
        ("--nodes=1:10:a:b", "nodes", (NodesSpec(0, 5, "web"), NodesSpec(1, 10, "a:b"))),
        ("--expander=most-pods,least-waste", "expander", ("most-pods", "least-waste")),
        ("--startup-taint=a,b", "startup_taint", ("a,b",)),
        ("--allowed-scheduler-names=a, b,", "allowed_scheduler_names", ("a", "b")),
        ("--capacity-backoff=20s", "capacity_backoff", (timedelta(seconds=20), timedelta(seconds=20))),
        ("--capacity-backoff=20s,2m", "capacity_backoff", (timedelta(seconds=20), timedelta(minutes=2))),
        ("--mode=sidecar", "mode", "sidecar"),
        ("--address=[::1]:80", "address", "[::1]:80"),
        ("--drain-priority-config=1000:100,-5:60", "drain_priority_config", "1000:100,-5:60"),
        ("--cloud-config=c.ini", "cloud_config", Path("c.ini")),
        ("--kubeconfig=", "kubeconfig", ""),
    ],
)
def test_takes(argument: str, field: str, value: object) -> None:
    assert getattr(parse_run([GROUP, argument], {}), field) == value


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--max-nodes-total=-1", "at least 0"),
        ("--max-nodes-total=ten", "a valid integer"),
        ("--max-drain-parallelism=0", "at least 1"),
        ("--scale-down-utilization-threshold=1.1", "at least 0 and at most 1"),
        ("--scale-down-utilization-threshold=nan", "at least 0 and at most 1"),
        ("--kube-client-qps=inf", "at most 100000"),
        ("--scan-interval=10", "a duration such as"),
        ("--scan-interval=0", "at least 1us"),
        ("--scale-down-unneeded-time=-1m", "not negative"),
        ("--on-demand-min-age=x", "or never"),
        ("--cores-total=5", "MIN:MAX"),
        ("--cores-total=5:4", "MIN:MAX"),
        ("--memory-total=0:-1", "MIN:MAX"),
        ("--nodes=3:1:a", "MIN:MAX:NAME"),
        ("--nodes=1:3:", "MIN:MAX:NAME"),
        ("--expander=priority,priority", "different names"),
        ("--expander=cheapest", "different names"),
        ("--capacity-backoff=0s", "positive durations"),
        ("--capacity-backoff=1m,30s", "not shorter"),
        ("--capacity-backoff=1s,2s,3s", "one or two"),
        ("--node-group-auto-discovery=mig:name=a", "asg:tag="),
        ("--node-group-auto-discovery=asg:tag=", "asg:tag="),
        ("--node-group-auto-discovery=asg:tag=a,=b", "empty key"),
        ("--launch-method=fast", "'auto', 'sync' or 'desired'"),
        ("--cloud-provider=gce", "'aws'"),
        ("--dry-run=yes", "true or false"),
        ("--address=8085", "[HOST]:PORT"),
        ("--drain-priority-config=a:1", "PRIORITY:SECONDS"),
        ("--drain-node-conditions=10m", "a condition before the duration"),
        ("--drain-node-conditions=OutOfDisk=yes", "expected KernelDeadlock or"),
        ("--startup-taint=", "not empty"),
        ("--cloud-config=", "a file"),
    ],
)
def test_refuses_in_one_line_with_source_value_and_expectation(argument: str, expected: str) -> None:
    name, _, text = argument.partition("=")
    with pytest.raises(ConfigError) as refused:
        parse_run([GROUP, argument], {})
    [fault] = refused.value.faults
    assert fault.startswith(f"flag {name}: ")
    assert repr(text) in fault
    assert expected in fault


def test_discovery_merges_all_occurrences_and_the_last_value_of_a_key_counts() -> None:
    config = parse_run(
        ["--node-group-auto-discovery=asg:tag=a,b=1", "--node-group-auto-discovery=asg:tag=b=2=x,k8s.io/c"], {}
    )
    assert config.node_group_auto_discovery == {"a": None, "b": "2=x", "k8s.io/c": None}


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_switches_take_gos_words_for_true(text: str) -> None:
    assert parse_run([GROUP, f"--dry-run={text}"], {}).dry_run


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_switches_take_gos_words_for_false(text: str) -> None:
    assert not parse_run([GROUP, f"--leader-elect={text}"], {}).leader_elect


def test_simulation_reads_its_input() -> None:
    _, inputs = parse_simulate(
        ["--cluster", "a", "b", "--cluster=c", "--asgs", "d", "--ice=g", "--ice", "h:eu-west-3a", *AT, "--output=json"],
        {},
    )
    assert inputs.cluster == (Path("a"), Path("b"), Path("c"))
    assert inputs.asgs == Path("d")
    assert inputs.ice == (Dry("g", None), Dry("h", "eu-west-3a"))
    assert inputs.at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert inputs.output == "json"


AT = ("--at", "2026-01-01T12:00:00Z")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--at=2026-01-01T12:00:00", "offset"),
        ("--at=noon", "offset"),
        ("--ice=:z", "GROUP:ZONE"),
        ("--ice=g:", "GROUP"),
    ],
)
def test_simulation_refuses(argument: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_simulate([*INPUT, argument], {})


def test_settings_tell_what_differs_from_the_defaults_without_credentials() -> None:
    config = parse_run([GROUP, "--kubernetes=https://me:secret@host:6443/x", "--max-nodes-total=0", "--v=4"], {})
    assert config.settings() == {"nodes": "0:5:web", "kubernetes": "https://host:6443/x", "v": "4"}
    assert Config().settings() == {}
    assert parse_run([GROUP, "--on-demand-min-age=never"], {}).settings()["on-demand-min-age"] == "never"


def test_settings_read_back_to_the_same_config() -> None:
    arguments = [
        "--node-group-auto-discovery=asg:tag=a,b=c",
        "--scan-interval=90s",
        "--dry-run",
        "--capacity-backoff=1s,3s",
    ]
    config = parse_run(arguments, {})
    assert parse_run([f"--{name}={text}" for name, text in config.settings().items()], {}) == config
