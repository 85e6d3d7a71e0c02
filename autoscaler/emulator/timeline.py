"""How a story is shown: plain lines anywhere, or lines above a live picture of the groups in a terminal.

What is said is decided elsewhere. Plain output is ASCII and fits 80 columns.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

WIDTH = 79


class Tone(StrEnum):
    """What kind of line it is; in a terminal, its style."""

    TITLE = "bold cyan"
    WORDS = "default"
    PODS = "yellow"
    LAUNCH = "green"
    REFUSAL = "red"
    REMOVAL = "magenta"
    PROVED = "bold green"
    BESIDE = "bold"
    FAULT = "bold red"
    QUIET = "dim"
    VERBATIM = "none"  # laid out by whoever says it


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story; with `after`, the time since the pods became Unschedulable, a timed one."""

    tone: Tone
    text: str
    after: timedelta | None = None
    group: str = ""
    where: str = ""

    def laid_out(self) -> list[str]:
        """The line as it is printed, wrapped."""
        if self.tone is Tone.VERBATIM:
            return [self.text]
        if self.after is None:
            lead = {Tone.TITLE: "", Tone.PROVED: "  ok      ", Tone.BESIDE: "  beside  ", Tone.FAULT: "  FAILED  "}
            head = lead.get(self.tone, "  ")
        else:
            head = f"  +{self.after.total_seconds():5.2f} s  "
            if self.group:
                head += f"{self.group:<9}  {self.where:<8}  "
        return textwrap.wrap(
            self.text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
        ) or [""]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneState:
    """A group in a zone: nodes that serve, nodes on their way, whether AWS is dry, seconds since it refused."""

    ready: int
    coming: int
    dry: bool
    refused_ago: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    name: str
    tier: int
    market: str
    zones: Sequence[ZoneState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The world now."""

    title: str
    seconds: float
    zones: Sequence[str]
    groups: Sequence[GroupState]
    running: int
    pending: int
    calls: int
    refusals: int
    price: float = 0.0  # of all nodes, USD an hour


class Timeline(Protocol):
    """Where a story is told."""

    def say(self, line: Line) -> None:
        """Add one line."""

    def show(self, picture: Picture) -> None:
        """Replace the picture of the world, where there is one."""


class PlainTimeline:
    """Lines, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, line: Line) -> None:
        for row in line.laid_out():
            self._out.write(f"{row.rstrip()}\n")
        self._out.flush()

    def show(self, picture: Picture) -> None:
        """Nothing: a line says it when it matters."""


class LiveTimeline:
    """Lines that scroll away above a picture that stays."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    def say(self, line: Line) -> None:
        from rich.text import Text

        for row in line.laid_out():
            self._console.print(Text(row, style=line.tone), soft_wrap=True)

    def show(self, picture: Picture) -> None:
        self._live.update(draw(picture), refresh=True)


@contextmanager
def open_timeline(*, plain: bool) -> Iterator[Timeline]:
    """A live timeline when standard output is a terminal that can show it, else a plain one."""
    if plain or not sys.stdout.isatty():
        yield PlainTimeline(sys.stdout)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    if console.is_dumb_terminal or not console.encoding.startswith("utf"):
        yield PlainTimeline(sys.stdout)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveTimeline(console, live)


def draw(picture: Picture) -> RenderableType:
    """The picture as a panel."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for heading in ("tier", "group", "market"):
        table.add_column(heading, no_wrap=True)
    for zone in picture.zones:
        table.add_column(zone, no_wrap=True, ratio=1)
    for group in picture.groups:
        cells = [Text.from_markup(_cell(zone)) for zone in group.zones]
        table.add_row(str(group.tier), group.name, group.market, *cells)
    pods = f"[green]{picture.running} pods running[/]"
    if picture.pending:
        pods += f"   [bold yellow]{picture.pending} pending[/]"
    calls = f"[dim]{picture.calls} launch calls, {picture.refusals} refused[/]"
    if picture.price:
        calls += f"   [dim]{picture.price:.2f} USD an hour[/]"
    legend = Text.from_markup("[green]■[/] node  [yellow]□[/] booting  [dim]x 9s: refused 9 s ago[/]")
    return Panel(
        Group(Text.from_markup(f"{pods}   {calls}"), table, legend),
        title=f"{picture.title}   {picture.seconds:.0f} s",
        border_style="cyan",
    )


def _cell(zone: ZoneState) -> str:
    parts = [f"[green]{'■' * zone.ready}[/][yellow]{'□' * zone.coming}[/]" if zone.ready + zone.coming else ""]
    if zone.dry:
        parts.append("[bold red]dry[/]")
    if zone.refused_ago is not None:
        parts.append(f"[dim]x {zone.refused_ago:.0f}s[/]")
    return " ".join(part for part in parts if part) or "[dim]-[/]"
