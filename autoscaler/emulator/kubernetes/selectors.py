"""Label and field selectors: text or JSON to a question about one object.

Anything the API server would refuse raises ApiError 400. Source:
kubernetes.io/docs/concepts/overview/working-with-objects/labels
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .objects import Json, labels, rows, section
from .resources import Kind
from .status import bad_request

Matcher = Callable[[Json], bool]
LabelMatcher = Callable[[dict[str, str]], bool]

_REQUIREMENT = re.compile(
    r"""\s*(?:
      (?P<absent>!)\s*(?P<gone>[\w./-]+)
    | (?P<key>[\w./-]+)\s+(?P<set>in|notin)\s*\((?P<values>[^)]*)\)
    | (?P<name>[\w./-]+)\s*(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)
    | (?P<present>[\w./-]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)


def everything(_: Json) -> bool:
    return True


def parse_labels(selector: str) -> LabelMatcher | None:
    """The question a label selector asks of labels; None when it asks nothing."""
    tests: list[LabelMatcher] = []
    at = 0
    while at < len(selector.rstrip()):
        match = _REQUIREMENT.match(selector, at)
        if match is None:
            raise bad_request(f"unable to parse requirement: {selector[at:]!r}")
        tests.append(_requirement(match))
        at = match.end()
    return (lambda found: all(test(found) for test in tests)) if tests else None


def _requirement(match: re.Match[str]) -> LabelMatcher:
    if match["gone"]:
        return expression(match["gone"], "DoesNotExist", ())
    if match["present"]:
        return expression(match["present"], "Exists", ())
    if match["set"]:
        values = tuple(value.strip() for value in match["values"].split(","))
        return expression(match["key"], "In" if match["set"] == "in" else "NotIn", values)
    return expression(match["name"], "NotIn" if match["op"] == "!=" else "In", (match["value"],))


def expression(key: str, operator: str, values: tuple[str, ...]) -> LabelMatcher:
    """One requirement on labels; also those of node affinity (Gt, Lt). Unknown operators match nothing."""
    if operator == "In":
        return lambda found: found.get(key) in values
    if operator == "NotIn":
        return lambda found: key not in found or found[key] not in values
    if operator == "Exists":
        return lambda found: key in found
    if operator == "DoesNotExist":
        return lambda found: key not in found
    if operator in ("Gt", "Lt") and len(values) == 1:
        return lambda found: _compares(found.get(key), operator, values[0])
    return lambda _: False


def _compares(actual: str | None, operator: str, bound: str) -> bool:
    try:
        gap = int(actual or "") - int(bound)
    except ValueError:
        return False
    return gap > 0 if operator == "Gt" else gap < 0


def label_selector(selector: object) -> LabelMatcher:
    """The JSON form (matchLabels, matchExpressions). Absent matches nothing, empty matches everything."""
    if not isinstance(selector, dict):
        return lambda _: False
    tests = [expression(key, "In", (str(value),)) for key, value in section(selector, "matchLabels").items()]
    tests += [
        expression(str(row.get("key")), str(row.get("operator")), tuple(row.get("values") or ()))
        for row in rows(selector, "matchExpressions")
    ]
    return lambda found: all(test(found) for test in tests)


def parse_fields(kind: Kind, selector: str) -> Matcher | None:
    """The question a field selector asks; None when it asks nothing."""
    tests: list[Matcher] = []
    for part in filter(None, (part.strip() for part in selector.split(","))):
        match = re.fullmatch(r"([\w.]+?)(==|=|!=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: {selector!r}; can't understand {part!r}")
        tests.append(_field(kind, match[1], match[2], match[3]))
    return (lambda value: all(test(value) for test in tests)) if tests else None


def _field(kind: Kind, path: str, operator: str, wanted: str) -> Matcher:
    if path not in ("metadata.name", "metadata.namespace", *kind.fields):
        raise bad_request(f"field label not supported: {path}")
    steps = ("source", "component") if path == "source" else tuple(path.split("."))
    missing = "false" if path == "spec.unschedulable" else ""

    def actual(value: Json) -> str:
        found = section(value, *steps[:-1]).get(steps[-1])
        return missing if found is None else str(found).lower() if isinstance(found, bool) else str(found)

    return (lambda value: actual(value) != wanted) if operator == "!=" else (lambda value: actual(value) == wanted)


def parse(kind: Kind, label_text: str, field_text: str) -> Matcher:
    """Both selectors of a list or watch as one question."""
    by_label, by_field = parse_labels(label_text), parse_fields(kind, field_text)
    if by_label is None:
        return by_field or everything
    if by_field is None:
        return lambda value: by_label(labels(value))
    return lambda value: by_label(labels(value)) and by_field(value)
