"""The chart as helm renders it, for tests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "chart"
VALUES = Path(__file__).with_name("values")
HELM = Path(sys.executable).with_name("helm")
NAMESPACE = "autoscaling"

Json = dict[str, Any]


@dataclass(frozen=True)
class Rendering:
    """What helm printed, by kind."""

    objects: list[Json]

    def all(self, kind: str) -> list[Json]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Json:
        found = self.all(kind)
        assert len(found) == 1, f"{len(found)} objects of kind {kind}"
        return found[0]

    @property
    def pod(self) -> Json:
        spec: Json = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Json:
        found: Json = self.pod["containers"][0]
        return found

    @property
    def flags(self) -> list[str]:
        """The arguments after the command and what every rendering has."""
        assert self.container["args"][:3] == ["run", "--cloud-provider=aws", f"--namespace={NAMESPACE}"]
        return list(self.container["args"][3:])

    def rules(self, kind: str) -> set[tuple[str, str, str, str]]:
        """The rights of a role: (API group, resource, verb, name of the object or empty)."""
        return {
            (group, resource, verb, name)
            for rule in self.one(kind)["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            for name in rule.get("resourceNames", [""])
        }


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


def render(
    values: Json | None = None, *, file: Path | None = None, release: str = "prod", namespace: str = NAMESPACE
) -> Rendering:
    """Render with these values; with none at all, the least that is needed."""
    text = yaml.safe_dump(values if values is not None else {"autoDiscovery": {"clusterName": "prod"}})
    where = str(file) if file else "-"
    done = subprocess.run(
        [HELM, "template", release, CHART, "--namespace", namespace, "--values", where],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Rendering([each for each in yaml.safe_load_all(done.stdout) if each])


def refusal(values: Json) -> str:
    """Return why helm refuses these values."""
    done = subprocess.run(
        [HELM, "template", "prod", CHART, "--values", "-"],
        input=yaml.safe_dump(values),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, "these values were taken"
    return done.stderr
