"""Memory of AWS refusals, keyed by capacity pool.

Forgetting is cheap (one refused launch); remembering too long is dear (pods
wait). So entries expire by themselves. Holds no clock: callers pass `at`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityMemory:
    """Placeholder for the contract in the architecture notes."""
