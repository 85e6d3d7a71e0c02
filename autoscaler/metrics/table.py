"""docs/metrics.md, made from the list of series.

`python -m autoscaler.metrics.table` prints it; a test keeps the file equal.
"""

from __future__ import annotations

import sys

from autoscaler.metrics.series import SERIES, Label, Series

_HEAD = """\
# Metrics

Served on `/metrics` of `--address` (default `:8085`) in the Prometheus text format. Names that begin with
`cluster_autoscaler_` mean what they mean there; `priority_autoscaler_` is what only this product has. Label
values come from closed sets, or name a node group: never a pod or a node. A value outside its set is told as `other`.
Those marked with * need `--emit-per-nodegroup-metrics`.

Made by `python -m autoscaler.metrics.table > docs/metrics.md` from `autoscaler/metrics/series.py`.

| name | type | labels | meaning |
|---|---|---|---|
"""


def table() -> str:
    """The whole page, ending with a newline."""
    return _HEAD + "".join(_row(series) for series in SERIES)


def _row(series: Series) -> str:
    labels = "; ".join(_describe(label) for label in series.labels) or "–"
    mark = " *" if series.per_group else ""
    return f"| `{series.name}`{mark} | {series.kind} | {labels} | {series.help} |\n"


def _describe(label: Label) -> str:
    if label.values is None:
        return f"`{label.name}`"
    return f"`{label.name}`: " + ", ".join(value or "(empty)" for value in label.values)


if __name__ == "__main__":
    sys.stdout.write(table())
