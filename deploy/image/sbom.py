"""Prints what the image's environment is made of, as CycloneDX: `python sbom.py > sbom.json`.

From requirements.lock alone, so that equal locks give equal documents: no
time, no serial number. The base image is not part of it.
Source: cyclonedx.org/docs/1.6/json
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from assemble import ROOT, Locked, closure, names, read_lock

_PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;]+) *(?P<marker>;?)", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """One version of one package; `is_conditional` when only some platforms take it."""

    name: str
    version: str
    is_conditional: bool = False

    @property
    def reference(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"

    def component(self, kind: str) -> dict[str, Any]:
        known_as = {"name": self.name, "version": self.version, "bom-ref": self.reference, "purl": self.reference}
        return {"type": kind, **known_as, "scope": "optional" if self.is_conditional else "required"}


def document() -> dict[str, Any]:
    """Make the whole document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = read_lock((ROOT / "requirements.lock").read_text())
    direct = names(project["dependencies"])
    pins = {name: pins_of(lock[name]) for name in sorted(closure(lock, direct))}
    whole = Pin(project["name"], project["version"])
    asks = {whole.reference: direct}
    for name, versions in pins.items():
        for pin in versions:
            asks[pin.reference] = {other for other in pins if name in lock[other].asked_by}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {**whole.component("application"), "licenses": [{"license": {"id": project["license"]}}]}
        },
        "components": [pin.component("library") for versions in pins.values() for pin in versions],
        "dependencies": [
            {"ref": one, "dependsOn": [pin.reference for other in sorted(others) for pin in pins[other]]}
            for one, others in asks.items()
        ],
    }


def pins_of(entry: Locked) -> list[Pin]:
    """Read the versions of one package, as many as platforms differ in."""
    return [Pin(pin["name"], pin["version"], bool(pin["marker"])) for pin in _PIN.finditer(entry.text)]


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    sys.stdout.write("\n")
