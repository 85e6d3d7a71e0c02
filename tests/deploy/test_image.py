"""The image's environment, assembled in a plain directory by the steps of the Dockerfile.

No container engine takes part. What an image adds, the base and the stage
that empties it, is not tried here.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement

from tests.deploy.chart import ROOT
from tests.e2e.stage import DISCOVERY, Stage, wait_for

ASSEMBLE = ROOT / "deploy" / "image" / "assemble.py"
OUR_SIZE = 80_000_000  # bytes, with bytecode; 58 MB when this was written


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("assemble", ASSEMBLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


assemble = load()


def installed_closure(roots: set[str]) -> set[str]:
    """What these packages need here, as their own metadata tells: a second opinion on the lock's comments."""
    found: set[str] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        wanted = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        (name,) = assemble.names([wanted.name])
        if name not in found:
            found.add(name)
            waiting += [Requirement(text) for text in metadata.requires(name) or ()]
    return found


def runtime_roots() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])


def test_the_lock_tells_what_is_needed_at_run_time() -> None:
    lock = assemble.read_lock((ROOT / "requirements.lock").read_text())
    assert len(lock) > 100
    locked = assemble.closure(lock, assemble.names(runtime_roots()))
    needed = installed_closure(runtime_roots())
    assert needed <= locked
    foreign = {name for name in locked - needed if "marker" not in name and ";" not in lock[name].text.split("\\")[0]}
    assert not foreign, "asked for on no platform"
    assert not locked & {"moto", "boto3", "rich", "pytest", "ruff", "mypy", "uv", "hatchling"}


def test_a_package_with_an_entry_for_each_platform_keeps_them_all() -> None:
    lock = assemble.read_lock(
        "one==1 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n    # via project\n"
        "one==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:bb\n    # via\n    #   project\n    #   two\n"
        "two==3 \\\n    --hash=sha256:cc\n    # via project\n"
    )
    assert lock["one"].asked_by == {"project", "two"}
    assert [line for line in lock["one"].text.splitlines() if "hash" in line] == [
        "    --hash=sha256:aa",
        "    --hash=sha256:bb",
    ]
    assert assemble.closure(lock, {"two"}) == {"one", "two"}


def test_the_bill_of_materials_tells_what_is_installed() -> None:
    printed = [
        subprocess.run(
            [sys.executable, ASSEMBLE.with_name("sbom.py")], capture_output=True, check=True, cwd=where
        ).stdout
        for where in ("/", ROOT)
    ]
    assert printed[0] == printed[1]
    bill = json.loads(printed[0])
    required = {each["name"]: each["version"] for each in bill["components"] if each["scope"] == "required"}
    assert required == {name: metadata.version(name) for name in installed_closure(runtime_roots())}
    references = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {each["ref"] for each in bill["dependencies"]} == references
    reached = {one for each in bill["dependencies"] for one in each["dependsOn"]}
    assert reached == references - {bill["metadata"]["component"]["bom-ref"]}, "nothing is there without a reason"


def test_a_package_that_is_not_locked_is_named() -> None:
    with pytest.raises(SystemExit, match="no entry for nosuch"):
        assemble.closure({}, {"nosuch"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("boto3", "boto3"),
        ("moto[server,ec2]>=5.2", "moto"),
        ("PyYAML>=6", "pyyaml"),
        ("typing_extensions<5", "typing-extensions"),
    ],
)
def test_requirements_are_spelt_as_in_the_lock(text: str, name: str) -> None:
    assert assemble.names([text]) == {name}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image") / "autoscaler"
    subprocess.run([sys.executable, ASSEMBLE, folder], check=True, cwd="/")
    return folder


def files(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_it_holds_what_it_needs_and_no_more(environment: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (site,) = environment.glob("lib/python*/site-packages")
    held = {path.name.rpartition(".dist-info")[0].rpartition("-")[0] for path in site.glob("*.dist-info")}
    assert assemble.names(held) == installed_closure(runtime_roots()) | {"priority-autoscaler"}
    assert not {path.name for path in (environment / "bin").iterdir()} & {"pip", "pip3", "uv"}
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < OUR_SIZE, f"{size:,} bytes"


def test_bytecode_depends_on_no_time(environment: Path) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    for source in (site / "autoscaler").rglob("*.py"):
        (bytecode,) = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")
        assert int.from_bytes(bytecode.read_bytes()[4:8], "little") == 0b01, "unchecked hash"


def read_only() -> tuple[str, ...]:
    """The beginning of a command under which no file can be written, as in the chart, where the kernel lets us."""
    mounts = "mount --make-rprivate / && mount --rbind / / && mount -o remount,ro,bind /"
    prefix = ("unshare", "-rm", "sh", "-c", f'{mounts} && exec "$@"', "-")
    return prefix if shutil.which("unshare") and subprocess.run([*prefix, "true"], check=False).returncode == 0 else ()


def test_the_controller_runs_in_it_and_writes_nothing(environment: Path) -> None:
    command = [
        *read_only(),
        environment / "bin" / "autoscaler",
        "run",
        DISCOVERY,
        "--address=127.0.0.1:0",
        "--logging-format=json",
    ]
    with Stage.open() as stage:
        stage.group("spot-a")
        before = files(environment)
        settings = {**stage.world.environment(), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(command, env=settings, stderr=subprocess.PIPE, text=True, cwd="/") as process:
            try:
                assert process.stderr is not None
                lines = (json.loads(line) for line in process.stderr)
                where = next(line["address"] for line in lines if line["event"] == "web.listening")
                wait_for(lambda: answers(f"http://{where}/readyz"), "the controller to be ready")
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
            finally:
                process.kill()
        assert files(environment) == before


def answers(page: str) -> bool:
    try:
        with urlopen(page, timeout=5) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        error.close()
        return False


def test_the_dockerfile_runs_these_steps() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert stages == ["python:3.11-slim@${PYTHON_DIGEST}", "python", "python", "scratch"]
    assert "RUN python deploy/image/assemble.py /opt/autoscaler\n" in text
    last = text.rpartition("FROM scratch")[2]
    assert "USER 65532:65532\n" in last
    assert 'ENTRYPOINT ["autoscaler"]\nCMD ["run"]\n' in last
    assert "RUN" not in last


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    ignored, *kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored == "*"
    allowed = [line[1:] for line in kept if line.startswith("!")]
    sources = [word for line in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert len(sources) >= 5
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, rule) for rule in allowed), source
