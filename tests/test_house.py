"""The sizes and words that STYLE sets, measured on the tree itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("autoscaler", "bench", "tests") for path in (ROOT / folder).rglob("*.py"))
FUNCTION_LINES = 50
FILE_LINES = 400
BANNED_NAMES = {"utils", "helpers", "manager", "context"}
UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + "X|HA" + r"CK|NotImplemented" + r"Error)\b")


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_keeps_the_house_rules(path: Path) -> None:
    source = path.read_text()
    lines = source.count("\n")
    faults = [f"{lines} lines; at most {FILE_LINES}"] if lines > FILE_LINES else []
    for function in functions(source):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES:
            faults.append(f"{function.name}: {length} lines; at most {FUNCTION_LINES}")
    if path.stem in BANNED_NAMES:
        faults.append(f"{path.stem} says nothing about what lives here")
    faults += [f"unfinished: {found[0]}" for found in UNFINISHED.finditer(source)]
    assert not faults
