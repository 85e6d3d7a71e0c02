"""Prints `N passed, N failed, N skipped` from the JUnit reports given as arguments.

The first is of all tests, a second one of those that failed in it, run once
more: its failures count instead. Errors count as failed. Without a readable
report no test is known to have run, which is said as one failure.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def counts(report: Path) -> tuple[int, int, int] | None:
    """Tests, failures and skips of one report; None when there is none."""
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return None
    total = sum(int(suite.get("tests", 0)) for suite in suites)
    failed = sum(int(suite.get(key, 0)) for suite in suites for key in ("failures", "errors"))
    return total, failed, sum(int(suite.get("skipped", 0)) for suite in suites)


def closing_line(first: Path, again: Path | None = None) -> str:
    found = counts(first)
    if found is None:
        return "0 passed, 1 failed, 0 skipped"
    total, failed, skipped = found
    second = counts(again) if again is not None and failed else None
    if second is not None and second[0]:
        failed = second[1]
    return f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    print(closing_line(*map(Path, sys.argv[1:3])))
