"""Requirements, terms and tolerations as kube-scheduler 1.36 judges them, one by one."""

from __future__ import annotations

import pytest

from autoscaler.core.podspec import Effect, NodeTerm, Requirement, Taint, Toleration
from autoscaler.core.scheduling.fit import matches, matches_term, tolerates


@pytest.mark.parametrize(
    ("operator", "label", "value", "expected"),
    [
        ("Gt", "5", "4", True),
        ("Gt", "5", "5", False),
        ("Lt", "-7", "-6", True),
        ("Gt", "+5", "4", True),
        ("Gt", "007", "6", True),
        ("Gt", "1_000", "4", False),  # int() would read it
        ("Gt", "5", " 4", False),
        ("Gt", "٥", "4", False),
        ("Gt", "", "4", False),
        ("Gt", "5", "many", False),
        ("Lt", "9223372036854775807", "9223372036854775807", False),
        ("Gt", "9223372036854775807", "-9223372036854775808", True),
        ("Gt", "9223372036854775808", "1", False),  # no int64
        ("Lt", "1", "9" * 5000, False),
    ],
)
def test_numbers_are_those_of_go(operator: str, label: str, value: str, expected: bool) -> None:
    assert matches(Requirement("cores", operator, (value,)), {"cores": label}) is expected


def test_a_comparison_needs_the_label() -> None:
    assert not matches(Requirement("cores", "Lt", ("9",)), {})
    assert not matches(Requirement("cores", "Gt", ("1", "2")), {"cores": "3"})


def test_an_empty_term_matches_nothing_and_fields_need_a_name() -> None:
    assert not matches_term(NodeTerm(), {}, "n1")
    here = NodeTerm((), (Requirement("metadata.name", "In", ("n1",)),))
    elsewhere = NodeTerm((), (Requirement("metadata.name", "NotIn", ("n1",)),))
    assert matches_term(here, {}, "n1")
    assert not matches_term(here, {}, None)
    assert matches_term(elsewhere, {}, None)
    assert not matches_term(elsewhere, {}, "n1")


@pytest.mark.parametrize(
    ("toleration", "taint", "expected"),
    [
        (Toleration("a", "Equal", "1"), "1", True),
        (Toleration("a", "Equal", "1"), "2", False),
        (Toleration("b", "Exists"), "1", False),
        (Toleration("", "Exists"), "1", True),
        (Toleration("a", "Exists", "", "NoExecute"), "1", False),
        (Toleration("", "Equal", "1"), "1", True),  # the API server takes none such, the scheduler would
        (Toleration("a", "Gt", "3"), "4", True),
        (Toleration("a", "Gt", "4"), "4", False),
        (Toleration("a", "Lt", "5"), "-4", True),
        (Toleration("a", "Gt", "3"), "+4", False),
        (Toleration("a", "Gt", "03"), "4", False),
        (Toleration("a", "Gt", "3"), "many", False),
        (Toleration("a", "Near", "3"), "3", False),
    ],
)
def test_tolerations(toleration: Toleration, taint: str, expected: bool) -> None:
    assert tolerates(toleration, Taint("a", taint, Effect.NO_SCHEDULE)) is expected
