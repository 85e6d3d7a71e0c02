"""Things that happen later: one heap of delayed steps, run under the world's lock.

Delays are seconds on the monotonic clock. Steps due together run in the order
in which they were asked for. A step that raises is a bug of the emulator and
ends the thread, loudly.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from autoscaler import clock

Step = Callable[[], None]


class Timers:
    """A thread that runs steps when they are due."""

    def __init__(self, lock: threading.RLock) -> None:
        self._changed = threading.Condition(lock)
        self._heap: list[tuple[float, int, Step]] = []
        self._numbers = itertools.count()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="aws-emulator-timers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def after(self, delay: float, step: Step) -> None:
        """Run `step` in `delay` seconds, holding the world's lock."""
        with self._changed:
            heapq.heappush(self._heap, (clock.monotonic() + delay, next(self._numbers), step))
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._heap.clear()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                wait = self._heap[0][0] - clock.monotonic() if self._heap else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                heapq.heappop(self._heap)[2]()
