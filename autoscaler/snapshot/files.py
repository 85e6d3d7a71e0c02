"""Files of one folder that appear all together, or not at all.

Each is written beside its place, readable by its owner alone, and renamed when
everything was read. A failure takes away what was begun. What a file holds is
the business of `cluster` and `account`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from autoscaler.errors import AutoscalerError


class SnapshotError(AutoscalerError):
    """A snapshot that could not be written; the text says why."""


class Folder:
    """The folder of a snapshot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun: dict[Path, Path] = {}  # by place, where it is written meanwhile

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Write the file of this name, `/` standing for a folder below. Raises SnapshotError."""
        place = self.path / name
        with _told(place):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
                self._begun[place] = Path(file.name)
                yield file

    def publish(self) -> list[Path]:
        """Put every file in its place, and return the places. Raises SnapshotError."""
        places = list(self._begun)
        for place in places:
            with _told(place):
                self._begun[place].replace(place)
            del self._begun[place]
        return places

    def discard(self) -> None:
        """Take away what was begun and not published."""
        for path in self._begun.values():
            path.unlink(missing_ok=True)


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SnapshotError(f"{place}: {error.strerror or error}") from None


@contextmanager
def folder(path: Path) -> Iterator[Folder]:
    """Yield a folder of which nothing is left over that was not published."""
    made = Folder(path)
    try:
        yield made
    finally:
        made.discard()
