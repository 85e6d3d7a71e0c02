"""What a flag is, and the table of all of them.

A flag is declared once, as a field of a dataclass: its name, type, default and
help stand there, and the first line of the class is its group in the help. The
table, the help, the environment's names and the file's keys follow from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args, get_origin

from autoscaler.config.values import Reads, Switch

T = TypeVar("T")
ENVIRONMENT_PREFIX = "AUTOSCALER_"


def flag(default: T, meaning: str, *, name: str = "") -> T:
    """Declare a field as a flag. Without `name` it is the field's, with hyphens."""
    return field(default_factory=lambda: default, metadata={"help": meaning, "name": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One row of the table."""

    name: str  # without dashes in front
    field: str
    kind: Any  # the annotated type
    default: object
    help: str
    group: str

    @property
    def is_switch(self) -> bool:
        return bool(self.kind == Switch)

    @property
    def is_repeatable(self) -> bool:
        return any(isinstance(mark, Reads) and mark.repeatable for mark in get_args(self.kind))

    @property
    def placeholder(self) -> str:
        """What stands for the value in the help; nothing for a switch."""
        if get_origin(self.kind) is Literal:
            return "|".join(get_args(self.kind))
        base, *marks = get_args(self.kind) or (self.kind,)
        named = [mark.placeholder for mark in marks if isinstance(mark, Reads)]
        return named[0] if named else {int: "N", float: "X"}.get(base, "TEXT")


def table(*declarations: type) -> dict[str, Flag]:
    """Collect the flags of these dataclasses by name, in the order of declaration."""
    return {row.name: row for declaration in declarations for row in _rows(declaration)}


def _rows(declaration: Any) -> Iterator[Flag]:
    group_of = {
        name: (base.__doc__ or "").partition("\n")[0].rstrip(".")
        for base in reversed(declaration.__mro__)
        for name in vars(base).get("__annotations__", ())
    }
    for item in fields(declaration):
        if "help" in item.metadata and callable(item.default_factory):
            yield Flag(
                name=item.metadata["name"] or item.name.replace("_", "-"),
                field=item.name,
                kind=item.type,
                default=item.default_factory(),
                help=item.metadata["help"],
                group=group_of[item.name],
            )


def environment_name(flag_name: str) -> str:
    return ENVIRONMENT_PREFIX + flag_name.upper().replace("-", "_")
