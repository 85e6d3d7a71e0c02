"""Every series is listed, described, bounded, and shown as listed."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.core.decision import RefusalKind
from autoscaler.metrics import Metrics, series
from autoscaler.metrics.series import SERIES, Count, Level, Series, Spread
from autoscaler.metrics.table import table

ROOT = Path(__file__).resolve().parents[1]


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


def test_the_page_is_made_from_the_list() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert page == table(), "run: python -m autoscaler.metrics.table > docs/metrics.md"


def test_names_follow_the_two_prefixes_and_are_unique() -> None:
    names = [one.name for one in SERIES]
    assert len(set(names)) == len(names)
    assert all(name.startswith(("cluster_autoscaler_", "priority_autoscaler_")) for name in names)
    ours = [one for one in SERIES if isinstance(one, Count) and one.name.startswith("priority_")]
    assert all(one.name.endswith("_total") for one in ours)


def test_every_family_is_shown_under_its_listed_name_and_type() -> None:
    shown = Metrics(per_group=True).render().decode().splitlines()
    for one in SERIES:
        kind = one.kind if not isinstance(one, Count) or one.name.endswith("_total") else "untyped"
        assert f"# TYPE {one.name} {kind}" in shown


def test_a_counter_without_total_keeps_the_inherited_name() -> None:
    metrics = Metrics()
    metrics.add(series.UNREGISTERED_REMOVED)
    metrics.add(series.SKIPPED_SCALE_UPS, direction="up", reason="CpuResourceLimit")
    assert value(metrics, "cluster_autoscaler_old_unregistered_nodes_removed_count") == 1
    assert (
        value(metrics, "cluster_autoscaler_skipped_scale_events_count", direction="up", reason="CpuResourceLimit") == 1
    )


def test_a_value_outside_the_closed_set_is_other() -> None:
    metrics = Metrics()
    for code in ("Surprising", "More"):
        metrics.add(series.LAUNCH_CALLS, node_group="spot-a", result="refused", error=code)
    name = "priority_autoscaler_launch_calls_total"
    assert value(metrics, name, node_group="spot-a", result="refused", error="other") == 2


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="has labels"):
        Metrics().add(series.LAUNCH_CALLS, node_group="spot-a")


def test_a_replaced_family_forgets_what_is_not_named() -> None:
    metrics = Metrics(per_group=True)
    metrics.replace(series.DRY_POOLS, {"spot": 3})
    metrics.replace(series.DRY_POOLS, {"on-demand": 1})
    metrics.replace(series.GROUP_TARGET, {"spot-a": 3, "spot-b": 4})
    metrics.replace(series.GROUP_TARGET, {"spot-b": 5})
    assert value(metrics, "priority_autoscaler_dry_pools", market="spot") == 0
    assert value(metrics, "priority_autoscaler_dry_pools", market="on-demand") == 1
    assert value(metrics, "cluster_autoscaler_node_group_target_count", node_group="spot-a") is None
    assert value(metrics, "cluster_autoscaler_node_group_target_count", node_group="spot-b") == 5


def test_a_group_that_is_gone_takes_its_series_along() -> None:
    metrics = Metrics()
    for group in ("spot-a", "spot-b"):
        metrics.add(series.LAUNCH_CALLS, node_group=group, result="launched", error="")
    metrics.keep_groups({"spot-b"})
    groups = {dict(labels).get("node_group") for _, labels in samples(metrics)}
    assert groups == {None, "spot-b"}


def test_groups_are_told_only_when_asked_for() -> None:
    metrics = Metrics()
    metrics.put(series.GROUP_MAX, 10, node_group="spot-a")
    assert "node_group_max_count" not in metrics.render().decode()


def fill(metrics: Metrics, one: Series, values: dict[str, str]) -> None:
    if isinstance(one, Spread):
        metrics.observe(one, 1.0, **values)
    elif isinstance(one, Count):
        metrics.add(one, 1, **values)
    elif isinstance(one, Level):
        metrics.put(one, 1, **values)


def combinations(one: Series) -> list[dict[str, str]]:
    found: list[dict[str, str]] = [{}]
    for label in one.labels:
        values = label.values if label.values is not None else ("x",)
        found = [{**known, label.name: value} for known in found for value in values]
    return found


def test_a_hundred_groups_in_three_zones_stay_below_2500_series() -> None:
    metrics = Metrics(version="1", per_group=True)
    for one in SERIES:
        if not any(label.name == "node_group" for label in one.labels):
            for values in combinations(one):
                fill(metrics, one, values)
    for group in (f"spot-{number}" for number in range(100)):
        for one in SERIES:
            if one.per_group:
                fill(metrics, one, {"node_group": group})
        for _zone in "abc":
            metrics.add(series.LAUNCH_CALLS, node_group=group, result="launched", error="")
            for kind in (RefusalKind.NO_CAPACITY, RefusalKind.LIMIT, RefusalKind.CONTENTION):
                metrics.add(series.LAUNCH_CALLS, node_group=group, result="refused", error=kind)
            metrics.add(series.LAUNCH_CALLS, node_group=group, result="partial", error=RefusalKind.NO_CAPACITY)
    assert len(samples(metrics)) <= 2500
