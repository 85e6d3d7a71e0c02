"""Dashboards ask only for series and labels that the product publishes, and fit on their grid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from autoscaler.metrics.series import SERIES, Spread

FOLDER = Path(__file__).parents[2] / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
PUBLISHED = {series.name: {label.name for label in series.labels} for series in SERIES}
PUBLISHED |= {
    f"{series.name}_bucket": {"le", *PUBLISHED[series.name]} for series in SERIES if isinstance(series, Spread)
}


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


def test_there_is_a_dashboard() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_query_asks_for_what_is_published(path: Path) -> None:
    for panel in panels(path):
        for target in panel["targets"]:
            names = re.findall(r"\b(?:priority|cluster)_autoscaler_\w+", target["expr"])
            assert names, panel["title"]
            labels = set().union(*(PUBLISHED[name] for name in names))
            asked = {word for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in group.split(", ")}
            asked |= set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert asked <= labels, f"{panel['title']}: {sorted(asked - labels)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_do_not_overlap(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
