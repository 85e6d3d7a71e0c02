"""`autoscaler demo`: a story, played by a real controller in a world on this machine.

The controller is `autoscaler run` in a process of its own; what it decides is
read from its log, what happened from the emulators, and each act is judged by
the latter. What a story says is in `stories`, what is expected of an act in
`expectations`, how it looks in `timeline`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from autoscaler.emulator.interrupt import Interrupt
from autoscaler.emulator.stories import PACKAGED, Pace, Story, load_story
from autoscaler.emulator.timeline import Line, Timeline, Tone, open_timeline
from autoscaler.errors import AutoscalerError

NEEDED = ("moto", "boto3", "werkzeug", "rich")
INTERRUPTED = 130


class DemoUnavailableError(AutoscalerError):
    """The packages of the extra are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line asks for."""

    plain: bool
    fast: bool
    story: Path


def run_demo(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Play the story; 0 when it ended as told, 1 when not. Raises AutoscalerError for what cannot be played."""
    settings = _parse(arguments)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise DemoUnavailableError(
            f"the demo needs packages that are not installed ({', '.join(missing)}): "
            "pip install 'priority-autoscaler[demo]', or run `make demo` in a clone"
        )
    story = load_story(settings.story)
    plain = settings.plain or environment.get("TERM") == "dumb"
    interrupt = Interrupt()
    try:
        with open_timeline(plain=plain) as timeline:
            return _play(story, story.fast if settings.fast else story.pace, timeline, interrupt)
    except KeyboardInterrupt:
        return INTERRUPTED


def _play(story: Story, pace: Pace, timeline: Timeline, interrupt: Interrupt) -> int:
    timeline.say(Line(Tone.TITLE, f"autoscaler demo: {story.title}"))
    node = pace.boot + pace.register + pace.ready
    tiers = ", ".join(f"{group.tier} {group.name}" for group in story.groups)
    timeline.say(
        Line(
            Tone.QUIET,
            "A Kubernetes API and an AWS on this machine; the controller is a real `autoscaler run`. "
            f"An AWS call takes {pace.latency * 1000:.0f} ms, an instance {node:g} s until its node is Ready, "
            f"a refused pool is left alone for {pace.backoff:g} s. Tiers: {tiers}. "
            "Times count from Unschedulable, of a return from its beginning.",
        )
    )
    from autoscaler.emulator.play import Stage

    with Stage.open(story, pace, timeline, interrupt) as stage:
        for number, act in enumerate(story.acts, 1):
            if not stage.play(number, act):
                timeline.say(Line(Tone.FAULT, f"act {number} did not end as told; the demo stops here"))
                return 1
        totals = list(stage.totals())
    for total in totals:
        timeline.say(Line(Tone.TITLE, total))
    for line in (
        "next  autoscaler simulate --help    one decision, offline, for your own cluster",
        "      autoscaler demo --story FILE  a story of your own, written as",
        f"                {_short(PACKAGED)}",
        "      README.md                     how it decides, and how to install it",
    ):
        timeline.say(Line(Tone.VERBATIM, line))
    return 0


def _short(path: Path) -> str:
    """The path inside the package."""
    return str(path.relative_to(Path(__file__).parents[2]))


def _parse(arguments: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(
        prog="autoscaler demo",
        description="Play a capacity crisis and the return to spot in a cluster and an AWS of its own on this machine, "
        "in less than a minute. "
        "No account, no Docker. Exit code 1 when the story does not end as told.",
        allow_abbrev=False,
    )
    parser.add_argument("--plain", action="store_true", help="plain lines, also in a terminal")
    parser.add_argument("--fast", action="store_true", help="shorter boots and waits: in less than 30 s")
    parser.add_argument("--story", type=Path, default=PACKAGED, metavar="FILE", help="a story of your own, as YAML")
    given = parser.parse_args(list(arguments))
    return Settings(plain=given.plain, fast=given.fast, story=given.story)
