"""Arguments, environment and file become one checked Config, or all their faults.

The command line wins over the environment, the environment over the file, the
file over the defaults; a flag is taken wholly from one of them. pydantic is
imported here, once there are values to check, and no earlier.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autoscaler.config.config import (
    FLAGS,
    SELFTEST_FLAGS,
    SIMULATE_FLAGS,
    SNAPSHOT_FLAGS,
    Config,
    SelftestInputs,
    SimulateInputs,
    SnapshotInputs,
)
from autoscaler.config.declare import Flag
from autoscaler.config.rules import RULES, WHOLE_ACCOUNT, Rule, contradictions
from autoscaler.config.sources import (
    Given,
    merged,
    read_arguments,
    read_environment,
    read_file,
    remarks,
    strangers,
)
from autoscaler.config.usage import usage
from autoscaler.config.values import render
from autoscaler.errors import AutoscalerError

Inputs = TypeVar("Inputs", SelftestInputs, SimulateInputs, SnapshotInputs)


class ConfigError(AutoscalerError):
    """Settings that cannot be used; every fault is a line that names its source.

    A command that gets it prints the text on standard error and exits with 2.
    """

    exit_code = 2

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(" ".join(fault.splitlines()) for fault in faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    summary: str
    own: Mapping[str, Flag]  # flags of this command alone; they have no variable and no key
    rules: Collection[Rule] = RULES

    @property
    def flags(self) -> dict[str, Flag]:
        return {**self.own, **FLAGS}


RUN = Command("run", "Watch a cluster and give it the nodes that its pods need.", {}, (*RULES, WHOLE_ACCOUNT))
SIMULATE = Command(
    "simulate",
    "Make one decision, offline, from what kubectl and aws printed. Takes every flag of `run`; those on which a "
    "decision depends have the same effect.",
    SIMULATE_FLAGS,
)
SNAPSHOT = Command("snapshot", "Write the files that `simulate` reads, from a live cluster.", SNAPSHOT_FLAGS)
SELFTEST = Command(
    "selftest",
    "Launch one instance on a real account, compare AWS's replies with what this program assumes, and terminate it.",
    SELFTEST_FLAGS,
)


def parse_run(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Read the settings of `run`. Raises ConfigError; `--help` prints and raises SystemExit(0)."""
    values, faults = _read(RUN, arguments, environment)
    if faults:
        raise ConfigError(faults)
    return Config(**values)


def parse_simulate(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Config, SimulateInputs]:
    """Read settings and input of `simulate`. Errors as `parse_run`."""
    values, faults = _read(SIMULATE, arguments, environment)
    named = {fault.partition(":")[0] for fault in faults}
    faults += [
        f"flag --{name}: needed"
        for name in ("cluster", "asgs")
        if not values.get(name) and f"flag --{name}" not in named
    ]
    return _with_inputs(SimulateInputs, SIMULATE, values, faults)


def parse_snapshot(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Config, SnapshotInputs]:
    """Read settings and output of `snapshot`. Errors as `parse_run`."""
    return _with_inputs(SnapshotInputs, SNAPSHOT, *_read(SNAPSHOT, arguments, environment))


def parse_selftest(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Config, SelftestInputs]:
    """Read the settings of `selftest`. Errors as `parse_run`."""
    values, faults = _read(SELFTEST, arguments, environment)
    if not values.get("group") and not any(fault.startswith("flag --group") for fault in faults):
        faults.append("flag --group: needed")
    return _with_inputs(SelftestInputs, SELFTEST, values, faults)


def _with_inputs(
    kind: type[Inputs], command: Command, values: dict[str, Any], faults: Sequence[str]
) -> tuple[Config, Inputs]:
    if faults:
        raise ConfigError(faults)
    own = {row.field for row in command.own.values()}
    inputs = kind(**{field: value for field, value in values.items() if field in own})
    return Config(**{field: value for field, value in values.items() if field not in own}), inputs


def _read(
    command: Command, arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that are not at their default, and every fault."""
    line = read_arguments(arguments, command.flags)
    if line.wants_help:
        sys.stdout.write(usage(command.name, command.summary, command.flags))
        sys.exit(0)
    sources = [line, read_environment(environment, FLAGS)]
    path = merged(sources).get("config")
    if path is not None and path.texts[-1]:
        sources.append(read_file(Path(path.texts[-1]), FLAGS))
    given = merged(sources)
    values, wrong = _check(command.flags, given)
    faults = [fault for source in sources for fault in source.faults] + list(wrong.values())
    own = {row.field for row in command.own.values()}
    config = Config(**{field: value for field, value in values.items() if field not in own})
    for rule in contradictions(config, command.rules, wrong):
        settings = [_setting(row, given, config) for row in FLAGS.values() if row.field in rule.fields]
        faults.append(f"{' and '.join(settings)}: {rule.fault}")
    values["warnings"] = tuple(remarks(sources, strangers(environment, FLAGS)))
    return values, faults


def _check(flags: Mapping[str, Flag], given: Mapping[str, Given]) -> tuple[dict[str, Any], dict[str, str]]:
    """Turn texts into values; return both the values and the faults by field."""
    from pydantic import TypeAdapter, ValidationError

    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, source in given.items():
        row = flags[name]
        texts: object = source.texts if row.is_repeatable else source.texts[-1]
        try:
            values[row.field] = TypeAdapter(row.kind).validate_python(texts)
        except ValidationError as error:
            shown = ", ".join(map(repr, source.texts)) if row.is_repeatable else repr(texts)
            faults[row.field] = f"{source.place}: {shown}: {_expectation(error.errors()[0])}"
    return values, faults


def _setting(row: Flag, given: Mapping[str, Given], config: Config) -> str:
    if row.name not in given:
        return f"--{row.name} (default {render(row.default) or 'none'})"
    return f"{given[row.name].place} ({render(getattr(config, row.field))})"


def _expectation(error: Any) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"expected {error['msg'].removeprefix('Input should be ').partition(', unable')[0]}"
