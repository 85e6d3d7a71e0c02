"""YAML as people write it: read safely, and its faults told in one line that says where."""

from __future__ import annotations

from typing import Any

import yaml


class YamlFault(Exception):
    """A text that is no YAML; the message names the line."""


def load_documents(text: str | bytes, loader: Any = yaml.SafeLoader) -> list[Any]:
    """Read all documents of a text, also empty ones (None). Raises YamlFault."""
    try:
        return list(yaml.load_all(text, loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise YamlFault(f"{where}{getattr(error, 'problem', None) or one_line(error)}") from None
    except (RecursionError, ValueError) as error:
        raise YamlFault(one_line(error) or "nested too deeply") from None


def load_document(text: str | bytes) -> Any:
    """Read the only document of a text; None when there is none. Raises YamlFault."""
    documents = load_documents(text)
    if len(documents) > 1:
        raise YamlFault(f"expected one document, got {len(documents)}")
    return documents[0] if documents else None


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
