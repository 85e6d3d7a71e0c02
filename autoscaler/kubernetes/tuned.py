"""Annotations of applications that cannot be read: what stays in force instead, and who is told.

An object whose value became unreadable keeps the last one that could be read,
as long as this process lives; one that never had a good value counts as if it
had none. What the values mean is `core/tuning`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import structlog

from autoscaler.core.model import NO_LABELS, Labels, Pod, in_key_order
from autoscaler.core.tuning import Annotated, Bearer, Key, LastGood, faults_in, is_tuned
from autoscaler.core.workload import Workload

log = structlog.get_logger()

ANNOTATION_INVALID = "InvalidAnnotation"  # the event reason, on the object that carries it


class AnnotationFault(NamedTuple):
    """What is wrong with the annotations of one object."""

    bearer: Bearer
    uid: str
    detail: str


class Tuned:
    """Follows the annotations of all objects that may carry any."""

    def __init__(self) -> None:
        self.faults: dict[Bearer, AnnotationFault] = {}
        self._last_good: dict[Bearer, Mapping[Key, str]] = {}

    @property
    def last_good(self) -> LastGood:
        """A copy that stays as it is."""
        return dict(self._last_good)

    def change(self, bearer: Bearer, uid: str, before: Labels | None, after: Labels | None) -> bool:
        """Take note of an object's annotations; tell whether anything that the product obeys may have changed.

        None: there is no object.
        """
        old, new = before or NO_LABELS, after or NO_LABELS
        if old is new or not (is_tuned(old) or is_tuned(new)):
            return False
        faults = faults_in(new, bearer.kind)
        if faults:
            self._keep(bearer, uid, old, faults)
        elif bearer in self.faults and self.faults[bearer].uid == uid:  # not one that has its name now
            del self.faults[bearer]
            self._last_good.pop(bearer, None)
        return any(old.get(key) != new.get(key) for key in Key)

    def _keep(self, bearer: Bearer, uid: str, old: Labels, faults: Mapping[Key, str]) -> None:
        last = self.faults.get(bearer)
        known = self._last_good.get(bearer, {}) if last is not None and last.uid == uid else {}
        unread = faults_in(old, bearer.kind)
        good = {key: old[key] if key in old and key not in unread else known.get(key, "") for key in faults}
        self._last_good[bearer] = {key: text for key, text in good.items() if text}
        told = []
        for key, fault in faults.items():
            kept = f"{good[key]} stays in force" if good[key] else "it counts as absent"
            told.append(f"{key}: {fault}; {kept}")
        found = AnnotationFault(bearer, uid, "; ".join(told))
        if self.faults.get(bearer) != found:
            self.faults[bearer] = found
            log.warning("annotation.invalid", object=str(bearer), fault=found.detail)


def offline_faults(pods: Iterable[Pod], workloads: Iterable[Workload], annotated: Annotated) -> list[str]:
    """What cannot be read in files, a line for each object; of replicas only the first by name."""
    bearers = [(Bearer.of(one), one.annotations) for one in workloads]
    bearers += [(Bearer("Namespace", "", name), each) for name, each in annotated.namespaces.items()]
    bearers += [(Bearer("PriorityClass", "", name), each) for name, each in annotated.priority_classes.items()]
    first: dict[tuple[str, str, tuple[str, ...]], Bearer] = {}
    for pod in in_key_order(one for one in pods if is_tuned(one.annotations)):
        faults = faults_in(pod.annotations, "Pod")
        owner = pod.owner.name if pod.owner is not None else pod.name
        bearer = Bearer("Pod", pod.namespace, pod.name)
        if faults and first.setdefault((pod.namespace, owner, tuple(faults.values())), bearer) is bearer:
            bearers.append((bearer, pod.annotations))
    return [
        f"{bearer}: {key}: {fault}; it counts as absent"
        for bearer, texts in sorted(bearers, key=lambda row: row[0])
        for key, fault in faults_in(texts, bearer.kind).items()
    ]
