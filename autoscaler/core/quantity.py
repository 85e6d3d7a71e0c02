"""Kubernetes quantities, "1500m" and "2Gi", read and written as integers.

Cpu is counted in millicores, every other resource in base units; both round
up, as the API server does. What is no quantity is refused, never guessed.
Source: kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
}  # fmt: skip
_SHAPE = re.compile(
    r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?"
)
_LARGEST = 2**63 - 1  # the API server caps what is larger
_BYTES = ("memory", "ephemeral-storage", "storage", "hugepages-")


class QuantityError(ValueError):
    """The text is no quantity."""


@lru_cache(maxsize=4096)
def parse_quantity(text: str, *, milli: bool = False) -> int:
    """Read a quantity in base units, or in thousandths with `milli`, rounding up.

    Raises QuantityError for whatever the API server would refuse.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise QuantityError(f"{text!r} is no quantity")
    sign, digits, exponent, suffix = match.groups()
    value = Decimal(digits)
    if exponent:
        value = value.scaleb(int(exponent[1:]))
    elif suffix in _BINARY:
        value *= _BINARY[suffix]
    else:
        value *= _DECIMAL[suffix or ""]
    if milli:
        value *= 1000
    if sign == "-":
        value = -value
    if value >= _LARGEST:
        return _LARGEST
    whole = int(value)
    return whole + 1 if value > whole else whole


def parse_cpu(text: str) -> int:
    """Read a CPU quantity as millicores. Raises QuantityError."""
    return parse_quantity(text, milli=True)


def parse_amount(resource: str, text: str) -> int:
    """Read an amount of `resource` in the unit that the product counts it in. Raises QuantityError."""
    return parse_quantity(text, milli=resource == "cpu")


def format_amount(resource: str, amount: int) -> str:
    """Write an amount as people do: `1500m` or `2` cpu, `2Gi` memory, `3` pods."""
    if resource == "cpu":
        return f"{amount}m" if amount % 1000 else str(amount // 1000)
    if resource.startswith(_BYTES):
        for suffix, size in reversed(_BINARY.items()):
            if amount and amount % size == 0:
                return f"{amount // size}{suffix}"
            if abs(amount) >= 10 * size:
                return f"{amount / size:.1f}{suffix}"
    return str(amount)
