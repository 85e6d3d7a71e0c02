"""Snapshot: a live cluster and account as the files that `simulate` reads.

What of an object may leave stands in `cluster` and `account`: an allow-list,
so that no secret does. Nothing is shown before all of it was read: a snapshot
that fails leaves the older one as it was.
"""

from autoscaler.snapshot.write import write_snapshot

__all__ = ["write_snapshot"]
