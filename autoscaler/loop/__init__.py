"""Observe, decide, act, publish: the running controller.

The loop knows no rule of its own; it brings the core a Snapshot and carries
its Decision out through `kubernetes` and `aws`. A dry run is this loop with
an actor that does nothing.
"""
