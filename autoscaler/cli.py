"""The command line: `autoscaler run | demo | simulate | snapshot | selftest`.

Every command is imported when it is called, so that `--help` and `simulate`
start at once. Exit codes: 0 done, 1 it failed, 2 the flags or the input
cannot be used, which is said on standard error in full.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from autoscaler.errors import AutoscalerError

USAGE = """Usage: autoscaler COMMAND [flags]

Gives a Kubernetes cluster on AWS Auto Scaling groups the nodes that its pods
need, by priority, and falls through groups without capacity at once.

Commands:
  run       the controller: watches a cluster and launches nodes
  demo      a cluster and an AWS of its own on this machine; plays a capacity crisis
  simulate  one decision, offline, from what kubectl and aws printed
  snapshot  writes what `simulate` reads from a live cluster and account
  selftest  one launch on a real account, ended at once: does AWS answer as this program assumes?

`autoscaler COMMAND --help` lists the flags of a command, `autoscaler --version` prints the version.
"""


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from autoscaler.config import parse_run

    config = parse_run(arguments, environment)
    from autoscaler.loop.process import run_controller

    return run_controller(config)


def _demo(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from autoscaler.emulator.demo import run_demo

    return run_demo(arguments, environment)


def _simulate(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from autoscaler.config import parse_simulate

    config, inputs = parse_simulate(arguments, environment)
    from autoscaler.simulate import Simulation

    simulation = Simulation(config, inputs)
    decision = simulation.decide()
    for warning in (*config.warnings, *simulation.warnings):
        print(f"autoscaler simulate: {warning}", file=sys.stderr)
    if inputs.output == "json":
        from autoscaler.publish.document import write_json

        print(write_json(decision), end="")
    else:
        from autoscaler.publish.text import render_text

        print(render_text(decision), end="")
    return 0


def _snapshot(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from autoscaler.config import parse_snapshot

    config, inputs = parse_snapshot(arguments, environment)
    from autoscaler.snapshot import write_snapshot

    return write_snapshot(config, inputs)


def _selftest(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from autoscaler.config import parse_selftest

    config, inputs = parse_selftest(arguments, environment)
    from autoscaler.selftest import run_selftest

    return run_selftest(config, inputs)


COMMANDS: dict[str, Callable[[Sequence[str], Mapping[str, str]], int]] = {
    "run": _run,
    "demo": _demo,
    "simulate": _simulate,
    "snapshot": _snapshot,
    "selftest": _selftest,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given else ""
    if name in ("-h", "--help", "-help", "help"):
        print(USAGE, end="")
        return 0
    if name in ("--version", "-version", "version"):
        from importlib.metadata import version

        print(version("priority-autoscaler"))
        return 0
    command = COMMANDS.get(name)
    if command is None:
        return _complain(f"autoscaler: no command {name!r}{_suggestion(name)}\n\n{USAGE}" if name else USAGE)
    try:
        return command(given[1:], os.environ)
    except AutoscalerError as error:
        lines = [f"autoscaler {name}: {line}" for line in str(error).splitlines()]
        return _complain("\n".join(lines) + "\n", getattr(error, "exit_code", 1))
    except BrokenPipeError:  # the reader of our output left, as `head` does
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _complain(text: str, code: int = 2) -> int:
    sys.stderr.write(text)
    return code


def _suggestion(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {near[0]}?" if near else ""


if __name__ == "__main__":
    sys.exit(main())
