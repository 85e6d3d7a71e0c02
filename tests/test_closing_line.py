"""The last line of `.ci/run`, from the reports of its runs."""

from pathlib import Path

from tests.tools.closing_line import closing_line


def report(folder: Path, name: str, tests: int, failures: int = 0, errors: int = 0, skipped: int = 0) -> Path:
    path = folder / name
    suite = f'<testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/>'
    path.write_text(f"<testsuites>{suite}</testsuites>")
    return path


def test_the_runs_are_added_up(tmp_path: Path) -> None:
    first, second = report(tmp_path, "all", 100, skipped=3), report(tmp_path, "e2e", 27)
    none = tmp_path / "none"
    assert closing_line(first, none, second, none) == "124 passed, 0 failed, 3 skipped"


def test_what_failed_counts_as_it_ended_the_second_time(tmp_path: Path) -> None:
    first, again = report(tmp_path, "all", 100, failures=2, errors=1), report(tmp_path, "again", 3, failures=1)
    e2e, whole = report(tmp_path, "e2e", 27, failures=2), report(tmp_path, "whole", 27)
    assert closing_line(first, again, e2e, whole) == "126 passed, 1 failed, 0 skipped"


def test_a_run_without_a_report_is_one_failure(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert closing_line(report(tmp_path, "all", 100), none, none, none) == "100 passed, 1 failed, 0 skipped"
