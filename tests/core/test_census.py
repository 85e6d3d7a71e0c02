"""The census kept up to date equals the one taken from the pods alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.census import Census, CensusTaker, take_census
from autoscaler.core.model import HOSTNAME_LABEL, Labels, NodeName, Phase, Pod
from autoscaler.core.podspec import LabelSelector, PodTerm
from tests.builders import NOW, pod, spec

CUTOFF = -10
SPECS = (
    spec(cpu="100m"),
    spec(cpu="1", host_port=80),
    spec(cpu="2", priority=-20),
    spec(cpu="1", anti_affinity=(PodTerm(HOSTNAME_LABEL, LabelSelector()),)),
    spec(cpu="50m", extra={"nvidia.com/gpu": "1"}),
)
LABELS: tuple[Labels, ...] = ({"app": "a"}, {"app": "b"})
NODES = (None, NodeName("a"), NodeName("b"))


@st.composite
def states(draw: st.DrawFn) -> Pod | None:
    """One state of the pod with a number; None: it does not exist."""
    if draw(st.integers(0, 4)) == 0:
        return None
    number = draw(st.integers(0, 5))
    return pod(
        f"p{number}",
        labels=draw(st.sampled_from(LABELS)),
        deleted_at=draw(st.sampled_from([None, None, NOW])),
        of=draw(st.sampled_from(SPECS)),
        node=draw(st.sampled_from(NODES)),
        nominated_node=draw(st.sampled_from(NODES)),
        phase=draw(st.sampled_from(list(Phase))),
    )


def facts(census: Census) -> object:
    used = {node: (dict(use.amounts), sorted(use.ports)) for node, use in census.used.items()}
    crowds = [
        {key: (dict(one.present), dict(one.leaving)) for key, one in crowds.items()}
        for crowds in (census.crowds, census.repelling)
    ]
    return census.cutoff, used, sorted(each.key for each in census.pending), crowds


@given(st.lists(states(), max_size=40))
def test_a_kept_census_equals_a_fresh_one(history: list[Pod | None]) -> None:
    taker, present = CensusTaker(CUTOFF), dict[str, Pod]()
    for after in history:
        name = after.name if after is not None else next(iter(present), "")
        before = present.pop(name, None)
        if after is not None:
            present[name] = after
        taker.change(before, after)
        assert facts(taker.view()) == facts(take_census(present.values(), CUTOFF))


def test_a_view_stays_as_it_was_taken() -> None:
    taker = CensusTaker(CUTOFF)
    first = pod("p", of=SPECS[0], node=NodeName("a"))
    taker.change(None, first)
    view = taker.view()
    taker.change(first, replace(first, node=NodeName("b")))
    assert dict(view.used[NodeName("a")].amounts) == {"cpu": 100, "memory": 512 * 2**20, "pods": 1}


def test_expendable_and_finished_pods_hold_nothing() -> None:
    air = pod("air", of=SPECS[2], node=NodeName("a"))
    done = pod("done", of=SPECS[0], node=NodeName("a"), phase=Phase.SUCCEEDED)
    assert take_census([air, done], CUTOFF).used == {}
