"""Volumes of which several pods may use the same one: a node attaches it once, for the first of them.

Volumes with one user are counted like any resource. Of the others a vector
has, in one more dimension, the set of those that are attached already, one
bit each; so the set goes wherever the amounts go. Nobody asks for an amount
of it: it limits nothing by itself.
Source: kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits/csi.go
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

LIMIT_PREFIX = "attachable-volumes-csi-"  # names the number of volumes of a driver as a resource
ATTACHED = "attached-volumes-csi"  # names the set of shared volumes that are attached

Handle = tuple[str, str]  # driver, and a name of the volume that is its own


class Shared(NamedTuple):
    """The shared volumes of a pod: position of the set, and of each volume its driver's position and its bit."""

    at: int
    volumes: tuple[tuple[int, int], ...]


def shared_of(handles: Iterable[Handle], names: Mapping[str, int], bits: Mapping[Handle, int]) -> Shared | None:
    """Translate handles; `names` are the positions in a vector. None when there are none."""
    volumes = tuple((names[LIMIT_PREFIX + handle[0]], bits[handle]) for handle in handles)
    return Shared(names[ATTACHED], volumes) if volumes else None


def attach(free: tuple[int, ...], shared: Shared) -> tuple[int, ...] | None:
    """What is free once the shared volumes are attached too; None when there is no room for those that are not yet."""
    attached = free[shared.at]
    missing = [(position, bit) for position, bit in shared.volumes if not attached & bit]
    if not missing:
        return free
    numbers = list(free)
    for position, bit in missing:
        numbers[position] -= 1
        numbers[shared.at] |= bit
    return None if any(numbers[position] < 0 for position, _ in missing) else tuple(numbers)
