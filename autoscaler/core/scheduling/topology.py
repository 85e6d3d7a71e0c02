"""The books of a pass: which pods are where, as far as any pending pod's rules ask.

Built only when somebody asks: a pending pod with spread constraints, affinity
or anti-affinity, or a pod in the cluster whose anti-affinity could keep one
away. Equal terms are counted once, whoever has them. Every Node object is a
domain, schedulable or not, as it is for kube-scheduler; a node yet to come
becomes one when the plan counts on it.
Source: kubernetes/pkg/scheduler/framework/plugins/{podtopologyspread,interpodaffinity}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from autoscaler.core.decision import Why
from autoscaler.core.index import Index
from autoscaler.core.model import Labels, Pod, Uid
from autoscaler.core.podspec import LabelSelector, SpreadConstraint
from autoscaler.core.scheduling.binding import BindingRules, Ledger
from autoscaler.core.scheduling.books import Books, Kind, Openings, Repulsion
from autoscaler.core.scheduling.classes import PodClass
from autoscaler.core.scheduling.fit import NodeView
from autoscaler.core.scheduling.lookup import Lookup
from autoscaler.core.scheduling.rules import Apart, Marks, Part, Rules, Spread
from autoscaler.core.scheduling.selectors import Namespaces, PodQuery, query_of, selects, with_keys
from autoscaler.core.scheduling.survey import Survey
from autoscaler.core.scheduling.tally import NEW_HOST, Deed, Scope, SpreadTally, Tally
from autoscaler.core.snapshot import DaemonSet, Snapshot
from autoscaler.core.storage import ONCE_PER_POD, ClaimKey


class Topology:
    """The tallies of one pass; `is_active` tells whether there are any."""

    def __init__(self, snapshot: Snapshot, foreseen: Openings | None = None) -> None:
        self._foreseen = foreseen or Openings()
        self._is_late = False
        self._namespaces = Namespaces(snapshot.namespaces)
        self._books = Books()
        self._ledger = Ledger(self._books.journal, snapshot.storage.limits)
        self._repelled: dict[tuple[int, str], tuple[Labels, list[Repulsion]]] = {}
        self._by_labels: dict[tuple[int, str], tuple[Labels, tuple[Tally, ...]]] = {}
        self._repulsions: Lookup[Repulsion] | None = None
        self._lookup: tuple[tuple[int, int], Lookup[Tally]] | None = None
        self._survey: Survey | None = None
        self._of_daemonsets: dict[Uid, Rules] = {}
        self._residents: dict[int, tuple[NodeView, dict[Uid, Rules]]] = {}
        self._landed: dict[int, tuple[Rules, ...]] = {}  # on the new nodes opened last, by view
        self.is_active = False

    # trials

    def mark(self) -> int:
        return len(self._books.journal)

    def cut(self, mark: int) -> list[Deed]:
        """Take everything back that was done since the mark, and return it."""
        journal = self._books.journal
        deeds = journal[mark:]
        del journal[mark:]
        for deed in reversed(deeds):
            deed[0].undo(deed)
        return deeds

    def replay(self, deeds: Iterable[Deed]) -> None:
        for deed in deeds:
            self._books.journal.append(deed)
            deed[0].do(deed)

    def begin_purchase(self) -> None:
        """New nodes are counted from none again: what was planned before is out of reach."""
        for tally in self._books.all:
            tally.taken_new = 0

    # nodes

    @property
    def counts_daemonsets(self) -> bool:
        """Whether any rule looks at where the pods of DaemonSets are."""
        return bool(self._of_daemonsets)

    def settle(self, node: NodeView, residents: Iterable[DaemonSet]) -> None:
        """Tell which DaemonSets' pods will be on a node that is yet to come."""
        rules = {one.uid: self._of_daemonsets[one.uid] for one in residents if one.uid in self._of_daemonsets}
        self._residents[id(node)] = (node, rules)

    def repelled(self, node: NodeView) -> frozenset[Uid]:
        """Those of the node's DaemonSets that pods which are there for good keep off it."""
        found = self._residents.get(id(node))
        return frozenset(uid for uid, rules in found[1].items() if rules.is_repelled(node)) if found else frozenset()

    def join(self, node: NodeView) -> None:
        """A node that is on its way counts from here on, where its Node object did not before."""
        known = self._survey.view(node.name) if self._survey is not None else None
        for tally in self._books.spreads.values():
            domain = tally.domain_of(node)
            if domain is not None and (known is None or tally.domain_of(known) is None):
                tally.join(domain, 1)
        for rules in self._landing(node):
            rules.place(node, 1)

    def expect(self) -> None:
        """From here on new nodes are opened; those foreseen count already."""
        for key, tally in self._books.keyed:
            if isinstance(tally, SpreadTally):
                tally.expect(self._foreseen.domains.get(key, {}))
            tally.foretell(self._foreseen.residents.get(key, {}))
        self._is_late = False

    @property
    def is_doubtful(self) -> bool:
        """Whether a pod was placed that might not have been, had all new nodes been there from the start.

        A domain came, empty, after it; or pods of DaemonSets that were not foretold.
        """
        return self._is_late or any(tally.doubts > 0 for tally in self._books.spreads.values())

    def opened(self) -> Openings:
        """What the new nodes of this plan brought."""
        found = Openings()
        for key, tally in self._books.keyed:
            opened = tally.opened() if isinstance(tally, SpreadTally) else {}
            if opened:
                found.domains[key] = opened
            if tally.settled:
                found.residents[key] = tally.settled
        return found

    def open(self, node: NodeView, nodes: int) -> Marks:
        """So many equal new nodes count from here on; return what the DaemonSets mark them with."""
        if not self.is_active:
            return None
        landed = self._landed[id(node)] = self._landing(node)
        marks = _marks(node, landed)
        self._join_new(node, nodes, marks)
        self._is_late |= _count_residents(node, landed, nodes)
        return marks

    def close(self, node: NodeView, nodes: int) -> None:
        """The plan does without so many empty new nodes, opened last, after all."""
        landed = self._landed.get(id(node), ())
        _count_residents(node, landed, -nodes)
        self._join_new(node, -nodes, _marks(node, landed))

    def marks_of(self, node: NodeView) -> Marks:
        """The pods that a new node would have from the start, by tally per node."""
        return _marks(node, self._landing(node))

    def _join_new(self, node: NodeView, nodes: int, marks: Marks) -> None:
        for tally in self._books.spreads.values():
            domain = tally.domain_of(node)
            if domain is not None:
                tally.join(domain, nodes, marks.get(tally, 0) if marks else 0)

    def _landing(self, node: NodeView) -> tuple[Rules, ...]:
        """The DaemonSets whose pods would land on the node now: one that the pods of its zone repel stays away."""
        found = self._residents.get(id(node))
        if found is None:
            return ()
        is_new = node.name is None
        return tuple([
            rules for rules in found[1].values()
            if not rules.is_bound
            or (rules.room_in_domain(node) and rules.room_on_node(node, is_new=is_new))
        ])  # fmt: skip

    # rules

    def rules_of(self, kind: Kind, repulsions: Iterable[Repulsion]) -> Rules:
        """The rules of a pod, its tallies made where they are new; `repulsions` are everybody's."""
        hard = [one for one in kind.spec.spread if one.hard]
        queries = tuple(query_of(term, kind.namespace, kind.labels) for term in kind.spec.affinity)
        affinity = [self._books.matching_all(queries, term.topology_key) for term in kind.spec.affinity]
        spreads = [self._spread(kind, one, tuple(sorted({each.topology_key for each in hard}))) for one in hard]
        own = list(dict.fromkeys(kind.repulsions))
        apart = [
            Apart(self._books.matching_all((query,), key), self._means(query, kind), Why.POD_ANTI_AFFINITY,
                  f"a pod that its anti-affinity names is in this {key}")
            for query, key in own
        ]  # fmt: skip
        apart += [
            Apart(self._books.carrying_one(one), one in own, Why.POD_ANTI_AFFINITY,
                  f"the anti-affinity of a pod in this {one[1]} names it")
            for one in self._repelling(kind, repulsions)
        ]  # fmt: skip
        apart += [
            Apart(self._books.exclusive.setdefault(claim, Tally("", self._books.journal)), True, Why.VOLUME,
                  f"another pod uses the claim {claim}, which is {ONCE_PER_POD}")
            for claim in kind.exclusive
        ]  # fmt: skip
        make = partial(BindingRules, ledger=self._ledger, waiting=kind.waiting) if kind.waiting else Rules
        return make(
            wide=_part(spreads, affinity, apart, per_node=False),
            per_node=_part(spreads, affinity, apart, per_node=True),
            matches_itself=all(self._means(query, kind) for query in queries),
        )

    def _repelling(self, kind: Kind, repulsions: Iterable[Repulsion]) -> list[Repulsion]:
        """Which of the repulsions mean the pod; they are the same for all."""
        key = (id(kind.labels), kind.namespace)
        known = self._repelled.get(key)
        if known is None:
            if self._repulsions is None:
                self._repulsions = Lookup(self._namespaces, [((one[0],), one) for one in repulsions])
            found = list(self._repulsions.meaning(kind.labels, kind.namespace))
            known = self._repelled[key] = (kind.labels, found)
        return known[1]

    def feeds_of(self, kind: Kind) -> tuple[Tally, ...]:
        """The tallies that a pod of the kind counts towards."""
        used = [self._books.exclusive[claim] for claim in kind.exclusive]
        return (*self._fed_by_labels(kind.labels, kind.namespace), *self._fed_by_repulsion(kind), *used)

    def _fed_by_repulsion(self, kind: Kind) -> list[Tally]:
        carried = [self._books.carrying.get(one) for one in dict.fromkeys(kind.repulsions)]
        return [one for one in carried if one is not None]

    def _fed_by_labels(self, labels: Labels, namespace: str) -> tuple[Tally, ...]:
        known = self._by_labels.get((id(labels), namespace))
        if known is None:
            found = tuple(self._counting().meaning(labels, namespace))
            known = self._by_labels[id(labels), namespace] = (labels, found)
        return known[1]

    def _counting(self) -> Lookup[Tally]:
        """The tallies by what they count; made once they are all there."""
        size = len(self._books.spreads), len(self._books.matching)
        if self._lookup is None or self._lookup[0] != size:
            spreads: list[tuple[tuple[PodQuery, ...], Tally]] = [
                ((query,), tally) for (query, _, _), tally in self._books.spreads.items()
                if query.selector is not None and query.selector.requirements
            ]  # fmt: skip
            matching = [(queries, tally) for (queries, _), tally in self._books.matching.items()]
            self._lookup = size, Lookup(self._namespaces, [*spreads, *matching])
        return self._lookup[1]

    def add_daemonsets(self, daemonsets: Iterable[DaemonSet], rules: Mapping[Uid, Rules]) -> None:
        for one in daemonsets:
            found = rules[one.uid]
            found.feeds = self.feeds_of(kind_of(one))
            if found.feeds or found.is_bound:
                self._of_daemonsets[one.uid] = found

    def _spread(self, kind: Kind, constraint: SpreadConstraint, keys: tuple[str, ...]) -> Spread:
        selector = with_keys(constraint.selector, kind.labels, constraint.match_label_keys)
        spec = kind.spec
        scope = Scope(
            keys,
            spec.node_selector if constraint.honor_node_affinity else (),
            spec.node_terms if constraint.honor_node_affinity else None,
            spec.tolerations if constraint.honor_node_taints else None,
        )
        key = (PodQuery(selector, (kind.namespace,)), constraint.topology_key, scope)
        tally = self._books.spreads.get(key)
        if tally is None:
            tally = self._books.spreads[key] = SpreadTally(constraint.topology_key, self._books.journal, scope)
        return Spread(tally, constraint.max_skew, constraint.min_domains, _counts(selector, kind.labels))

    def _means(self, query: PodQuery, kind: Kind) -> bool:
        return self._namespaces.selects(query, kind.namespace, kind.labels)

    # the cluster as it is

    def survey(self, snapshot: Snapshot, index: Index) -> None:
        """Count every Node object, and the pods on them."""
        self._survey = survey = Survey(index)
        for crowd in index.census.crowds.values():
            tallies = self._fed_by_labels(crowd.labels, crowd.namespace)
            if tallies:
                survey.add(tallies, crowd.present, crowd.leaving)
        for crowd in index.census.repelling.values():
            if crowd.spec is not None:
                survey.add(self._fed_by_repulsion(Kind(crowd.spec, crowd.labels, crowd.namespace)), crowd.present, {})
        for pod in snapshot.pods if self._books.exclusive else ():
            node = index.census.holds(pod) if pod.spec.claims else None
            if node is not None and survey.view(node) is not None:
                claims = {ClaimKey(pod.namespace, ref.name) for ref in pod.spec.claims if not ref.ephemeral}
                users = [self._books.exclusive[one] for one in claims & self._books.exclusive.keys()]
                survey.add(users, {node: 1}, {})
        survey.close(self._books.all)


def _marks(node: NodeView, residents: Iterable[Rules]) -> Marks:
    marks: Counter[Tally] = Counter()
    for rules in residents:
        marks.update(tally for tally in rules.feeds if tally.domain_of(node) == NEW_HOST)
    return marks or None


def _count_residents(node: NodeView, residents: Iterable[Rules], nodes: int) -> bool:
    """Count the residents of so many new nodes towards the larger domains; tell whether any were not foretold."""
    is_late = False
    for rules in residents:
        for tally in rules.feeds:
            domain = tally.domain_of(node)
            if domain is not None and domain != NEW_HOST:
                tally.settle(domain, nodes)
                is_late |= tally.foretold.get(domain, 0) < 0
    return is_late


def _counts(selector: LabelSelector | None, labels: Labels) -> bool:
    """Whether a pod counts towards its own spread constraint; a selector without requirements counts nobody."""
    return selector is not None and bool(selector.requirements) and selects(selector, labels)


def _part(spreads: Sequence[Spread], affinity: Sequence[Tally], apart: Sequence[Apart], *, per_node: bool) -> Part:
    return Part(
        spreads=tuple(one for one in spreads if one.tally.is_per_node == per_node),
        affinity=tuple(one for one in affinity if one.is_per_node == per_node),
        apart=tuple(one for one in apart if one.tally.is_per_node == per_node),
    )


def build_topology(
    snapshot: Snapshot, index: Index, classes: Sequence[PodClass], foreseen: Openings | None = None
) -> Topology:
    """Give every class its rules, and count the cluster once, where any of them asks for it."""
    topology = Topology(snapshot, foreseen)
    repelling = index.census.repelling.values()
    bound = any(
        one.spec.affinity
        or one.spec.anti_affinity
        or one.spec.has_hard_spread
        or one.needs.exclusive
        or one.needs.waiting
        for one in classes
    )
    repelling_daemonsets = any(one.spec.anti_affinity for one in snapshot.daemonsets)
    if not bound and not (classes and (repelling or repelling_daemonsets)):
        return topology
    kinds = {kind_key(one): _kind_of(one) for one in classes}
    carriers = [Kind(one.spec, one.labels, one.namespace) for one in repelling if one.spec is not None]
    repulsions = dict.fromkeys(
        one for kind in (*kinds.values(), *carriers, *map(kind_of, snapshot.daemonsets)) for one in kind.repulsions
    )
    rules = {key: topology.rules_of(kind, repulsions) for key, kind in kinds.items()}
    of_daemonsets = {one.uid: topology.rules_of(kind_of(one), repulsions) for one in snapshot.daemonsets}
    for key, kind in kinds.items():
        rules[key].feeds = topology.feeds_of(kind)
    for one in classes:
        found = rules[kind_key(one)]
        one.rules = found if found.is_bound or found.feeds else None
    topology.is_active = any(one.rules is not None for one in classes) or any(
        rules.is_bound for rules in of_daemonsets.values()
    )
    if topology.is_active:
        topology.survey(snapshot, index)
        topology.add_daemonsets(snapshot.daemonsets, of_daemonsets)
    return topology


def key_of(one: PodClass | Pod) -> tuple[int, int, str]:
    """Pods of the same key look alike to rules, their volumes aside."""
    return id(one.spec), id(one.labels), one.namespace


def kind_key(one: PodClass) -> tuple[object, ...]:
    return *key_of(one), one.needs.exclusive, one.needs.waiting


def _kind_of(one: PodClass) -> Kind:
    return Kind(one.spec, one.labels, one.namespace, one.needs.exclusive, one.needs.waiting)


def kind_of(daemonset: DaemonSet) -> Kind:
    return Kind(daemonset.spec, daemonset.labels, daemonset.namespace)
