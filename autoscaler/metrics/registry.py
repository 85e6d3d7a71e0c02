"""The figures of this process: one object, its own registry, no globals.

Values may be set and rendered from any thread. A label value outside its
closed set is told as `other`, so a new word of AWS can never multiply the
series; what belongs to a group that is gone goes with `keep_groups`.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Iterator, Mapping

import prometheus_client as prometheus
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from autoscaler.metrics.series import BUILD_INFO, SERIES, Count, Level, Series, Spread

CONTENT_TYPE = prometheus.exposition.CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """All series of `SERIES`; those of each group only with `per_group`."""

    def __init__(self, *, version: str = "", per_group: bool = False) -> None:
        self.per_group = per_group
        self._registry = CollectorRegistry()
        self._shown = _Shown(self._registry)
        self._families = {one: _family(one, self._registry) for one in SERIES if per_group or not one.per_group}
        self._told: dict[Series, set[tuple[str, ...]]] = {series: set() for series in self._families}
        self._carried: dict[tuple[Series, tuple[tuple[str, str], ...]], float] = {}
        self.put(BUILD_INFO, 1, version=version, python=platform.python_version())

    def add(self, series: Count, amount: float = 1, **labels: str) -> None:
        """Count `amount` more."""
        family = self._child(series, labels)
        if isinstance(family, prometheus.Counter | prometheus.Gauge):
            family.inc(amount)

    def carry(self, series: Count, total: float, **labels: str) -> None:
        """Count up to a total that somebody else keeps since the start; a smaller one than before adds nothing."""
        key = (series, tuple(sorted(labels.items())))
        grown = total - self._carried.get(key, 0)
        if grown > 0:
            self._carried[key] = total
            self.add(series, grown, **labels)

    def put(self, series: Level, value: float, **labels: str) -> None:
        """Say what is so now."""
        family = self._child(series, labels)
        if isinstance(family, prometheus.Gauge):
            family.set(value)

    def observe(self, series: Spread, value: float, **labels: str) -> None:
        """Add one observation."""
        family = self._child(series, labels)
        if isinstance(family, prometheus.Histogram):
            family.observe(value)

    def replace(self, series: Level, values: Mapping[str, float]) -> None:
        """Set a family of one label as a whole: what `values` does not name is 0, or gone when it is a group."""
        (label,) = series.labels
        if series not in self._families:
            return
        told: dict[str, float] = dict.fromkeys(label.values or (), 0)
        for name, value in values.items():
            accepted = label.accept(name)
            told[accepted] = told.get(accepted, 0) + value
        for name, value in told.items():
            self.put(series, value, **{label.name: name})
        self._forget(series, [values for values in (*self._told[series],) if values[0] not in told])

    def keep_groups(self, names: Collection[str]) -> None:
        """Drop the series of groups that are not among `names`."""
        for series, told in self._told.items():
            for at, label in enumerate(series.labels):
                if label.name == "node_group":
                    self._forget(series, [values for values in (*told,) if values[at] not in names])

    def render(self) -> bytes:
        """Write everything in the Prometheus text format. Takes milliseconds: call it from a worker thread."""
        return prometheus.generate_latest(self._shown)

    def collect(self) -> Iterator[Metric]:
        """Yield the families as `render` writes them."""
        return iter(self._shown.collect())

    def _child(self, series: Series, labels: Mapping[str, str]) -> MetricWrapperBase | None:
        if len(labels) != len(series.labels):
            raise ValueError(f"{series.name}: has labels {[label.name for label in series.labels]}, not {[*labels]}")
        family = self._families.get(series)
        if family is None or not labels:
            return family
        values = tuple(label.accept(str(labels[label.name])) for label in series.labels)
        self._told[series].add(values)
        return family.labels(*values)

    def _forget(self, series: Series, gone: Iterable[tuple[str, ...]]) -> None:
        for values in gone:
            self._told[series].discard(values)
            self._families[series].remove(*values)


class _Shown(Collector):
    """The registry without `_created` samples, which would double the series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if sample.name != f"{metric.name}_created"]
            yield metric


class _OddCounter(prometheus.Gauge):
    """A counter whose name, inherited from cluster-autoscaler, lacks `_total`.

    The format's writer would append it, so the type is left open: untyped.
    """

    _type = "unknown"


def _family(series: Series, registry: CollectorRegistry) -> MetricWrapperBase:
    names = [label.name for label in series.labels]
    if isinstance(series, Spread):
        return prometheus.Histogram(series.name, series.help, names, registry=registry, buckets=series.buckets)
    if isinstance(series, Level):
        return prometheus.Gauge(series.name, series.help, names, registry=registry)
    kind = prometheus.Counter if series.name.endswith("_total") else _OddCounter
    return kind(series.name, series.help, names, registry=registry)
