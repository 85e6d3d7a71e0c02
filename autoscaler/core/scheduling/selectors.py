"""Which pods does a selector mean?

A `PodQuery` is a term of a pod made independent of it: own namespace filled
in, matchLabelKeys and mismatchLabelKeys turned into requirements as the API
server does on creation (done twice it changes nothing). Equal terms of
different pods become equal queries, so that they are counted once.
Source: kubernetes/pkg/scheduler/framework/types.go (AffinityTerm), and
pkg/registry/core/pod/strategy.go (applyMatchLabelKeysAndMismatchLabelKeys).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from autoscaler.core.model import Labels
from autoscaler.core.podspec import LabelSelector, PodTerm, Requirement
from autoscaler.core.scheduling.fit import matches

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"  # the API server sets it on every namespace


class PodQuery(NamedTuple):
    """Pods of the named namespaces, or of those that the namespace selector matches, that the selector matches."""

    selector: LabelSelector | None
    namespaces: tuple[str, ...]
    namespace_selector: LabelSelector | None = None


class Namespaces:
    """The labels of namespaces; one that nobody told us of has its name alone.

    Where none is known at all (files without them, a role that may not list
    them) a selector that asks for labels cannot be judged. A pod with such a
    term is refused (`is_doubtful`), so that what remains to be asked is whom
    pods that run keep away: everybody, as that promises nothing.
    """

    __slots__ = ("_known", "_labels")

    def __init__(self, labels: Mapping[str, Labels]) -> None:
        self._labels = labels
        self._known: dict[tuple[LabelSelector, str], bool] = {}

    def selects(self, query: PodQuery, namespace: str, labels: Labels) -> bool:
        """Tell whether the query means a pod of the namespace with these labels."""
        return self._covers(query, namespace) and selects(query.selector, labels)

    def is_doubtful(self, term: PodTerm) -> bool:
        """Whether nobody can tell which namespaces a term means."""
        return not self._labels and term.namespace_selector is not None and bool(_asked(term.namespace_selector))

    def _covers(self, query: PodQuery, namespace: str) -> bool:
        if namespace in query.namespaces:
            return True
        if query.namespace_selector is None:
            return False
        key = (query.namespace_selector, namespace)
        found = self._known.get(key)
        if found is None:
            labels = {NAMESPACE_NAME_LABEL: namespace, **self._labels.get(namespace, {})}
            doubts = () if self._labels else _asked(query.namespace_selector)
            sure = (one for one in query.namespace_selector.requirements if one not in doubts)
            found = self._known[key] = all(matches(one, labels) for one in sure)
        return found


def _asked(selector: LabelSelector) -> tuple[Requirement, ...]:
    """What a namespace selector asks beside the name."""
    return tuple(one for one in selector.requirements if one.key != NAMESPACE_NAME_LABEL)


def selects(selector: LabelSelector | None, labels: Labels) -> bool:
    """Tell whether a label selector matches; None matches nothing, an empty one everything."""
    return selector is not None and all(matches(requirement, labels) for requirement in selector.requirements)


def with_keys(
    selector: LabelSelector | None, labels: Labels, equal: Iterable[str], unequal: Iterable[str] = ()
) -> LabelSelector | None:
    """Narrow a selector to pods that agree (or differ) with `labels` in the keys; a key that they lack is left out."""
    if selector is None:
        return None
    more = [Requirement(key, "In", (labels[key],)) for key in equal if key in labels]
    more += [Requirement(key, "NotIn", (labels[key],)) for key in unequal if key in labels]
    if not more:
        return selector
    return LabelSelector(tuple(sorted({*selector.requirements, *more})))


def query_of(term: PodTerm, namespace: str, labels: Labels) -> PodQuery:
    """What a term of a pod in `namespace` with `labels` means."""
    own = () if term.namespaces or term.namespace_selector is not None else (namespace,)
    return PodQuery(
        with_keys(term.selector, labels, term.match_label_keys, term.mismatch_label_keys),
        term.namespaces or own,
        term.namespace_selector,
    )
