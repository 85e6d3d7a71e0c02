"""What this process counts and measures, for Prometheus.

`series` lists it, `registry` holds the values, `table` writes the page about
it. When to count what is the callers' business.
"""

from autoscaler.metrics.registry import Metrics

__all__ = ["Metrics"]
