"""What scale-down remembers between passes: since when a node is unneeded, what failed, what was started.

A value; every pass returns the next one. Offline there is none, and then a
node counts as unneeded since its creation and no delay holds anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from autoscaler.core.model import GroupName, NodeName

_NO_TIMES: Mapping[NodeName, datetime] = MappingProxyType({})
_NO_EVENTS: Mapping[GroupName, datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleDownMemory:
    """`added`, `removed` and `failed`: the last launch, removal and failed drain by group.

    `blocked`: nodes that no attempt is made on before that time.
    """

    unneeded: Mapping[NodeName, datetime] = field(default_factory=lambda: _NO_TIMES)  # since
    waiting: Mapping[NodeName, datetime] = field(default_factory=lambda: _NO_TIMES)  # for replacements, since
    blocked: Mapping[NodeName, datetime] = field(default_factory=lambda: _NO_TIMES)  # until
    added: Mapping[GroupName, datetime] = field(default_factory=lambda: _NO_EVENTS)
    removed: Mapping[GroupName, datetime] = field(default_factory=lambda: _NO_EVENTS)
    failed: Mapping[GroupName, datetime] = field(default_factory=lambda: _NO_EVENTS)


def held_until(
    events: Mapping[GroupName, datetime], delay: timedelta, group: GroupName, *, is_local: bool
) -> datetime | None:
    """Return when the pause after the last event ends; `is_local`: only the group's own count."""
    last = events.get(group) if is_local else max(events.values(), default=None)
    return None if last is None or not delay else last + delay
