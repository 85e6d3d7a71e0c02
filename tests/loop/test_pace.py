"""When a pass runs, in virtual time."""

from __future__ import annotations

import anyio

from autoscaler.loop.pace import Pace, Rhythm
from tests.loop.virtual import run_in_virtual_time

RHYTHM = Rhythm(idle=0.1, most=0.25, interval=10.0)
NEVER = float("inf")


def test_a_burst_ends_after_silence() -> None:
    async def story() -> tuple[float, bool]:
        pace, start = Pace(RHYTHM), anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ring_at, pace, (1.0, 1.05))
            began = await pace.wait_burst(NEVER)
        return round(anyio.current_time() - start, 3), began is not None

    assert run_in_virtual_time(story) == (1.15, True)


def test_an_unending_burst_is_waited_for_no_longer_than_the_limit() -> None:
    async def story() -> float:
        pace, start = Pace(RHYTHM), anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ring_at, pace, tuple(number * 0.05 for number in range(40)))
            await pace.wait_burst(NEVER)
            waited = anyio.current_time() - start
            tasks.cancel_scope.cancel()
        return round(waited, 3)

    assert run_in_virtual_time(story) == 0.25


def test_without_a_change_it_looks_up_at_the_interval_or_at_the_deadline() -> None:
    async def story() -> list[tuple[float, object]]:
        pace, found = Pace(RHYTHM), []
        for until in (NEVER, anyio.current_time() + 10.0 + 3.0):
            start = anyio.current_time()
            began = await pace.wait_burst(until)
            found.append((round(anyio.current_time() - start, 3), began))
        return found

    assert run_in_virtual_time(story) == [(10.0, None), (3.0, None)]


def test_a_ring_while_nobody_waits_is_not_lost() -> None:
    async def story() -> bool:
        pace = Pace(RHYTHM)
        pace.ring()
        return await pace.wait_burst(NEVER) is not None

    assert run_in_virtual_time(story)


def test_what_nobody_waits_for_waits_until_passes_have_rested() -> None:
    async def story() -> list[tuple[float, object]]:
        pace, found = Pace(RHYTHM), []
        for seconds in (0.04, 0.5, 0.0):  # of the pass before
            start = anyio.current_time()
            pace.rest(seconds)
            pace.murmur()
            began = await pace.wait_burst(NEVER)
            found.append((round(anyio.current_time() - start, 3), began))
        return found

    assert run_in_virtual_time(story) == [(2.0, None), (10.0, None), (0.0, None)]


def test_a_ring_goes_before_rest_and_murmurs_do_not_shorten_its_burst() -> None:
    async def story() -> tuple[float, bool]:
        pace, start = Pace(RHYTHM), anyio.current_time()
        pace.rest(1.0)
        pace.murmur()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ring_at, pace, (1.0,))
            tasks.start_soon(murmur_at, pace, 1.05)
            began = await pace.wait_burst(NEVER)
        return round(anyio.current_time() - start, 3), began is not None

    assert run_in_virtual_time(story) == (1.1, True)


async def murmur_at(pace: Pace, moment: float) -> None:
    await anyio.sleep(moment)
    pace.murmur()


async def ring_at(pace: Pace, moments: tuple[float, ...]) -> None:
    last = 0.0
    for moment in moments:
        await anyio.sleep(moment - last)
        last = moment
        pace.ring()
