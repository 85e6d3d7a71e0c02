"""May this pod run on that node, looking at the two alone?

The static half of kube-scheduler's filters: node name, cordon, node selector
and affinity, taints. Resources and ports change while a pass packs, so they
are `place`'s; other pods and volumes have modules of their own. Every
objection is named, never only the first.
Source: kubernetes/pkg/scheduler/framework/plugins/{nodeaffinity,tainttoleration,nodeunschedulable}
and k8s.io/component-helpers/scheduling/corev1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from autoscaler.core.decision import Objection, Why
from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABELS, GroupName, Labels, Zone
from autoscaler.core.podspec import Effect, NodeTerm, PodSpec, Requirement, Taint, Toleration

_TOO_LARGE = 2**63
_MOST_DIGITS = 19
AgainstGroups = Mapping[GroupName, tuple[Objection, ...]]
NOTHING_AGAINST: AgainstGroups = MappingProxyType({})
UNSCHEDULABLE_TAINT = Taint("node.kubernetes.io/unschedulable", "", Effect.NO_SCHEDULE)


class NodeView(NamedTuple):
    """What the static filters see of a node; `name` is None for one that is yet to come.

    `zones` are those among which AWS will pick, where it is not known yet;
    then `labels` name none. `group` is the one that a node yet to come would
    be bought from, where somebody's wishes tell groups apart.
    """

    labels: Labels
    taints: tuple[Taint, ...]
    name: str | None = None
    zones: tuple[Zone, ...] = ()
    group: GroupName | None = None


def matches(requirement: Requirement, labels: Labels) -> bool:
    """Tell whether labels satisfy one requirement of a node selector term.

    Gt and Lt compare integers; a label or value that is none does not match.
    """
    value = labels.get(requirement.key)
    operator = requirement.operator
    if operator == "In":
        return value is not None and value in requirement.values
    if operator == "NotIn":
        return value is None or value not in requirement.values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt") and value is not None and len(requirement.values) == 1:
        return _compares(operator, value, requirement.values[0])
    return False


def _compares(operator: str, left: str, right: str) -> bool:
    numbers = whole_number(left), whole_number(right)
    if numbers[0] is None or numbers[1] is None:
        return False
    return numbers[0] > numbers[1] if operator == "Gt" else numbers[0] < numbers[1]


def whole_number(text: str) -> int | None:
    """Read an integer as Go's ParseInt does for 64 bits: int() takes underscores, spaces and more."""
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if not (digits.isascii() and digits.isdecimal()):
        return None
    digits = digits.lstrip("0") or "0"
    number = int(sign + digits) if len(digits) <= _MOST_DIGITS else _TOO_LARGE
    return number if -_TOO_LARGE <= number < _TOO_LARGE else None


def matches_term(term: NodeTerm, labels: Labels, name: str | None) -> bool:
    """Tell whether a node satisfies all of a term; an empty term matches nothing."""
    if not term.expressions and not term.fields:
        return False
    if not all(matches(expression, labels) for expression in term.expressions):
        return False
    fields = {} if name is None else {"metadata.name": name}
    return all(matches(requirement, fields) for requirement in term.fields)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Tell whether a toleration covers a taint, by ToleratesTaint's rules."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    if toleration.operator in ("Gt", "Lt"):
        # The taint's value against the toleration's, both without a plus or leading zeros. The API server takes such
        # tolerations only with the gate TaintTolerationComparisonOperators, which is off up to 1.36.
        values = taint.value, toleration.value
        return all(str(whole_number(one)) == one for one in values) and _compares(toleration.operator, *values)
    return toleration.operator == "Equal" and toleration.value == taint.value


def untolerated(tolerations: Iterable[Toleration], taints: Iterable[Taint]) -> Iterator[Taint]:
    """Yield the taints that keep a pod off; PreferNoSchedule never does."""
    known = tuple(tolerations)
    for taint in taints:
        if taint.effect is not Effect.PREFER_NO_SCHEDULE and not any(tolerates(one, taint) for one in known):
            yield taint


def static_objections(spec: PodSpec, node: NodeView) -> Iterator[Objection]:
    """Yield every reason why the node's own properties keep the pod off."""
    for taint in untolerated(spec.tolerations, node.taints):
        yield Objection(Why.TAINT_NOT_TOLERATED, str(taint))
    wrong = [f"{key}={value}" for key, value in spec.node_selector if node.labels.get(key) != value]
    if wrong:
        yield Objection(Why.NODE_SELECTOR_MISMATCH, "wants " + ", ".join(wrong))
    if spec.node_terms is not None and not any(matches_term(term, node.labels, node.name) for term in spec.node_terms):
        yield Objection(Why.NODE_AFFINITY_MISMATCH, "no required node affinity term matches")
    added = spec.added_terms
    if added is not None and not any(matches_term(term, node.labels, node.name) for term in added):
        yield Objection(Why.NODE_AFFINITY_MISMATCH, "no term of the scheduler's own addedAffinity matches")


def zoneless_objections(spec: PodSpec, node: NodeView) -> tuple[Objection, ...]:
    """Judge a node whose zone AWS picks: what holds in only some of the zones is no promise."""
    by_zone = [
        tuple(static_objections(spec, NodeView({**node.labels, **dict.fromkeys(ZONE_LABELS, str(zone))}, node.taints)))
        for zone in node.zones
    ]
    everywhere = tuple(one for one in by_zone[0] if all(one in others for others in by_zone))
    if all(found == everywhere for found in by_zone):
        return everywhere
    return (*everywhere, Objection(Why.ZONE_NOT_CHOSEN, f"AWS picks among {', '.join(node.zones)}"))


class Fitting:
    """The static verdicts of one spec, each computed once per kind of node.

    Two nodes are of one kind when they agree in the taints and in the labels
    that the spec asks about; so a thousand nodes cost a thousand look-ups.
    """

    __slots__ = ("_asks_zone", "_by_name", "_is_plain", "_keys", "_known", "spec")
    against: AgainstGroups = NOTHING_AGAINST

    def __init__(self, spec: PodSpec) -> None:
        self.spec = spec
        terms = (*(spec.node_terms or ()), *(spec.added_terms or ()))
        keys = {key for key, _ in spec.node_selector}
        keys.update(expression.key for term in terms for expression in term.expressions)
        self._keys = tuple(sorted(keys))
        self._asks_zone = not keys.isdisjoint(ZONE_LABELS)
        self._by_name = any(term.fields for term in terms)
        self._is_plain = not keys and spec.node_terms is spec.added_terms is None  # then only taints can object
        self._known: dict[tuple[object, ...], tuple[Objection, ...]] = {}

    @property
    def keys(self) -> Iterable[str]:
        """The labels of a node that it asks about."""
        return self._keys

    @property
    def base(self) -> Fitting:
        """The same without anybody's wishes."""
        return self

    @property
    def asks_host(self) -> bool:
        """Nodes that differ in nothing but their name may be different to it."""
        return self._by_name or HOSTNAME_LABEL in self._keys

    def objections(self, node: NodeView) -> tuple[Objection, ...]:
        if self._is_plain and not node.taints:
            return ()
        labels = node.labels
        zones = node.zones if self._asks_zone else ()
        kind = (node.taints, node.name if self._by_name else None, zones, *[labels.get(key) for key in self._keys])
        found = self._known.get(kind)
        if found is None:
            found = zoneless_objections(self.spec, node) if zones else tuple(static_objections(self.spec, node))
            self._known[kind] = found
        return found


class WishfulFitting(Fitting):
    """What a spec asks of a node, and of which groups its pods may not be bought one: `against`.

    A node that is there they may use, whoever bought it. Many share `base`.
    """

    __slots__ = ("_base", "against")

    def __init__(self, base: Fitting, against: AgainstGroups) -> None:
        super().__init__(base.spec)
        self._base = base
        self.against = against

    @property
    def base(self) -> Fitting:
        return self._base

    @property
    def keys(self) -> Iterable[str]:
        return self._base.keys

    @property
    def asks_host(self) -> bool:
        return self._base.asks_host

    def objections(self, node: NodeView) -> tuple[Objection, ...]:
        if node.group is None or node.group not in self.against:
            return self._base.objections(node)
        return (*self.against[node.group], *self._base.objections(node))
