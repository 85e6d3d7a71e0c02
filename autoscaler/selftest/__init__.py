"""Selftest: one launch and its end on a real account, and whether AWS answers as we assume.

`trial` is what is done, `assumptions` what should come back, `tape` keeps
every reply. Whatever was launched is terminated, also after an interruption.
"""

from autoscaler.selftest.command import run_selftest

__all__ = ["run_selftest"]
