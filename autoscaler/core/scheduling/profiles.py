"""The spec by which a pod's own scheduler judges it: the pod's, and what the configuration adds to it.

Derived once for all pods of equal spec, labels, namespace and owner, and
shared, so that equivalence classes stay as they are. Only for placing pods:
what a pod takes of a node is counted by its own spec, whoever scheduled it.
(Within one pass, what a pod takes of an ignored resource is not counted.)
Source: kubernetes/pkg/scheduler/framework/plugins/{helper/spread.go,podtopologyspread/common.go,noderesources/fit.go}
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from autoscaler.core.model import Labels, Pod
from autoscaler.core.podspec import LabelSelector, PodSpec, Requirement
from autoscaler.core.resources import Resources
from autoscaler.core.schedulers import SELECTING_OWNERS, Profile, Schedulers, Selecting

_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NATIVE = "kubernetes.io/"
Derived = tuple[int, int, str, str]  # spec, labels, namespace, owner


class Profiles:
    """Effective specs of one pass."""

    def __init__(self, schedulers: Schedulers) -> None:
        self._schedulers = schedulers
        self._profiles = schedulers.profiles
        self._selectors_in: defaultdict[str, list[tuple[tuple[str, str], ...]]] = defaultdict(list)
        for service in schedulers.services:
            self._selectors_in[service.namespace].append(service.selector)
        self._known_kinds = {one.kind for one in schedulers.selectors}
        self._by_pod: dict[Derived, PodSpec] = {}
        self._by_selector: dict[tuple[int, LabelSelector | str | None], PodSpec] = {}

    def spec_of(self, pod: Pod) -> PodSpec:
        """The spec by which the pod's scheduler places it; the pod's own where nothing is configured."""
        spec = pod.spec
        profile = self._profiles.get(spec.scheduler)
        if profile is None:
            return spec
        key = (id(spec), id(pod.labels), pod.namespace, pod.owner.uid if pod.owner is not None else "")
        found = self._by_pod.get(key)
        if found is None:
            found = self._by_pod[key] = self._derive(pod, profile)
        return found

    def _derive(self, pod: Pod, profile: Profile) -> PodSpec:
        spec = pod.spec
        derived: LabelSelector | str | None = None
        if profile.default_spread and not spec.spread:
            derived = self._selector_of(pod)
        key = (id(spec), derived)
        found = self._by_selector.get(key)
        if found is None:
            found = self._by_selector[key] = _apply(profile, spec, derived)
        return found

    def _selector_of(self, pod: Pod) -> LabelSelector | str | None:
        """The selector that the scheduler derives for a pod; None when it finds none; a text tells what we lack."""
        if not self._schedulers.services:
            return "the scheduler's default spread constraints: no Service is known to derive their selector from"
        requirements = {
            Requirement(key, "In", (value,))
            for selector in self._selectors_in.get(pod.namespace, ())
            if _selects(selector, pod.labels)
            for key, value in selector
        }
        owner = pod.owner
        if owner is not None and SELECTING_OWNERS.get(owner.kind, "-") == owner.api_version:
            if owner.kind not in self._known_kinds:
                return f"the scheduler's default spread constraints: no {owner.kind} is known to derive them from"
            selector = self._schedulers.selectors.get(Selecting(owner.kind, pod.namespace, owner.name))
            requirements.update(selector.requirements if selector is not None else ())
        return LabelSelector(tuple(sorted(requirements))) if requirements else None


def _selects(selector: tuple[tuple[str, str], ...], labels: Labels) -> bool:
    return all(labels.get(key) == value for key, value in selector)


def _apply(profile: Profile, spec: PodSpec, derived: LabelSelector | str | None) -> PodSpec:
    """Build the effective spec; `derived` selects for the default constraints, or tells why nothing can be said."""
    spread, unknowns = spec.spread, spec.unknowns
    if isinstance(derived, LabelSelector):
        spread = tuple(one._replace(selector=derived) for one in profile.default_spread)
    elif derived is not None:
        unknowns = (*unknowns, derived)
    if not profile.spreads:
        spread = tuple(one for one in spread if not one.hard)
    requests = _counted(profile, spec.requests)
    changed = (spread, unknowns, requests, profile.added_terms)
    if changed == (spec.spread, spec.unknowns, spec.requests, spec.added_terms):
        return spec
    return replace(spec, spread=spread, unknowns=unknowns, requests=requests, added_terms=profile.added_terms)


def _counted(profile: Profile, requests: Resources) -> Resources:
    if not profile.ignored_resources and not profile.ignored_groups:
        return requests
    kept = {name: amount for name, amount in requests.items() if not _is_ignored(profile, name)}
    return Resources(kept) if len(kept) < sum(1 for _ in requests) else requests


def _is_ignored(profile: Profile, name: str) -> bool:
    """Only extended resources can be ignored, as IsExtendedResourceName tells them."""
    group, slash, rest = name.partition("/")
    if not slash or _NATIVE in name or name.startswith("requests.") or not _QUALIFIED.fullmatch(rest):
        return False
    return name in profile.ignored_resources or group in profile.ignored_groups
