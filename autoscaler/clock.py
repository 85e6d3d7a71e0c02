"""The only reader of clocks.

`now` is for timestamps that Kubernetes, AWS or a person compares; `monotonic`
is for spans and deadlines inside this process. The two never mix: the wall
clock may jump.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds since an arbitrary moment; never goes back."""
    return time.monotonic()
