"""What AWS must not take by itself is protected, and desired is held against what is."""

from __future__ import annotations

import pytest

from autoscaler.core.model import LaunchMethod, Lifecycle
from autoscaler.core.scaleup.protection import protection_changes, uncovered
from tests.builders import ZONES, group, instance

RUNNING = instance("i-1", lifecycle=Lifecycle.IN_SERVICE)
PROTECTED = [instance(f"i-{number}", lifecycle=Lifecycle.IN_SERVICE, protected=True) for number in (1, 2)]


@pytest.mark.parametrize(
    ("zones", "method", "of_all", "expected"),
    [
        (ZONES, LaunchMethod.SYNC, None, True),  # AZRebalance
        (ZONES[:1], LaunchMethod.SYNC, None, False),
        (ZONES[:1], LaunchMethod.DESIRED, None, True),  # a size that arrives late
        (ZONES[:1], LaunchMethod.SYNC, LaunchMethod.DESIRED, True),
        (ZONES[:1], LaunchMethod.DESIRED, LaunchMethod.SYNC, False),
    ],
)
def test_what_is_protected(
    zones: tuple[str, ...], method: LaunchMethod, of_all: LaunchMethod | None, *, expected: bool
) -> None:
    groups = [group(zones=zones, method=method, instances=(RUNNING,))]
    assert bool(protection_changes(groups, "auto", of_all)) is expected
    assert not protection_changes(groups, "never", of_all)


def test_desired_below_protected_instances_is_found() -> None:
    assert uncovered([group(instances=PROTECTED, desired=1)], "auto") == {"spot-a"}
    assert not uncovered([group(instances=PROTECTED)], "auto")
    assert not uncovered([group(instances=PROTECTED, desired=1)], "never")
    assert not uncovered([group(instances=PROTECTED, desired=1, is_refreshing=True)], "auto")
    assert not uncovered([group(instances=[RUNNING], desired=0)], "auto"), "AWS is about to take it"
