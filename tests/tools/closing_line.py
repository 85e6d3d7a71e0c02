"""Prints `N passed, N failed, N skipped` from the JUnit reports given as arguments, two for each run.

The first is of the run, the second of what failed in it, or of all, run once
more: its failures count instead. Errors count as failed. Without a readable
report of a run no test of it is known to have run, which is said as one
failure.
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


def outcome(first: Path, again: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of one run."""
    found = counts(first)
    if found is None:
        return 0, 1, 0
    total, failed, skipped = found
    second = counts(again) if failed else None
    if second is not None and second[0]:
        failed = second[1]
    return total - failed - skipped, failed, skipped


def closing_line(*reports: Path) -> str:
    """The sums over all runs."""
    runs = [outcome(*pair) for pair in zip(reports[::2], reports[1::2], strict=True)]
    passed, failed, skipped = (sum(column) for column in zip(*runs, strict=True))
    return f"{passed} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    print(closing_line(*map(Path, sys.argv[1:])))
