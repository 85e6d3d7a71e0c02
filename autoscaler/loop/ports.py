"""What the loop needs of the outside, as narrow as it uses it.

The adapters in `kubernetes` and `aws` are the real ones; a test of the loop
alone may bring its own world.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from autoscaler.core.decision import Decision, Launch, LaunchResult, Removal
from autoscaler.core.model import GroupName, NodeGroup
from autoscaler.core.snapshot import Snapshot
from autoscaler.publish.report import PassReport, WaveReport


class Eyes(Protocol):
    """What can be seen now."""

    def blind(self) -> Sequence[str]:
        """Return why nothing may be decided now: what is not synced, stale, or was never read."""

    def look(self, at: datetime) -> Snapshot:
        """Return the world as it is now, our own deeds included."""

    def change(self) -> object:
        """Return a value that differs whenever a pass could decide differently."""


class Hands(Protocol):
    """What can be done. Nothing here raises for a refusal: it comes back as a value, or is told and counted."""

    async def launch(self, launch: Launch, group: NodeGroup) -> LaunchResult:
        """Ask for nodes, and say what came."""

    async def remove(self, removal: Removal, group: NodeGroup) -> bool:
        """Terminate an instance; return whether it is gone or going."""

    def touched(self, groups: Collection[GroupName]) -> None:
        """Tell that we changed these groups, so that they are read again soon."""


class Drains(Protocol):
    """What empties nodes, beside the passes."""

    async def clean_up(self, snapshot: Snapshot) -> bool:
        """Take off, once, what an earlier process left on nodes and nobody goes on with; tell whether anything was."""

    def take(self, snapshot: Snapshot, decision: Decision) -> None:
        """Begin the drains that a pass decided, and see to those that are there; return at once."""


class Voice(Protocol):
    """What is told of a pass."""

    async def wave(self, report: WaveReport) -> None:
        """Tell of one wave."""

    def passed(self, report: PassReport) -> None:
        """Tell of a whole pass."""

    def blind(self, reasons: Sequence[str]) -> None:
        """Tell that nothing can be decided."""
