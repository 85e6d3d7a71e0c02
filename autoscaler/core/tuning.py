"""What an application wishes for itself: annotations on a pod, its workload, its namespace or its PriorityClass.

The nearest object that says anything about a key decides that key. What
cannot be read is the last value that could be, where somebody remembers one,
else as if absent. What a wish means for buying is `menu`'s business, what it
means for drains `scaledown.wishes`'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from autoscaler.core.duration import parse_duration
from autoscaler.core.model import Labels, Pod
from autoscaler.core.policy import compile_regex
from autoscaler.core.regex import may_explode
from autoscaler.core.sizes import read_size
from autoscaler.core.window import Window, parse_window
from autoscaler.core.workload import Workload

PREFIX = "priority-autoscaler/"
_LONGEST_CHAIN = 8  # owners above a pod; two are usual, and a loop must end


class Key(StrEnum):
    """The annotations that an application may carry; DESIGN 8."""

    GROUPS = PREFIX + "groups"
    MAX_WAIT = PREFIX + "max-wait"
    ON_DEMAND = PREFIX + "on-demand"
    MIN_AGE = PREFIX + "on-demand-min-age"
    DISRUPTION = PREFIX + "disruption"
    HEADROOM = PREFIX + "headroom"  # stands on workloads with a scale, and is no wish of their pods


OF_PODS = tuple(key for key in Key if key is not Key.HEADROOM)
SCALED = frozenset(("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"))


class MarketWish(StrEnum):
    """What an application may buy."""

    ALLOW = "allow"
    NEVER = "never"  # nothing but spot
    ONLY = "only"  # nothing but on-demand


class DisruptionWish(StrEnum):
    """Whether pods may be evicted voluntarily; a window is the third answer."""

    ALLOW = "allow"
    NEVER = "never"


class Bearer(NamedTuple):
    """The object that bears an annotation; `namespace` is empty for what has none."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, workload: Workload) -> Bearer:
        """The workload as a bearer; by name, as files that people write have no uids."""
        return cls(workload.kind, workload.namespace, workload.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}".strip()


_THE_POD = Bearer("the pod itself", "", "")


class Wish(NamedTuple):
    """One value as it applies, and who says so. `value` is what the key's reader made of the text."""

    key: Key
    text: str
    value: object
    bearer: Bearer

    def __str__(self) -> str:
        return f"{self.key}: {self.text}, by {self.bearer}"


@dataclass(frozen=True, slots=True)
class Tuning:
    """All wishes that apply to a pod, one a key."""

    wishes: Mapping[Key, Wish] = field(default_factory=lambda: MappingProxyType({}))

    def __bool__(self) -> bool:
        return bool(self.wishes)

    def get(self, key: Key) -> Wish | None:
        return self.wishes.get(key)


NO_TUNING = Tuning()
GroupTiers = tuple[tuple[re.Pattern[str], ...], ...]


def read_groups(text: str) -> GroupTiers:
    """Read tiers separated by `;`, regexes by `,`. Raises ValueError (PolicyError) that names the expression."""
    tiers = tuple(
        tuple(_compile(one.strip()) for one in _split(tier, ",") if one.strip()) for tier in _split(text, ";")
    )
    tiers = tuple(tier for tier in tiers if tier)
    if not tiers:
        raise ValueError("expected regular expressions such as `spot-web-.*;od-web-.*`")
    return tiers


def _compile(text: str) -> re.Pattern[str]:
    """Anybody may annotate, and nobody may hold the controller up: what could take long is refused."""
    if may_explode(text):
        raise ValueError(f"regex {text!r}: repeats what repeats or chooses within, or too often; write it plainer")
    return compile_regex(text)


def _split(text: str, sign: str) -> list[str]:
    """Split where the sign stands outside of brackets: `{1,3}` and `[,]` are parts of an expression."""
    parts, depth, begin = [], 0, 0
    is_escaped, is_class = False, False
    for at, char in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif char == "\\":
            is_escaped = True
        elif is_class:
            is_class = char != "]" or text[at - 1] == "[" or text[at - 2 : at] == "[^"
        elif char == "[":
            is_class = True
        elif char in "{(":
            depth += 1
        elif char in "})":
            depth = max(0, depth - 1)
        elif char == sign and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]


def read_span(text: str) -> timedelta | None:
    """Read a duration, None for `never`. Raises ValueError."""
    if text.strip() == "never":
        return None
    span = parse_duration(text.strip())
    if span < timedelta(0):
        raise ValueError("expected a duration that is not negative")
    return span


def read_market(text: str) -> MarketWish:
    """Read whether on-demand may be bought. Raises ValueError."""
    if text.strip() not in tuple(MarketWish):
        raise ValueError(f"expected one of {', '.join(MarketWish)}")
    return MarketWish(text.strip())


def read_disruption(text: str) -> DisruptionWish | Window:
    """Read when pods may be evicted voluntarily. Raises ValueError."""
    if text.strip() in tuple(DisruptionWish):
        return DisruptionWish(text.strip())
    return parse_window(text)


READERS: Mapping[Key, Callable[[str], object]] = MappingProxyType(
    {
        Key.GROUPS: read_groups,
        Key.MAX_WAIT: read_span,
        Key.ON_DEMAND: read_market,
        Key.MIN_AGE: read_span,
        Key.DISRUPTION: read_disruption,
        Key.HEADROOM: read_size,
    }
)


@lru_cache(maxsize=20_000)
def _read(key: Key, text: str) -> tuple[object, str]:
    """The value, or what is wrong with the text; kept, as a pass reads the same texts as the last one."""
    try:
        return READERS[key](text), ""
    except ValueError as error:
        return None, str(error)


def faults_in(annotations: Labels, kind: str) -> dict[Key, str]:
    """What is wrong with each value that cannot be read, on an object of this kind."""
    found = {key: fault for key in Key if key in annotations and (fault := _read(key, annotations[key])[1])}
    if Key.HEADROOM in annotations and kind not in SCALED:
        found[Key.HEADROOM] = "stands on workloads with a scale, such as a Deployment"
    return found


def is_tuned(annotations: Labels) -> bool:
    """Whether an object says anything about the keys."""
    return bool(annotations) and any(key in annotations for key in Key)


def _is_wishful(annotations: Labels) -> bool:
    """Whether an object says anything that its pods obey."""
    return bool(annotations) and any(key in annotations for key in OF_PODS)


LastGood = Mapping[Bearer, Mapping[Key, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """Who says anything, beside the pods themselves and their workloads.

    `last_good` holds, for objects with a value that cannot be read, the last
    one that could.
    """

    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    priority_classes: Mapping[str, Labels] = field(default_factory=dict)
    last_good: LastGood = field(default_factory=dict)


def read_wish(key: Key, workload: Workload, last_good: LastGood) -> Wish | None:
    """What one workload itself says about a key."""
    text = workload.annotations.get(key)
    if text is None:
        return None
    return _wish(key, text, Bearer.of(workload), last_good)


def _wish(key: Key, text: str, bearer: Bearer, last_good: LastGood) -> Wish | None:
    value, fault = _read(key, text)
    if fault:
        text = last_good.get(bearer, {}).get(key, "")
        value, fault = _read(key, text)
    return None if fault else Wish(key, text, value, bearer)


class Tunings:
    """Which wishes apply to the pods of one pass; worked out once for all pods that share their bearers."""

    def __init__(self, workloads: Iterable[Workload], annotated: Annotated) -> None:
        owners = [one for one in workloads if one.annotations or one.owner is not None]
        is_any = any(_is_wishful(one.annotations) for one in owners)
        self._owners = {Bearer.of(one): one for one in owners} if is_any else {}
        self._namespaces = {name: each for name, each in annotated.namespaces.items() if _is_wishful(each)}
        self._classes = {name: each for name, each in annotated.priority_classes.items() if _is_wishful(each)}
        self._last_good = annotated.last_good
        self._known: dict[tuple[object, ...], Tuning] = {}

    def of(self, pod: Pod) -> Tuning:
        """The wishes that apply to the pod."""
        own = pod.annotations if _is_wishful(pod.annotations) else None
        if own is None and not (self._owners or self._namespaces or self._classes):
            return NO_TUNING
        bearer = Bearer("Pod", pod.namespace, pod.name)
        if bearer not in self._last_good:
            bearer = _THE_POD  # many pods share what is worked out here
        key = (
            tuple(own.get(each) for each in OF_PODS) if own is not None else None,
            pod.owner[:2] if pod.owner is not None and self._owners else (),
            pod.namespace if self._namespaces or self._owners else "",
            pod.spec.priority_class if self._classes else "",
            bearer,
        )
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._work_out(pod, bearer)
        return found

    def is_alone(self, pod: Pod) -> bool:
        """Whether the pod itself has a value that cannot be read, and perhaps a last good one."""
        return bool(self._last_good) and Bearer("Pod", pod.namespace, pod.name) in self._last_good

    def _work_out(self, pod: Pod, bearer: Bearer) -> Tuning:
        found: dict[Key, Wish] = {}
        for who, texts in self._bearers(pod, bearer):
            for key in OF_PODS:
                if key not in found and key in texts:
                    wish = _wish(key, texts[key], who, self._last_good)
                    if wish is not None:
                        found[key] = wish
        return Tuning(MappingProxyType(found)) if found else NO_TUNING

    def _bearers(self, pod: Pod, bearer: Bearer) -> Iterator[tuple[Bearer, Labels]]:
        """Yield who may say something, the nearest first."""
        yield bearer, pod.annotations
        owner = pod.owner
        for _ in range(_LONGEST_CHAIN):
            who = Bearer(owner.kind, pod.namespace, owner.name) if owner is not None else None
            workload = self._owners.get(who) if who is not None else None
            if who is None or workload is None:
                break
            yield who, workload.annotations
            owner = workload.owner
        if pod.namespace in self._namespaces:
            yield Bearer("Namespace", "", pod.namespace), self._namespaces[pod.namespace]
        name = pod.spec.priority_class
        if name in self._classes:
            yield Bearer("PriorityClass", "", name), self._classes[name]
