"""Which filters a scheduler's profile runs, and what of that we cannot follow.

A filter that the profile switches off goes on applying here, so that nothing
is promised too much: it is told once, at the start. PodTopologySpread alone
is left out as well, as nothing but the pod's own constraints hangs on it.
Source: kubernetes, pkg/scheduler/apis/config/v1/default_plugins.go (mergePluginSet), and
pkg/scheduler/framework/runtime/framework.go (expandMultiPointPlugins)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from autoscaler.kubernetes.scheduler_terms import Entry

SPREAD = "PodTopologySpread"
_FILTERS = (
    "NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit",
    "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone", SPREAD, "InterPodAffinity",
)  # fmt: skip
# In the tree of kube-scheduler, but without a filter, or with one for what is refused here anyway.
_OTHERS = frozenset(
    (
        "SchedulingGates", "PrioritySort", "DefaultPreemption", "NodeResourcesBalancedAllocation", "ImageLocality",
        "DefaultBinder", "DynamicResources", "NodeDeclaredFeatures", "GangScheduling", "TopologyPlacementGenerator",
        "PodGroupPodsCount",
    )
)  # fmt: skip
_SETS = frozenset(
    [
        "preEnqueue",
        "queueSort",
        "preFilter",
        "filter",
        "postFilter",
        "preScore",
        "score",
        "reserve",
        "permit",
        "preBind",
        "bind",
        "postBind",
        "multiPoint",
        "placementGenerate",
        "placementScore",
    ]
)
_JUDGING = ("multiPoint", "preFilter", "filter", "permit", "reserve")  # where a plugin can refuse a node or a pod
_ALL = "*"


@dataclass(slots=True)
class _Set:
    enabled: list[str] = field(default_factory=list)
    disabled: set[str] = field(default_factory=set)

    def drops(self, name: str) -> bool:
        return name not in self.enabled and not self.disabled.isdisjoint((name, _ALL))


class PluginSets:
    """The sets of one profile."""

    def __init__(self, place: Entry) -> None:
        place.expect_only(_SETS)
        self._sets = {name: _read(place.at(name)) for name in _SETS}

    @property
    def spreads(self) -> bool:
        """Whether the profile keeps DoNotSchedule constraints."""
        return self._filters(SPREAD)

    def _filters(self, name: str) -> bool:
        """Whether a filter of the default set runs."""
        at_filter = self._sets["filter"]
        return name in at_filter.enabled or not (at_filter.drops(name) or self._sets["multiPoint"].drops(name))

    def warnings(self) -> Iterator[str]:
        """Yield what differs from what we judge by, a sentence for each kind of difference."""
        off = [name for name in _FILTERS if name != SPREAD and not self._filters(name)]
        if off:
            yield f"the filters {', '.join(off)} are disabled; they go on applying here, so that pods may wait in vain"
        known = {*_FILTERS, *_OTHERS}
        foreign = {name for key in _JUDGING for name in self._sets[key].enabled if name not in known}
        if foreign:
            yield f"the plugins {', '.join(sorted(foreign))} are not known here; what they refuse is not foreseen"


def _read(place: Entry) -> _Set:
    place.expect_only(frozenset(("enabled", "disabled")))
    enabled = [one.at("name").text() for one in place.at("enabled").items()]
    disabled = {one.at("name").text() for one in place.at("disabled").items()}
    return _Set(enabled, disabled)
