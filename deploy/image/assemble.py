"""Makes the virtual environment that the image runs: `python assemble.py FOLDER`.

From requirements.lock and nothing else: what the controller needs at run time,
by hash, as wheels, without pip; the project itself as a wheel; bytecode that
depends on no file's time. Needs Python and its pip alone, so that the same
steps run in the Dockerfile and, as a test, in a plain directory.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).resolve().parents[2]
BUILDER = "hatchling"
# Models of AWS services that the SDK may load: ours, and those that credentials come from. There are 400 more.
KEPT_SERVICES = frozenset({"autoscaling", "ec2", "eks", "sqs", "pricing", "sts", "sso", "sso-oidc", "signin"})
# Typed models and calls of the Kubernetes API, loaded only when named: 120 MB with bytecode. We read raw answers.
UNUSED_MODULES = (
    "kubernetes/client/api",
    "kubernetes/client/models",
    "kubernetes/aio/client/api",
    "kubernetes/aio/client/models",
)

_ENTRY = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==\S+.*(?:\n[ \t]+.*)*", re.MULTILINE)
_ASKED_BY = re.compile(r"^ +# +(?:via +)?(?!via$)([a-z0-9._-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Locked:
    """What the lock says of one package: its lines, for each platform that differs, and who asks for it."""

    text: str
    asked_by: frozenset[str]


def read_lock(text: str) -> dict[str, Locked]:
    """Read a lock as `uv pip compile` writes it, with its comments on who asks for what."""
    found: dict[str, Locked] = {}
    for entry in _ENTRY.finditer(text):
        before = found.get(entry["name"], Locked("", frozenset()))
        asked_by = before.asked_by.union(_ASKED_BY.findall(entry[0]))
        found[entry["name"]] = Locked(f"{before.text}{entry[0]}\n", asked_by)
    return found


def closure(lock: Mapping[str, Locked], wanted: Iterable[str]) -> set[str]:
    """Return these packages and all that they ask for."""
    found = set(wanted)
    missing = found - lock.keys()
    if missing:
        raise SystemExit(f"requirements.lock has no entry for {', '.join(sorted(missing))}; lock again")
    while more := {name for name, entry in lock.items() if entry.asked_by & found} - found:
        found |= more
    return found


def names(requirements: Iterable[str]) -> set[str]:
    """Return the packages of requirements such as `moto[server]>=5`, spelt as the lock does."""
    found = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", each[0]).lower() for each in found if each is not None}


class Assembly:
    """One environment in the making."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch
        self._lock = read_lock((ROOT / "requirements.lock").read_text())
        self._project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def make(self) -> None:
        """Do all steps."""
        venv.create(self._folder, clear=True, symlinks=True)
        python = str(self._folder / "bin" / "python")
        self._install(closure(self._lock, names(self._project["dependencies"])), "--python", python)
        self._pip("--python", python, "install", "--no-deps", "--no-compile", str(self._wheel()))
        site = next(self._folder.glob("lib/python*/site-packages"))
        self._trim(site)
        compileall.compile_dir(
            site,
            quiet=1,
            workers=0,
            stripdir=str(self._folder.parent),
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )

    def _wheel(self) -> Path:
        """Build the project with the locked builder, which stays out of the environment."""
        builder, wheels = self._scratch / "builder", self._scratch / "wheels"
        self._install(closure(self._lock, {BUILDER}), into=("--target", str(builder)))
        self._pip(
            *("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT)),
            environment={"PYTHONPATH": str(builder)},
        )
        return next(wheels.glob("*.whl"))

    def _install(self, packages: Iterable[str], *options: str, into: tuple[str, ...] = ()) -> None:
        """Install exactly these entries of the lock, as wheels with the hashes that stand there."""
        wanted = self._scratch / "wanted.txt"
        wanted.write_text("".join(self._lock[name].text for name in sorted(packages)))
        exact = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile", "-r", str(wanted))
        self._pip(*options, "install", *exact, *into)

    def _pip(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *arguments]
        settings = {**os.environ, **(environment or {})}
        subprocess.run(command, check=True, env=settings)  # noqa: S603 - our own interpreter and its pip

    def _trim(self, site: Path) -> None:
        """Leave out what the controller never loads."""
        for service in (site / "botocore" / "data").iterdir():
            if service.is_dir() and service.name not in KEPT_SERVICES:
                shutil.rmtree(service)
        for package in UNUSED_MODULES:
            for module in (site / package).glob("*.py"):
                if module.name != "__init__.py":
                    module.unlink()


def main(folder: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        Assembly(Path(folder).absolute(), Path(scratch)).make()


if __name__ == "__main__":
    main(*sys.argv[1:])
