"""Virtual time: minutes of waiting pass at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from trio.testing import MockClock

T = TypeVar("T")


def run_in_virtual_time(story: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function on a clock that jumps to the next deadline whenever all tasks wait."""
    return anyio.run(story, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
