"""What there is to tell: one wave of a pass, and the pass as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autoscaler.core.decision import Decision, LaunchResult
from autoscaler.core.model import LaunchMethod
from autoscaler.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveReport:
    """The world as seen, what was decided in it, and the answers; none in a dry run."""

    snapshot: Snapshot
    decision: Decision
    results: tuple[LaunchResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """A whole pass. `last` is its final wave, `phases` are seconds by phase.

    `phases` may name observe, plan, act and publish. `reaction` is the time
    in seconds from the change that woke the pass to its first launch request.
    """

    last: WaveReport
    waves: int = 0  # those that launched
    launched: int = 0  # nodes, over all waves
    phases: Mapping[str, float] = field(default_factory=dict)
    reaction: float | None = None
    dry_run: bool = False


class Answer(StrEnum):
    """How a launch went."""

    LAUNCHED = "launched"
    REQUESTED = "requested"  # accepted; instances follow
    PARTIAL = "partial"
    REFUSED = "refused"


def answer_of(result: LaunchResult) -> Answer:
    """Judge a result by what came. Raising the desired capacity brings a promise only."""
    if len(result.launched) >= result.launch.count:
        return Answer.LAUNCHED
    if result.launched:
        return Answer.PARTIAL
    return Answer.REFUSED if result.refusals else Answer.REQUESTED


def nodes_of(result: LaunchResult) -> int:
    """How many nodes it brought, or promised."""
    promised = answer_of(result) is Answer.REQUESTED and result.launch.method is LaunchMethod.DESIRED
    return result.launch.count if promised else len(result.launched)


def units_of(result: LaunchResult) -> int:
    """The same in units of the group's size."""
    promised = answer_of(result) is Answer.REQUESTED and result.launch.method is LaunchMethod.DESIRED
    return result.launch.units if promised else sum(instance.weight for instance in result.launched)
