"""Prints `N passed, N failed, N skipped` from the JUnit report given as argument.

Errors count as failed. Without a readable report no test is known to have
run, which is said as one failure.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def closing_line(report: Path) -> str:
    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")
    except (OSError, ElementTree.ParseError):
        return "0 passed, 1 failed, 0 skipped"
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    print(closing_line(Path(sys.argv[1])))
