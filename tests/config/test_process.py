"""Settings seen from outside: what is imported, what `--help` prints."""

import subprocess
import sys

import pytest

from autoscaler.config.config import FLAGS

HEAVY = ("pydantic", "yaml", "aiohttp", "botocore", "kubernetes", "structlog", "msgspec")


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", ["run", "simulate", "snapshot", "selftest"])
def test_help_names_every_flag_and_imports_nothing_heavy(command: str) -> None:
    program = (
        f"import sys; from autoscaler.config import parse_{command} as parse\n"
        "try: parse(sys.argv[1:], {})\n"
        f"finally: print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    result = run(program, "--help")
    assert result.returncode == 0
    assert result.stderr == "[]\n"
    assert f"usage: autoscaler {command} " in result.stdout
    assert [name for name in FLAGS if f"--{name}" not in result.stdout] == []
    assert "[cluster-autoscaler]" in result.stdout


def test_settings_are_read_without_the_cloud_libraries() -> None:
    program = (
        "import sys; from autoscaler.config import parse_run; parse_run(sys.argv[1:], {})\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    result = run(program, "--nodes=0:1:web")
    assert (result.returncode, result.stdout) == (0, "['pydantic']\n")


def test_a_command_prints_every_fault_and_exits_with_2() -> None:
    command = [sys.executable, "-m", "autoscaler.cli", "run", "--expader=priority", "--scan-interval=10"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={})
    assert (result.returncode, result.stdout) == (2, "")
    unknown, wrong, missing = result.stderr.splitlines()
    assert unknown == "autoscaler run: flag --expader: there is no such flag; did you mean --expander?"
    assert wrong == "autoscaler run: flag --scan-interval: '10': expected a duration such as 10s, 1h30m or 250ms"
    assert "expected one of them" in missing
