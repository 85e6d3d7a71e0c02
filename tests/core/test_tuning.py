"""What the annotations of applications say, and which of them applies."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from autoscaler.core.model import OwnerRef, Pod, Uid
from autoscaler.core.tuning import (
    NO_TUNING,
    Annotated,
    Bearer,
    DisruptionWish,
    Key,
    MarketWish,
    Tunings,
    faults_in,
    read_disruption,
    read_groups,
    read_market,
    read_span,
)
from autoscaler.core.window import Window
from tests import builders

CHAIN = [
    builders.workload("web-7d9", owner=OwnerRef("Deployment", "web", Uid("uid-web"))),
    builders.workload("web", "Deployment"),
]
PLACES = ("Pod", "ReplicaSet", "Deployment", "Namespace", "PriorityClass")


def world(places: dict[str, dict[str, str]]) -> tuple[Tunings, Pod]:
    """A pod of a Deployment with annotations at these places."""
    replicas, deployment = (
        builders.workload(one.name, one.kind, owner=one.owner, annotations=places.get(one.kind, {})) for one in CHAIN
    )
    pod = builders.pod(
        "web-7d9-x",
        owner=OwnerRef("ReplicaSet", "web-7d9", Uid("uid-web-7d9")),
        annotations=places.get("Pod", {}),
        priority_class="high",
    )
    annotated = Annotated(
        namespaces={"shop": places.get("Namespace", {})}, priority_classes={"high": places.get("PriorityClass", {})}
    )
    return Tunings([replicas, deployment], annotated), pod


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_nearest_wins_key_by_key(first: int) -> None:
    """Each place says its own number, all from `first` on; the farthest alone says another key."""
    places = {place: {Key.MAX_WAIT: f"{number}s"} for number, place in enumerate(PLACES) if number >= first}
    places[PLACES[-1]] = {**places[PLACES[-1]], Key.ON_DEMAND: "never"}
    tunings, pod = world(places)
    found = tunings.of(pod)
    wait, market = found.get(Key.MAX_WAIT), found.get(Key.ON_DEMAND)
    assert wait is not None
    assert market is not None
    assert wait.value == timedelta(seconds=first)
    assert wait.bearer.kind == ("the pod itself", *PLACES[1:])[first]
    assert market.value is MarketWish.NEVER
    assert str(market) == "priority-autoscaler/on-demand: never, by PriorityClass high"


def test_nobody_says_anything() -> None:
    tunings, pod = world({"Namespace": {"cluster-autoscaler.kubernetes.io/enable-ds-eviction": "true"}})
    assert tunings.of(pod) is NO_TUNING
    assert not tunings.of(builders.pod(owner=None))


def test_who_cannot_be_read_leaves_the_word_to_the_next() -> None:
    tunings, pod = world({"Pod": {Key.MAX_WAIT: "soon"}, "Namespace": {Key.MAX_WAIT: "1m"}})
    wish = tunings.of(pod).get(Key.MAX_WAIT)
    assert wish is not None
    assert (wish.value, wish.bearer) == (timedelta(minutes=1), Bearer("Namespace", "", "shop"))


def test_owners_that_own_each_other_end() -> None:
    loop = OwnerRef("ReplicaSet", "web", Uid("uid-web"))
    tunings = Tunings([builders.workload("web", owner=loop), builders.workload("x", annotations={Key.GROUPS: "a"})],
                      Annotated())  # fmt: skip
    assert tunings.of(builders.pod(owner=loop)) is NO_TUNING


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("spot-web-.*;od-web-.*", [["spot-web-.*"], ["od-web-.*"]]),
        (" spot-a , spot-b ; od ", [["spot-a", "spot-b"], ["od"]]),
        ("a{1,3}b;[,;]x,y", [["a{1,3}b"], ["[,;]x", "y"]]),
        (r"a\,b;c\;d", [[r"a\,b"], [r"c\;d"]]),
        (";;a;,;", [["a"]]),
        ("spot-[(]a,b;[]]c,[^]{]d,e", [["spot-[(]a", "b"], [r"[\]]c", r"[^\]{]d", "e"]]),
    ],
)
def test_groups(text: str, tiers: list[list[str]]) -> None:
    assert [[one.pattern for one in tier] for tier in read_groups(text)] == tiers
    assert all(isinstance(one, re.Pattern) for tier in read_groups(text) for one in tier)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (read_span, "0s", timedelta(0)),
        (read_span, "1h30m", timedelta(minutes=90)),
        (read_span, "never", None),
        (read_market, "only", MarketWish.ONLY),
        (read_market, " never ", MarketWish.NEVER),
        (read_disruption, "allow", DisruptionWish.ALLOW),
        (read_disruption, "never", DisruptionWish.NEVER),
    ],
)
def test_values(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


def test_a_window_is_a_value_too() -> None:
    found = read_disruption("Mon-Fri 02:00-05:00 Europe/Paris")
    assert isinstance(found, Window)
    assert found.text == "Mon-Fri 02:00-05:00 Europe/Paris"


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        (Key.GROUPS, "", "expected regular expressions such as"),
        (Key.GROUPS, " ; , ", "expected regular expressions such as"),
        (Key.GROUPS, "spot-(", "regex 'spot-('"),
        (Key.GROUPS, "spot;(?=od)", "regex '(?=od)'"),
        (Key.GROUPS, "(.+)+!", "repeats what repeats or chooses within"),
        (Key.GROUPS, "(a|b)*c", "repeats what repeats or chooses within"),
        (Key.GROUPS, "(?i:(a?)b){2,30}", "repeats what repeats or chooses within"),
        (Key.GROUPS, ".*a.*b.*c.*d.*e", "too often"),
        (Key.GROUPS, "(" * 3000 + "a" + ")" * 3000, "nested too deeply"),
        (Key.HEADROOM, "{" * 5000, "no JSON"),
        (Key.MAX_WAIT, "5", "expected a duration such as"),
        (Key.MAX_WAIT, "-5m", "not negative"),
        (Key.MAX_WAIT, "Never", "expected a duration such as"),
        (Key.ON_DEMAND, "yes", "expected one of allow, never, only"),
        (Key.MIN_AGE, "two hours", "expected a duration such as"),
        (Key.DISRUPTION, "sometimes", "expected a window such as"),
        (Key.DISRUPTION, "Mon-Fri 25:00-05:00 Europe/Paris", "expected times such as"),
        (Key.DISRUPTION, "Mon-Fri 02:00-05:00 Europe/Pari", "unknown time zone"),
    ],
)
def test_what_is_wrong_is_told(key: Key, text: str, told: str) -> None:
    (fault,) = faults_in({key: text, "other": "x"}, "Deployment").values()
    assert told in fault
