"""The wish of whoever watches to end it: SIGINT or SIGTERM, and no place that swallows it.

A KeyboardInterrupt comes wherever the interpreter happens to be, and is only
printed and forgotten in a finalizer or a callback. So it is remembered too,
and raised again by whoever waits.
"""

from __future__ import annotations

import signal
from typing import Any


class Interrupt:
    """Takes both signals over; for the main thread."""

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def check(self) -> None:
        """Raise KeyboardInterrupt if one of them came."""
        if self._came:
            raise KeyboardInterrupt

    def _take(self, *_: Any) -> None:
        self._came = True
        raise KeyboardInterrupt
