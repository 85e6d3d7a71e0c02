"""Quantities against the API server's own reading, and against exact decimals."""

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.quantity import QuantityError, format_amount, parse_amount, parse_cpu, parse_quantity

SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip
LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0), ("1", 1), ("+1", 1), ("-1", -1), ("1.", 1), (".5", 1), ("0.1", 1), ("1.5Gi", 1610612736),
        ("1e3", 1000), ("1E3", 1000), ("1e-3", 1), ("12e6", 12_000_000), ("1E", 10**18), ("1k", 1000), ("1Ki", 1024),
        ("128974848", 128974848), ("129e6", 129_000_000), ("129M", 129_000_000), ("123Mi", 128974848),
        ("128974848000m", 128974848), ("1n", 1), ("-1n", 0), ("-1500m", -1), ("8E", 8 * 10**18), ("9E", 9 * 10**18),
        ("10E", LARGEST), ("8Ei", LARGEST), ("00012", 12), ("1e99", LARGEST),
    ],
)  # fmt: skip
def test_reads_what_the_api_server_reads(text: str, amount: int) -> None:
    assert parse_quantity(text) == amount


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("1", 1000), ("100m", 100), ("0.1", 100), ("1500m", 1500), ("1.5", 1500), ("100u", 1), ("1n", 1), ("2k", 2000000)],
)
def test_counts_cpu_in_millicores_rounding_up(text: str, millicores: int) -> None:
    assert parse_cpu(text) == millicores


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 ", " 1", "Gi", ".", "+", "1,5", "1KiB", "1K", "1mi", "1gi", "0x10", "1e", "1e1.5", "--1", "1..2",
     "1e3Ki",
     "1Mi2", "Inf", "NaN", "1_000", "١", "1\n"],
)  # fmt: skip
def test_refuses_what_the_api_server_refuses(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_quantity(text)


@settings(max_examples=300, derandomize=True)
@given(st.decimals(min_value=0, max_value=10**6, places=4), st.sampled_from(sorted(SUFFIXES)), st.booleans())
def test_rounds_up_the_exact_value(number: Decimal, suffix: str, milli: bool) -> None:
    exact = number * SUFFIXES[suffix] * (1000 if milli else 1)
    expected = min(int(exact.to_integral_value(ROUND_CEILING)), LARGEST)
    assert parse_quantity(f"{number}{suffix}", milli=milli) == expected


@settings(max_examples=100, derandomize=True)
@given(st.integers(-(2**62), 2**62), st.sampled_from(["cpu", "pods", "nvidia.com/gpu"]))
def test_reads_back_what_it_writes(amount: int, resource: str) -> None:
    assert parse_amount(resource, format_amount(resource, amount)) == amount


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("cpu", 1500, "1500m"), ("cpu", 2000, "2"), ("cpu", 0, "0"), ("memory", 2 * 2**30, "2Gi"),
        ("memory", 512 * 2**20, "512Mi"), ("memory", 0, "0"), ("memory", 7, "7"), ("memory", 15 * 2**30 + 1, "15.0Gi"),
        ("hugepages-2Mi", 4 * 2**20, "4Mi"), ("pods", 58, "58"), ("nvidia.com/gpu", 1024, "1024"),
    ],
)  # fmt: skip
def test_writes_amounts_as_people_do(resource: str, amount: int, text: str) -> None:
    assert format_amount(resource, amount) == text
