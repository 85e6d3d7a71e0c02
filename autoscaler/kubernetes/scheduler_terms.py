"""Terms and constraints that a scheduler's configuration adds to those of the pods.

An `Entry` is a value with its path in the file and the list of faults that it
adds to, so that every fault is told, each with its path. What kube-scheduler
would not start with is a fault here too.
Source: kubernetes, pkg/scheduler/apis/config/validation/validation_pluginargs.go, and
k8s.io/component-helpers/scheduling/corev1/nodeaffinity
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from autoscaler.core.podspec import NodeTerm, SpreadConstraint
from autoscaler.kubernetes.specs import read_node_term
from autoscaler.kubernetes.wire import WireNodeTerm

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TYPE = frozenset(("apiVersion", "kind"))
_SPREAD = frozenset(
    [
        "maxSkew",
        "topologyKey",
        "whenUnsatisfiable",
        "labelSelector",
        "minDomains",
        "nodeAffinityPolicy",
        "nodeTaintsPolicy",
        "matchLabelKeys",
    ]
)


class Entry(NamedTuple):
    """A value of the file, and where it stands."""

    path: str
    value: Any
    faults: list[str]

    def fault(self, text: str) -> None:
        self.faults.append(f"{self.path}: {text}" if self.path else text)

    def at(self, key: str) -> Entry:
        """The value under a key; None where there is none."""
        return Entry(f"{self.path}.{key}" if self.path else key, self.mapping().get(key), self.faults)

    def mapping(self) -> Mapping[str, Any]:
        """The value as a mapping; an absent one is empty, another value a fault."""
        if isinstance(self.value, dict):
            return self.value
        if self.value is not None and not self._is_told():
            self.fault(f"expected a mapping, got {self.value!r:.40}")
        return {}

    def items(self) -> Iterator[Entry]:
        """Yield the entries of a list; an absent one has none."""
        if isinstance(self.value, list):
            for number, value in enumerate(self.value):
                yield Entry(f"{self.path}[{number}]", value, self.faults)
        elif self.value is not None:
            self.fault(f"expected a list, got {self.value!r:.40}")

    def text(self) -> str:
        if self.value is not None and not isinstance(self.value, str):
            self.fault(f"expected a text, got {self.value!r:.40}")
            return ""
        return self.value or ""

    def number(self, default: int) -> int:
        if self.value is None:
            return default
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.fault(f"expected a whole number, got {self.value!r:.40}")
            return default
        return self.value

    def choice(self, *known: str) -> str:
        """The value, one of these texts; the first of them when it is absent."""
        text = self.text() or known[0]
        if text not in known:
            self.fault(f"expected one of {', '.join(known)}, got {text!r}")
        return text

    def expect_only(self, known: frozenset[str]) -> None:
        for key in self.mapping():
            if key not in known:
                self.fault(f"unknown field {key!r}")

    def _is_told(self) -> bool:
        return any(fault.startswith(f"{self.path}: expected a mapping") for fault in self.faults)


def added_terms(place: Entry) -> tuple[NodeTerm, ...] | None:
    """Read NodeAffinityArgs.addedAffinity; its preferred terms keep no pod from a node."""
    place.expect_only(frozenset((_REQUIRED, _PREFERRED)))
    required = place.at(_REQUIRED)
    if required.value is None:
        return None
    required.expect_only(frozenset(("nodeSelectorTerms",)))
    return tuple(_term(term) for term in required.at("nodeSelectorTerms").items())


def _term(place: Entry) -> NodeTerm:
    before = len(place.faults)
    place.expect_only(frozenset(("matchExpressions", "matchFields")))
    for one in (*place.at("matchExpressions").items(), *place.at("matchFields").items()):
        one.expect_only(frozenset(("key", "operator", "values")))
    try:
        term, doubts = read_node_term(msgspec.convert(place.mapping(), WireNodeTerm))
    except msgspec.ValidationError as error:
        if len(place.faults) == before:  # an unknown field is told already
            place.fault(str(error))
        return NodeTerm()
    for doubt in doubts:
        place.fault(doubt.removeprefix("nodeAffinity."))
    return term


def default_spread(place: Entry) -> Iterator[SpreadConstraint]:
    """Yield the DoNotSchedule ones of PodTopologySpreadArgs; the others, and all that System means, never block.

    Their matchLabelKeys have no effect: the derived selector replaces them.
    """
    place.expect_only(_TYPE | {"defaultConstraints", "defaultingType"})
    kind = place.at("defaultingType").choice("System", "List")
    seen: set[tuple[str, str]] = set()
    for one in place.at("defaultConstraints").items():
        if kind == "System":
            place.at("defaultingType").fault("expected List where there are defaultConstraints")
            return
        one.expect_only(_SPREAD)
        key, action = one.at("topologyKey").text(), one.at("whenUnsatisfiable").text()
        if (key, action) in seen or not key:
            one.fault(f"a constraint with {key!r} and {action!r} is there already" if key else "topologyKey is missing")
        seen.add((key, action))
        if one.at("labelSelector").value is not None:
            one.at("labelSelector").fault("a default constraint has none: it is derived for each pod")
        constraint = SpreadConstraint(
            topology_key=key,
            max_skew=one.at("maxSkew").number(0),
            hard=action == "DoNotSchedule",
            selector=None,
            min_domains=one.at("minDomains").number(1),
            honor_node_affinity=one.at("nodeAffinityPolicy").choice("Honor", "Ignore") == "Honor",
            honor_node_taints=one.at("nodeTaintsPolicy").choice("Ignore", "Honor") == "Honor",
        )
        if constraint.max_skew <= 0:
            one.at("maxSkew").fault("expected more than 0")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            one.at("whenUnsatisfiable").fault(f"expected one of DoNotSchedule, ScheduleAnyway, got {action!r}")
        if constraint.hard:
            yield constraint
