"""Where texts come from: the command line, the environment, a file.

Each source is read on its own into Given values, faults beside them; nothing
is checked here but the shape. The command line is read as Go's pflag does:
`--x v`, `--x=v`, `-x v`, underscores for hyphens, a switch takes a value only
by `=`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from autoscaler.config.declare import ENVIRONMENT_PREFIX, Flag, environment_name
from autoscaler.config.ignored_flags import IGNORED, RENAMED


@dataclass(frozen=True, slots=True)
class Given:
    """All texts that one source holds for one flag, and how to name that place."""

    place: str
    texts: tuple[str, ...]


@dataclass(slots=True)
class Source:
    """What one source gives, by the flag's present name; `old` are the names as given that had another."""

    given: dict[str, Given] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wants_help: bool = False

    def add(self, name: str, place: str, texts: Iterable[str]) -> None:
        if name in IGNORED:
            self.ignored.append(name)
            return
        if name in RENAMED:
            self.renamed.append(name)
            name = RENAMED[name]
        before = self.given[name].texts if name in self.given else ()
        self.given[name] = Given(place, (*before, *texts))


def unknown(name: str, flags: Mapping[str, Flag]) -> str:
    near = get_close_matches(name, [*flags, *RENAMED, *IGNORED], n=1, cutoff=0.7)
    return f"there is no such flag; did you mean --{near[0]}?" if near else "there is no such flag; see --help"


def read_arguments(arguments: Sequence[str], flags: Mapping[str, Flag]) -> Source:
    """Read the command line. A word that belongs to no flag is a fault, except after `--cluster FILE`."""
    source = Source()
    words = list(arguments)
    previous: Flag | None = None
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            if previous is not None and previous.field == "cluster":
                source.add(previous.name, f"flag --{previous.name}", [word])
            else:
                source.faults.append(_stray(word, previous))
            continue
        name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
        name = name.replace("_", "-")
        if name in ("h", "help"):
            source.wants_help = True
            continue
        current = RENAMED.get(name, name)
        previous = flags.get(current)
        if previous is None and current not in IGNORED:
            source.faults.append(f"flag {word.partition('=')[0]}: {unknown(name, flags)}")
            _drop_value(words, equals)
        elif equals:
            source.add(name, f"flag --{name}", [text])
        elif previous.is_switch if previous is not None else IGNORED[current]:
            source.add(name, f"flag --{name}", ["true"])
        elif not words or _names_flag(words[0], flags):
            source.faults.append(f"flag --{name}: needs a value")
        else:
            source.add(name, f"flag --{name}", [words.pop(0)])
    return source


def _stray(word: str, previous: Flag | None) -> str:
    if previous is not None and previous.is_switch:
        return f"argument {word!r}: belongs to no flag; a switch is set by --{previous.name}={word}"
    return f"argument {word!r}: belongs to no flag"


def _drop_value(words: list[str], equals: str) -> None:
    """An unknown flag's value would only be a second fault."""
    if words and not equals and not words[0].startswith("-"):
        words.pop(0)


def _names_flag(word: str, flags: Mapping[str, Flag]) -> bool:
    name = word.removeprefix("--").partition("=")[0].replace("_", "-")
    return word.startswith("--") and (name in flags or name in IGNORED or name in RENAMED)


def read_environment(environment: Mapping[str, str], flags: Mapping[str, Flag]) -> Source:
    """Read the variables named after flags; an empty one counts as not set, others are not ours.

    A repeatable flag takes one value a line, as values may hold commas.
    """
    source = Source()
    for name in [*flags, *RENAMED, *IGNORED]:
        variable = environment_name(name)
        text = environment.get(variable, "")
        if text.strip():
            row = flags.get(RENAMED.get(name, name))
            texts = text.split("\n") if row is not None and row.is_repeatable else [text]
            source.add(name, f"environment {variable}", [line.strip() for line in texts if line.strip()])
    return source


def strangers(environment: Mapping[str, str], flags: Mapping[str, Flag]) -> list[str]:
    """Variables with our prefix that name no flag.

    Kubernetes sets AUTOSCALER_PORT and the like by itself for a Service called
    `autoscaler`; those are left out.
    """
    known = {environment_name(name) for name in [*flags, *RENAMED, *IGNORED]}
    ours = {name for name in environment if name.startswith(ENVIRONMENT_PREFIX)} - known
    return sorted(name for name in ours if "_SERVICE_" not in name and "_PORT" not in name)


def read_file(path: Path, flags: Mapping[str, Flag]) -> Source:
    """Read a YAML mapping of flag names to a value, or to a list for a repeatable flag.

    Every scalar is taken as text, so that `0:320` is no base-60 number and the
    rules are those of the command line. An empty value counts as not set.
    """
    import yaml

    source = Source()
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (OSError, ValueError) as error:
        source.faults.append(f"file {path}: cannot be read: {getattr(error, 'strerror', None) or error}")
    except yaml.YAMLError as error:
        source.faults.append(f"file {path}: is not YAML: {' '.join(str(error).split())}")
    else:
        if isinstance(content, dict):
            for key, value in content.items():
                _add_entry(source, path, (str(key), value), flags)
        elif content:
            source.faults.append(f"file {path}: expected a mapping of flag names to values")
    return source


def _add_entry(source: Source, path: Path, entry: tuple[str, Any], flags: Mapping[str, Flag]) -> None:
    key, value = entry
    name = key.replace("_", "-")
    place = f"file {path}, key {key}"
    row = flags.get(RENAMED.get(name, name))
    if name == "config":
        source.faults.append(f"{place}: a file cannot name another one")
    elif row is None and name not in IGNORED:
        source.faults.append(f"{place}: {unknown(name, flags)}")
    elif value == "":
        return
    elif isinstance(value, str):
        source.add(name, place, [value])
    elif row is not None and not row.is_repeatable:
        source.faults.append(f"{place}: expected one value")
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        source.add(name, place, value)
    elif row is not None:
        source.faults.append(f"{place}: expected a value or a list of values")
    else:
        source.add(name, place, [])


def merged(sources: Iterable[Source]) -> dict[str, Given]:
    """Join sources, the strongest first: each flag wholly from the first that has it."""
    found: dict[str, Given] = {}
    for source in sources:
        found = source.given | found
    return found


def remarks(sources: Sequence[Source], strange: Sequence[str]) -> Iterator[str]:
    """Say what had no effect, in one line, and which names are out of date."""
    ignored = sorted({name for source in sources for name in source.ignored})
    if ignored or strange:
        yield "without effect here: " + ", ".join([*(f"--{name}" for name in ignored), *strange])
    for name in sorted({name for source in sources for name in source.renamed}):
        yield f"--{name} is now --{RENAMED[name]}"
