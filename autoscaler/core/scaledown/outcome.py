"""What became of a drain, as a value: events, metrics and the memory read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from autoscaler.core.decision import DrainCause
from autoscaler.core.model import GroupName, InstanceId, NodeName, Uid


class Ending(StrEnum):
    """How a drain ended."""

    REMOVED = "Removed"  # the instance is going
    CALLED_OFF = "CalledOff"  # not wanted any more at the second look, or paused; undone
    STOPPED = "Stopped"  # by somebody, who took a mark off or forbade it; undone
    FAILED = "Failed"  # undone
    GONE = "Gone"  # the Node went by itself
    TAKEN = "Taken"  # another process drains it


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOutcome:
    """One drain at its end. `evicted` pods were let go on the way; `began` is when its marks were written."""

    node: NodeName
    uid: Uid
    group: GroupName
    instance: InstanceId
    cause: DrainCause
    ending: Ending
    detail: str = ""
    evicted: int = 0
    attempt: int = 1
    began: datetime
    at: datetime
