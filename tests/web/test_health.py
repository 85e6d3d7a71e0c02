"""cluster-autoscaler's health rules, on a clock that stands still."""

from datetime import timedelta

import pytest

from autoscaler.web import Health, HealthLimits

MINUTE = 60.0


@pytest.fixture
def health() -> Health:
    return Health(HealthLimits())


def test_a_process_that_does_not_lead_is_well(health: Health) -> None:
    assert health.verdict(1e9) == ()


def test_until_the_first_success_the_startup_time_holds(health: Health) -> None:
    health.begin(0)
    assert health.verdict(20 * MINUTE) == ()
    assert len(health.verdict(20 * MINUTE + 1)) == 2


def test_a_short_startup_time_is_raised_to_the_largest() -> None:
    health = Health(HealthLimits(max_startup=timedelta(minutes=1)))
    health.begin(0)
    assert health.verdict(15 * MINUTE) == ()
    assert health.verdict(15 * MINUTE + 1)


def test_passes_that_fail_are_told_apart_from_silence(health: Health) -> None:
    health.begin(0)
    health.note_success(0)
    health.note_activity(16 * MINUTE)
    assert health.verdict(16 * MINUTE) == ("last successful pass 960 s ago; at most 900 s are allowed",)


def test_silence_is_a_fault_although_the_last_pass_succeeded(health: Health) -> None:
    health.begin(0)
    health.note_success(0)
    assert health.verdict(11 * MINUTE) == ("last sign of life 660 s ago; at most 600 s are allowed",)


def test_a_success_heals(health: Health) -> None:
    health.begin(0)
    assert health.verdict(30 * MINUTE)
    health.note_success(30 * MINUTE)
    assert health.verdict(30 * MINUTE) == ()


def test_one_that_lost_the_lease_is_well_again_and_starts_anew(health: Health) -> None:
    health.begin(0)
    health.note_success(0)
    health.rest()
    assert health.verdict(60 * MINUTE) == ()
    health.begin(60 * MINUTE)
    assert health.verdict(80 * MINUTE) == ()


def test_what_happens_unwatched_does_not_count(health: Health) -> None:
    health.note_success(5)
    health.note_activity(5)
    assert health.verdict(1e9) == ()
