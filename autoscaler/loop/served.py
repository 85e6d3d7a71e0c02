"""Which pods a running pass has served, so that it never buys twice for the same need.

A node that was promised and the one that is coming may not be seen as the
same: a fault of ours, which must not cost money. But room goes by the
scheduler's order, not by who caused it: a pod whose own launch was refused, or
that has just arrived, may take a place bought for another, and then the
other's new launch is no second one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from autoscaler.core.decision import Launch, LaunchResult
from autoscaler.core.model import PodKey
from autoscaler.publish.report import nodes_of


@dataclass(slots=True)
class Served:
    """The pods of a pass: those with a place bought in full, and those that are owed one."""

    _served: set[PodKey] = field(default_factory=set)
    _owed: set[PodKey] = field(default_factory=set)
    _pending: frozenset[PodKey] | None = None  # at the wave before

    def bought_twice(self, launches: Sequence[Launch], pending: Collection[PodKey]) -> list[Launch]:
        """Return the launches that nothing explains; `pending` are all pods that look for a place now."""
        wanted = {key for launch in launches for key in launch.pods}
        newcomers = set() if self._pending is None else set(pending) - self._pending
        self._pending = frozenset(pending)
        displacing = (self._owed | newcomers) - wanted
        if displacing:
            self._owed -= displacing
            self._served -= wanted
            self._served |= displacing
        return [one for one in launches if one.pods and self._served.issuperset(one.pods)]

    def note(self, results: Iterable[LaunchResult]) -> None:
        """Take the answers of a wave."""
        for result in results:
            pods = result.launch.pods
            if nodes_of(result) >= result.launch.count and not result.refusals:
                self._served.update(pods)
                self._owed.difference_update(pods)
            else:
                self._owed.update(pods)
                self._served.difference_update(pods)
