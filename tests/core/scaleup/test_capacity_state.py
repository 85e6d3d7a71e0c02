"""What the memory keeps over a restart, and what it refuses to read."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.decision import Launch, LaunchResult, Refusal, RefusalKind
from autoscaler.core.model import GroupName, Zone
from autoscaler.core.policy import Policy
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.capacity_state import CapacityStateError
from tests.builders import NOW, ZONES, group

POLICY = Policy()


def full_memory() -> CapacityMemory:
    """One entry of every kind."""
    memory = CapacityMemory()
    for position, kind in enumerate(RefusalKind):
        spot = group(f"spot-{position}")
        launch = Launch(group=spot.name, zone=Zone(ZONES[0]) if position % 2 else None, count=1, units=1)
        refusals = (Refusal(kind=kind, code="Code"),)
        memory = memory.learn(LaunchResult(launch=launch, at=NOW, refusals=refusals), spot, POLICY, 0.25)
    spot, later = group("spot-0"), NOW + timedelta(seconds=30)
    memory = memory.group_failed(spot.name, "no Node", NOW, POLICY)
    return memory.with_asked(spot, Zone(ZONES[0]), later)


def test_all_of_it_survives_as_json() -> None:
    memory = full_memory()
    state = json.loads(json.dumps(memory.to_state()))
    read = CapacityMemory.from_state(state)

    assert read.to_state() == memory.to_state()
    for at in (NOW + timedelta(seconds=seconds) for seconds in range(0, 7200, 60)):
        for position in range(len(RefusalKind)):
            spot = group(f"spot-{position}")
            for zone in (None, *(Zone(zone) for zone in ZONES)):
                assert read.availability(spot, zone, at) == memory.availability(spot, zone, at) or at < NOW + timedelta(
                    seconds=90
                ), "only the launch in flight is not kept"
                assert read.refusal_number(spot, zone) == memory.refusal_number(spot, zone)
    denied = GroupName(f"spot-{[*RefusalKind].index(RefusalKind.NO_LAUNCH_API)}")
    assert (read.has_launch_api(denied, NOW), read.has_launch_api(GroupName("other"), NOW)) == (False, True)


def test_an_empty_memory_is_small() -> None:
    assert CapacityMemory.from_state(CapacityMemory().to_state()) == CapacityMemory()


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {"version": 2},
        {"version": 1, "pools": 3},
        {"version": 1, "pools": [[]]},
        {"version": 1, "pools": [{}]},
        {"version": 1, "probes": [["yesterday"]]},
        {"version": 1, "probes": [["2026-01-01T12:00:00"]]},
        {"version": 1, "answered": [["g", None, "1", "2026-01-01T12:00:00Z"]]},
        {"version": 1, "answered": [["g", None, -1, "2026-01-01T12:00:00Z"]]},
        {"version": 1, "launchApiMissingUntil": 5},
    ],
)
def test_refuses_what_it_cannot_read(state: object) -> None:
    with pytest.raises(CapacityStateError):
        CapacityMemory.from_state(state)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data(), value=JSON)
def test_a_damaged_state_is_refused_or_read_and_nothing_else(data: st.DataObject, value: Any) -> None:
    state: dict[str, Any] = json.loads(json.dumps(full_memory().to_state()))
    name = data.draw(st.sampled_from(sorted(state)))
    rows = state[name]
    if isinstance(rows, list) and rows and data.draw(st.booleans()):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(row) - 1))] = value
    else:
        state[name] = value
    try:
        memory = CapacityMemory.from_state(state)
    except CapacityStateError:
        return
    memory.availability(group(), None, NOW)
    memory.next_change(NOW)
    memory.without_expired(NOW)
