"""The help of a command, from the table of flags."""

import argparse
import shutil
import textwrap
from collections.abc import Mapping
from itertools import groupby

from autoscaler.config.declare import Flag
from autoscaler.config.ignored_flags import IGNORED, RENAMED
from autoscaler.config.values import render

_EPILOG = """\
Each flag is also an environment variable (--dry-run is AUTOSCALER_DRY_RUN; a flag that can be given several times
takes one value a line) and a key of the --config file (a list for such flags). The command line wins over the
environment, the environment over the file. Durations are Go's: 10s, 1h30m, 250ms. A single dash and underscores are
accepted too."""


def usage(command: str, summary: str, flags: Mapping[str, Flag]) -> str:
    """Lay out the help, as wide as the terminal."""
    parser = argparse.ArgumentParser(
        prog=f"autoscaler {command}",
        usage="%(prog)s [--FLAG=VALUE ...]",
        description=summary,
        add_help=False,
        formatter_class=_formatter,
    )
    for group, rows in groupby(flags.values(), key=lambda row: row.group):
        section = parser.add_argument_group(group)
        for row in rows:
            names = ["-v", "--v"] if row.name == "v" else [f"--{row.name}"]
            section.add_argument(
                *names, help=_meaning(row), metavar=row.placeholder or None, nargs=0 if row.is_switch else None,
                action=_Shown,
            )  # fmt: skip
    other = parser.add_argument_group("Accepted for old manifests")
    for old, new in RENAMED.items():
        other.add_argument(f"--{old}", help=f"now --{new}", action=_Shown, nargs=0)
    other.description = f"Without effect: {', '.join(sorted(IGNORED))}."
    parser.epilog = " ".join(_EPILOG.split())
    return parser.format_help()


def _meaning(row: Flag) -> str:
    repeat = "; repeatable" if row.is_repeatable else ""
    default = "" if row.default is None else render(row.default)
    shown = f" [{default}]" if default else ""
    return f"{row.help}{repeat}{shown}".replace("%", "%%")


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    return _WholeNames(prog, max_help_position=44, width=width)


class _WholeNames(argparse.HelpFormatter):
    """Never breaks a line inside a flag's name, so that a search finds it."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


class _Shown(argparse.Action):
    """An option that only stands in the help."""

    def __call__(self, *_: object) -> None:
        """Parsing is done elsewhere."""
