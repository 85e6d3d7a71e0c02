"""Writes the table of values into the chart's README, from the comments in values.yaml.

A comment that begins with `-- ` describes the key below it, whole with what
it holds. Run it as `python -m tests.tools.chart_readme`; a test keeps the two
equal and every key described.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart"
README = CHART / "README.md"
BEGIN, END = "<!-- values: made by python -m tests.tools.chart_readme -->\n", "<!-- end of values -->\n"


@dataclass(frozen=True)
class Value:
    """One row of the table."""

    path: str
    default: Any
    meaning: str


def values(text: str) -> Iterator[Value]:
    """Yield what values.yaml describes, in its order."""
    defaults = yaml.safe_load(text)
    path: list[str] = []
    words: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("# -- "):
            words = [bare.removeprefix("# -- ")]
        elif bare.startswith("#") and words:
            words.append(bare.removeprefix("#").strip())
        elif bare and not bare.startswith(("#", "-")):
            depth = (len(line) - len(bare)) // 2
            path = [*path[:depth], bare.partition(":")[0]]
            if words:
                yield Value(".".join(path), _at(defaults, path), " ".join(words))
            words = []


def undescribed(text: str) -> list[str]:
    """Return the keys that neither have a description nor stand in one that has."""
    described = {value.path for value in values(text)}

    def missing(node: object, path: str) -> Iterator[str]:
        if path in described:
            return
        if isinstance(node, dict) and node:
            for key, inner in node.items():
                yield from missing(inner, f"{path}.{key}" if path else key)
        else:
            yield path

    return list(missing(yaml.safe_load(text), ""))


def table(text: str) -> str:
    """Render the rows as Markdown."""
    rows = [f"| `{value.path}` | {_shown(value.default)} | {value.meaning} |" for value in values(text)]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows, ""])


def with_table(readme: str, text: str) -> str:
    """Return the README with the present table."""
    before, _, rest = readme.partition(BEGIN)
    return before + BEGIN + "\n" + table(text) + "\n" + END + rest.partition(END)[2]


def _at(node: Any, path: list[str]) -> Any:
    for key in path:
        node = node[key]
    return node


def _shown(default: Any) -> str:
    return "`" + json.dumps(default).replace("|", "\\|") + "`"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(), (CHART / "values.yaml").read_text()))
