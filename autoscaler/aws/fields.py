"""Reading one field of a document whose shape is not sure.

Every reader returns what it promises or raises FieldError, which names the
field and what is wrong with it; null counts as absent, as JSON printers differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
_NOTHING: Document = {}


class FieldError(ValueError):
    """A field is missing or of the wrong kind; the message is the fault, for people."""


def text(document: Document, key: str) -> str:
    """Return a string that is not empty."""
    value = document.get(key)
    if value is None or value == "":
        raise FieldError(f"{key} is missing")
    if not isinstance(value, str):
        raise FieldError(f"{key}: expected text, found {value!r}")
    return value


def optional_text(document: Document, key: str) -> str:
    """Return a string, empty when absent."""
    return text(document, key) if document.get(key) not in (None, "") else ""


def whole(document: Document, key: str, default: int | None = None) -> int:
    """Return an integer that is not negative, also from digits in a string."""
    value = document.get(key)
    if value is None and default is not None:
        return default
    if value is None:
        raise FieldError(f"{key} is missing")
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FieldError(f"{key}: expected a whole number, found {value!r}")
    return value


def number(document: Document, key: str) -> float | None:
    """Return a number; None when absent."""
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise FieldError(f"{key}: expected a number, found {value!r}")
    return float(value)


def switch(document: Document, key: str) -> bool:
    """Return a boolean, false when absent."""
    value = document.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise FieldError(f"{key}: expected true or false, found {value!r}")
    return value


def table(document: Document, key: str) -> Document:
    """Return an object, empty when absent."""
    value = document.get(key)
    if value is None:
        return _NOTHING
    if not isinstance(value, Mapping):
        raise FieldError(f"{key}: expected an object, found {value!r}")
    return value


def rows(document: Document, key: str) -> Sequence[Document]:
    """Return a list of objects, empty when absent."""
    values = _listed(document, key)
    for value in values:
        if not isinstance(value, Mapping):
            raise FieldError(f"{key}: expected objects, found {value!r}")
    return values


def texts(document: Document, key: str) -> Sequence[str]:
    """Return a list of strings, empty when absent."""
    values = _listed(document, key)
    for value in values:
        if not isinstance(value, str) or not value:
            raise FieldError(f"{key}: expected texts, found {value!r}")
    return values


def _listed(document: Document, key: str) -> Sequence[Any]:
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise FieldError(f"{key}: expected a list, found {value!r}")
    return value
