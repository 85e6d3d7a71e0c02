"""Who is where once the plan is carried out, as far as anybody's preferences ask.

The books of `preferences`, as `topology` keeps those of the rules: made only
for pods with soft terms about other pods, each term counted once whoever has
it. Pods that DaemonSets will start on new nodes are not counted, and spread
takes a term's domains as they are: a tie is not worth more.
Source: kubernetes/pkg/scheduler/framework/plugins/{interpodaffinity,podtopologyspread}/scoring.go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autoscaler.core.crowds import Crowd
from autoscaler.core.model import Labels, NodeName, Pod
from autoscaler.core.podspec import LabelSelector, PodTerm, PreferredPodTerm, SpreadConstraint
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.selectors import Namespaces, PodQuery, query_of, selects, with_keys
from autoscaler.core.scheduling.tally import NEW_HOST, Scope

Company = Sequence[tuple[PodClass, int]]  # pods on each node of a run


class Spot(NamedTuple):
    """A place as it would be with the pod on it.

    `company` is what lies on a new node, the pod included. `here` is where
    the pod is counted now, None for nowhere; `joining` are those who would
    come to `view` together, the pod included.
    """

    view: NodeView
    company: Company = ()
    here: NodeView | None = None
    joining: Company = ()


@dataclass(slots=True, eq=False)
class Heads:
    """How many of the pods that a query means are in each domain of `key`; `scope` is a spread constraint's."""

    query: PodQuery
    key: str
    scope: Scope | None
    counts: dict[str, int] = field(default_factory=dict)  # none of them 0
    total: int = 0  # wherever they are

    def domain_of(self, node: NodeView) -> str | None:
        if self.scope is not None and not self.scope.includes(node):
            return None
        return node.labels.get(self.key)

    def add(self, node: NodeView, pods: int) -> None:
        self.total += pods
        domain = self.domain_of(node)
        if domain is not None and domain != NEW_HOST:
            count = self.counts.get(domain, 0) + pods
            if count:
                self.counts[domain] = count
            else:
                self.counts.pop(domain, None)


class Pull(NamedTuple):
    """A preferred pod term; `counts_self`: it names the pod's own kind."""

    weight: int
    heads: Heads
    counts_self: bool


class Level(NamedTuple):
    """A ScheduleAnyway constraint."""

    max_skew: int
    heads: Heads
    counts_self: bool


class Wishes(NamedTuple):
    """What a pod would rather have of other pods."""

    near: tuple[Pull, ...] = ()
    apart: tuple[Pull, ...] = ()
    spreads: tuple[Level, ...] = ()


NO_WISHES = Wishes()


class Gathering:
    """The pods of the cluster and of the plan. Whoever has wishes is made known before anybody is counted."""

    def __init__(self, namespaces: Mapping[str, Labels]) -> None:
        self._namespaces = Namespaces(namespaces)
        self._heads: dict[tuple[PodQuery, str, Scope | None], Heads] = {}
        self._wishes: dict[tuple[int, int, str], Wishes] = {}
        self._fed: dict[tuple[int, str], tuple[Labels, frozenset[Heads]]] = {}
        self._nodes: list[NodeView] = []
        self._new: list[tuple[NodeView, Company]] = []
        self._domains: dict[tuple[str, Scope | None], tuple[frozenset[str], list[Company]]] = {}

    def make_known(self, one: PodClass | Pod) -> None:
        """Keep books of what the pod's soft terms name."""
        spec = one.spec
        soft = [each for each in spec.spread if not each.hard and _names_any(each.selector)]
        keys = tuple(sorted({each.topology_key for each in soft}))
        self._wishes[_key_of(one)] = Wishes(
            near=tuple(self._pull(one, each) for each in spec.preferred_affinity if _is_asked(each)),
            apart=tuple(self._pull(one, each) for each in spec.preferred_anti_affinity if _is_asked(each)),
            spreads=tuple(self._level(one, each, keys) for each in soft),
        )

    def wishes_of(self, one: PodClass | Pod) -> Wishes:
        return self._wishes.get(_key_of(one), NO_WISHES) if self._wishes else NO_WISHES

    def _pull(self, one: PodClass | Pod, preferred: PreferredPodTerm) -> Pull:
        term: PodTerm = preferred.term
        query = query_of(term, one.namespace, one.labels)
        means_own = self._namespaces.selects(query, one.namespace, one.labels)
        return Pull(preferred.weight, self._heads_of(query, term.topology_key, None), means_own)

    def _level(self, one: PodClass | Pod, constraint: SpreadConstraint, keys: tuple[str, ...]) -> Level:
        spec = one.spec
        selector = with_keys(constraint.selector, one.labels, constraint.match_label_keys)
        scope = Scope(
            keys,
            spec.node_selector if constraint.honor_node_affinity else (),
            spec.node_terms if constraint.honor_node_affinity else None,
            spec.tolerations if constraint.honor_node_taints else None,
        )
        heads = self._heads_of(PodQuery(selector, (one.namespace,)), constraint.topology_key, scope)
        return Level(constraint.max_skew, heads, selects(selector, one.labels))

    def _heads_of(self, query: PodQuery, key: str, scope: Scope | None) -> Heads:
        found = self._heads.get((query, key, scope))
        if found is None:
            found = self._heads[query, key, scope] = Heads(query, key, scope)
        return found

    # counting

    def survey(self, views: Mapping[NodeName, NodeView], crowds: Iterable[Crowd]) -> None:
        """Count the pods of the cluster; spread constraints leave out those that are being deleted."""
        self._nodes += views.values()
        if not self._heads:
            return
        for crowd in crowds:
            for heads in self.fed_by(crowd):
                for node, pods in crowd.present.items():
                    stay = pods if heads.scope is None else pods - crowd.leaving.get(node, 0)
                    if node in views and stay:
                        heads.add(views[node], stay)

    def expect(self, views: Iterable[NodeView]) -> None:
        """Nodes on their way are domains, too."""
        self._nodes += views

    def renew(self, runs: Iterable[tuple[NodeView, Company]]) -> None:
        """Tell the new nodes of the plan as they are now, with what lies on each; `put` counts their pods."""
        self._new = list(runs)
        self._domains.clear()

    def put(self, one: PodClass, view: NodeView, pods: int) -> None:
        """So many more pods of the class on a node, fewer when negative."""
        for heads in self.fed_by(one):
            heads.add(view, pods)

    def fed_by(self, one: PodClass | Pod | Crowd) -> frozenset[Heads]:
        """The counts in which the pod itself appears."""
        if not self._heads:
            return frozenset()
        key = (id(one.labels), one.namespace)
        known = self._fed.get(key)
        if known is None:
            means = self._namespaces.selects
            found = frozenset(each for each in self._heads.values() if means(each.query, one.namespace, one.labels))
            known = self._fed[key] = (one.labels, found)
        return known[1]

    # questions

    def everywhere(self, heads: Heads, *, counts_self: bool) -> int:
        """How many others a term names, wherever they are."""
        return max(0, heads.total - counts_self)

    def others(self, heads: Heads, spot: Spot, *, counts_self: bool) -> int:
        """How many pods that a term names would be in the domain of the spot, besides the pod itself."""
        domain = heads.domain_of(spot.view)
        if domain is None:
            return 0
        if domain == NEW_HOST:
            return max(0, self._named_in(spot.company, heads) - counts_self)
        count = heads.counts.get(domain, 0) - counts_self
        if spot.here is None or heads.domain_of(spot.here) != domain:
            count += self._named_in(spot.joining, heads)
        return max(0, count)

    def least(self, heads: Heads) -> int:
        """The least count over the domains of a spread constraint."""
        known = self._domains.get((heads.key, heads.scope))
        if known is None:
            views = [*self._nodes, *(view for view, _ in self._new)]
            found = {domain for view in views if (domain := heads.domain_of(view)) is not None} - {NEW_HOST}
            hosts = [company for view, company in self._new if heads.domain_of(view) == NEW_HOST]
            known = self._domains[heads.key, heads.scope] = (frozenset(found), hosts)
        domains, hosts = known
        if len(heads.counts) < len(domains):
            return 0
        counts = [heads.counts.get(domain, 0) for domain in domains]
        return min([*counts, *(self._named_in(company, heads) for company in hosts)], default=0)

    def _named_in(self, company: Company, heads: Heads) -> int:
        return sum(pods for one, pods in company if heads in self.fed_by(one))


def _key_of(one: PodClass | Pod) -> tuple[int, int, str]:
    return id(one.spec), id(one.labels), one.namespace


def _names_any(selector: LabelSelector | None) -> bool:
    """A spread constraint whose selector has no requirement counts nobody, as the scheduler has it."""
    return selector is not None and bool(selector.requirements)


def _is_asked(preferred: PreferredPodTerm) -> bool:
    return bool(preferred.weight and preferred.term.topology_key)
