"""Command line, environment and file: how each is written, and which wins."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoscaler.config import Config, ConfigError, parse_run, parse_simulate, parse_snapshot
from autoscaler.config.config import FLAGS
from autoscaler.config.declare import environment_name
from autoscaler.config.ignored_flags import IGNORED, RENAMED

GROUP = "--nodes=0:5:web"


def faults(*arguments: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        parse_run([GROUP, *arguments], environment)
    return refused.value.faults


def outcome(arguments: list[str], environment: dict[str, str]) -> tuple[str, ...]:
    try:
        parse_run(arguments, environment)
    except ConfigError as error:
        return error.faults
    return ()


def write(folder: Path, text: str) -> str:
    path = folder / "flags.yaml"
    path.write_text(text)
    return f"--config={path}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-nodes-total=7"],
        ["--max-nodes-total", "7"],
        ["-max-nodes-total=7"],
        ["-max-nodes-total", "7"],
        ["--max_nodes_total=7"],
        ["--max-nodes-total=1", "--max-nodes-total=7"],
    ],
)
def test_a_flag_may_be_written_as_go_takes_it(arguments: list[str]) -> None:
    assert parse_run([GROUP, *arguments], {}).max_nodes_total == 7


@pytest.mark.parametrize("arguments", [["-v", "4"], ["-v=4"], ["--v=4"], ["--v", "4"]])
def test_verbosity(arguments: list[str]) -> None:
    assert parse_run([GROUP, *arguments], {}).verbosity == 4


def test_a_value_may_look_like_a_flag() -> None:
    assert parse_run([GROUP, "--expendable-pods-priority-cutoff", "-20"], {}).expendable_pods_priority_cutoff == -20


def test_a_switch_takes_no_value_of_its_own() -> None:
    assert parse_run([GROUP, "--dry-run", "--paused=false"], {}).dry_run
    assert faults("--dry-run", "false") == ("argument 'false': belongs to no flag; a switch is set by --dry-run=false",)


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = write(tmp_path, "{max-nodes-total: 1, max-drain-parallelism: 1, scan_interval: 30s, nodes: [0:1:file]}")
    environment = {"AUTOSCALER_MAX_NODES_TOTAL": "2", "AUTOSCALER_MAX_DRAIN_PARALLELISM": "2"}
    config = parse_run([file, "--max-nodes-total=3"], environment)
    assert (config.max_nodes_total, config.max_drain_parallelism) == (3, 2)
    assert config.scan_interval == timedelta(seconds=30)
    assert config.max_scale_down_parallelism == 10
    assert [spec.name for spec in config.nodes] == ["file"]
    assert [spec.name for spec in parse_run([file, GROUP], {}).nodes] == ["web"]


def test_environment_takes_one_value_a_line_and_names_its_file(tmp_path: Path) -> None:
    environment = {
        "AUTOSCALER_NODES": "0:1:a\n0:2:b\n",
        "AUTOSCALER_CONFIG": write(tmp_path, "v: 2").removeprefix("--config="),
        "AUTOSCALER_KUBECONFIG": "",
        "AUTOSCALER_PORT": "tcp://10.0.0.1:80",
        "AUTOSCALER_SERVICE_HOST": "10.0.0.1",
    }
    config = parse_run([], environment)
    assert [spec.name for spec in config.nodes] == ["a", "b"]
    assert config.verbosity == 2
    assert config.warnings == ()


def test_file_takes_lists_and_reads_scalars_as_the_command_line_does(tmp_path: Path) -> None:
    text = "node-group-auto-discovery: [asg:tag=a, 'asg:tag=b=c']\ncores-total: 10:50\ndry-run: true\nkubeconfig:\n"
    config = parse_run([write(tmp_path, text)], {})
    assert config.node_group_auto_discovery == {"a": None, "b": "c"}
    assert (config.cores_total.min, config.cores_total.max) == (10, 50)
    assert config.dry_run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a]", "expected a mapping"),
        ("a: [", "is not YAML"),
        ("config: other.yaml", "key config: a file cannot name another one"),
        ("dry-runs: true", "did you mean --dry-run?"),
        ("dry-run: yes", "key dry-run: 'yes': expected true or false"),
        ("scan-interval: [1s, 2s]", "expected one value"),
        ("nodes: [{min: 1}]", "a list of values"),
        ("nodes: {min: 1}", "a list of values"),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path: Path, text: str, expected: str) -> None:
    [fault] = faults(write(tmp_path, text))
    assert fault.startswith(f"file {tmp_path / 'flags.yaml'}")
    assert expected in fault


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert faults(f"--config={tmp_path / 'none'}") == (
        f"file {tmp_path / 'none'}: cannot be read: No such file or directory",
    )
    assert "cannot be read" in faults(f"--config={tmp_path}")[0]


def test_all_faults_are_told_at_once_each_with_its_source(tmp_path: Path) -> None:
    told = faults(
        write(tmp_path, "max-nodes-total: many"),
        "--expader", "priority", "--mode=fast", "--scan-interval",
        AUTOSCALER_MAX_DRAIN_PARALLELISM="0",
    )  # fmt: skip
    assert told == (
        "flag --expader: there is no such flag; did you mean --expander?",
        "flag --scan-interval: needs a value",
        f"file {tmp_path / 'flags.yaml'}, key max-nodes-total: 'many': expected a valid integer",
        "environment AUTOSCALER_MAX_DRAIN_PARALLELISM: '0': expected at least 1",
        "flag --mode: 'fast': expected 'controller' or 'sidecar'",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--balancing-label=a", "--balancing-ignore-label=b"], "only one of them"),
        (["--drain-priority-config=1:2", "--max-graceful-termination-sec=5"], "only one of them"),
        (["--initial-node-group-backoff-duration=1h"], "default 30m): expected the first not to exceed the second"),
        (["--leader-elect-lease-duration=5s"], "less than the second"),
        (["--leader-elect-retry-period=9s"], "1.2 times"),
        (["--batch-idle=1s"], "--batch-max (default 250ms)"),
        (["--allowed-scheduler-names=a", "--bypassed-scheduler-names=b"], "every name"),
        (["--nodes=1:2:web"], "each group once"),
    ],
)
def test_flags_that_contradict_each_other_are_a_fault(arguments: list[str], expected: str) -> None:
    [fault] = faults(*arguments)
    assert expected in fault


def test_run_needs_to_know_its_groups() -> None:
    with pytest.raises(ConfigError, match="every group of the account"):
        parse_run([], {})
    assert parse_snapshot([], {})[1].directory == Path("snapshot")


def test_simulation_needs_its_input_and_takes_no_variable_for_it() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_simulate(["--asgs="], {"AUTOSCALER_CLUSTER": "x"})
    assert refused.value.faults == (
        "flag --asgs: '': expected the name of a file",
        "flag --cluster: needed",
    )


def test_flags_without_effect_are_named_in_one_warning() -> None:
    arguments = ["--logtostderr", "--stderrthreshold", "info", "-vmodule=a=1", "--max-empty-bulk-delete=4", GROUP]
    config = parse_run(arguments, {"AUTOSCALER_PROFILING": "true", "AUTOSCALER_TYPO": "1"})
    assert config.max_scale_down_parallelism == 4
    assert config.warnings == (
        "without effect here: --logtostderr, --profiling, --stderrthreshold, --vmodule, AUTOSCALER_TYPO",
        "--max-empty-bulk-delete is now --max-scale-down-parallelism",
    )


def test_an_old_name_and_its_successor_add_up() -> None:
    assert parse_run([GROUP, "--ignore-taint=a", "--startup-taint=b"], {}).startup_taint == ("a", "b")


@pytest.mark.parametrize("name", [*IGNORED, *RENAMED])
def test_every_flag_of_old_manifests_is_accepted(name: str) -> None:
    assert parse_run([GROUP, f"--{name}=1"], {}).warnings
    if IGNORED.get(name):
        assert parse_run([GROUP, f"--{name}"], {}).warnings


WORDS = st.one_of(
    st.sampled_from([f"--{name}" for name in (*FLAGS, *RENAMED, *IGNORED)]),
    st.builds("--{}={}".format, st.sampled_from([name for name in FLAGS if name != "config"]), st.text(max_size=8)),
    st.text(max_size=8),
)


@given(
    arguments=st.lists(WORDS, max_size=6),
    variables=st.dictionaries(st.sampled_from(sorted(FLAGS)), st.text(max_size=8)),
)
def test_any_input_is_a_config_or_named_faults(arguments: list[str], variables: dict[str, str]) -> None:
    variables.pop("config", None)
    environment = {environment_name(name): text for name, text in variables.items()}
    assume(not {"-h", "--h", "--help", "-help"} & set(arguments))
    assert all(len(fault.splitlines()) == 1 for fault in outcome(arguments, environment))


def test_every_flag_has_one_attribute_and_help() -> None:
    config = Config()
    assert len({row.field for row in FLAGS.values()}) == len(FLAGS)
    for row in FLAGS.values():
        assert getattr(config, row.field) == row.default
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.name)
        assert row.help
    assert not set(FLAGS) & {*IGNORED, *RENAMED}
