"""Launch templates by id or name and version, as DescribeLaunchTemplateVersions gives them.

Holds what was read; which versions to ask for, and when again, is `groups`.
A version that was not read is unknown, never guessed from another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LATEST, DEFAULT = "$Latest", "$Default"

Document = Mapping[str, Any]


class TemplateKey(NamedTuple):
    """A template, by id where it is given and else by name, and a version as a group names it."""

    id: str
    name: str
    version: str

    @classmethod
    def of(cls, specification: Document) -> TemplateKey | None:
        """Read a LaunchTemplateSpecification; None when it names no template."""
        ident, name = (str(specification.get(f"LaunchTemplate{what}") or "") for what in ("Id", "Name"))
        if not (ident or name):
            return None
        return cls(ident, "" if ident else name, str(specification.get("Version") or DEFAULT))


class LaunchTemplates:
    """The LaunchTemplateData that is known. Immutable."""

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[TemplateKey, Document] | None = None) -> None:
        self._data = dict(data or {})

    @classmethod
    def read(cls, versions: Iterable[Document]) -> LaunchTemplates:
        """Index documents by number, `$Default` where marked, and `$Latest` as the highest of each template.

        Raises KeyError, TypeError or ValueError when one is malformed.
        """
        data: dict[TemplateKey, Document] = {}
        highest: dict[TemplateKey, int] = {}
        for version in versions:
            number = int(version["VersionNumber"])
            content = version.get("LaunchTemplateData") or {}
            if not isinstance(content, Mapping):
                raise TypeError("LaunchTemplateData is no object")
            for key in _keys(version):
                data[key._replace(version=str(number))] = content
                if version.get("DefaultVersion"):
                    data[key._replace(version=DEFAULT)] = content
                if number >= highest.get(key, 0):
                    highest[key] = number
                    data[key] = content
        return cls(data)

    def with_version(self, key: TemplateKey, data: Document) -> LaunchTemplates:
        return LaunchTemplates({**self._data, key: data})

    def find(self, specification: Document | None) -> Document | None:
        """Return the LaunchTemplateData that a group refers to; None when it is not known."""
        specification = specification or {}
        by_id = TemplateKey.of(specification)
        by_name = TemplateKey.of({**specification, "LaunchTemplateId": None})
        found = (self._data.get(key) for key in (by_id, by_name) if key is not None)
        return next((data for data in found if data is not None), None)


def _keys(version: Document) -> list[TemplateKey]:
    """Return the `$Latest` keys of a template, by id and by name."""
    ident, name = version.get("LaunchTemplateId"), version.get("LaunchTemplateName")
    if not (ident or name):
        raise KeyError("LaunchTemplateId")
    by_id = [TemplateKey(str(ident), "", LATEST)] if ident else []
    return by_id + ([TemplateKey("", str(name), LATEST)] if name else [])
