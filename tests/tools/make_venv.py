"""Makes `.venv`: the locked packages, this project, kubectl and helm.

Runs on the bare interpreter, so it imports the standard library alone. A
finished environment carries a seal over everything that it was made from;
without the seal it is made anew, so an interrupted run leaves nothing half
done. The packages come in by uv, which takes seconds, and by pip where uv
finds no index (uv does not read pip's settings).
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = str(BIN / "python")
SEAL = VENV / "complete"
LOCK = ROOT / "requirements.lock"
KUBECTL = Path(__file__).with_name("kubectl.py")


def seal() -> str:
    """Fingerprint of the inputs: lock, project metadata, these tools, place and interpreter."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    metadata = {table: settings[table] for table in ("build-system", "project")}
    digest = hashlib.sha256(f"{ROOT}\n{sys.version}\n{metadata}\n".encode())
    for path in (LOCK, Path(__file__), KUBECTL):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_complete(expected: str) -> bool:
    return SEAL.exists() and SEAL.read_text() == expected and Path(PYTHON).exists()


def run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


def locked(package: str) -> str:
    """The lock's entry for one package, hashes included."""
    entry = re.search(rf"^{package}==.*(?:\n +.*)*", LOCK.read_text(), re.MULTILINE)
    if entry is None:
        raise SystemExit(f"requirements.lock has no entry for {package}; run `make lock`")
    return entry[0]


def install_packages() -> None:
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
        only_uv.write(locked("uv") + "\n")
        only_uv.flush()
        run(*pip, "--require-hashes", "--no-deps", "-r", only_uv.name)
    try:
        run(
            *(str(BIN / "uv"), "pip", "install", "--quiet", "--python", PYTHON),
            *("--compile-bytecode", "--require-hashes", "-r", str(LOCK)),
        )
    except subprocess.CalledProcessError:
        print("uv could not install the packages; trying pip (about a minute)", flush=True)
        run(*pip, "--require-hashes", "-r", str(LOCK))
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def main() -> None:
    expected = seal()
    if is_complete(expected):
        return
    print(f"making {VENV}", flush=True)
    SEAL.unlink(missing_ok=True)
    venv.create(VENV, clear=True, with_pip=True)
    install_packages()
    run(PYTHON, str(KUBECTL), str(BIN))
    SEAL.write_text(expected)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"making {VENV} failed; the next run starts over: {error}") from error
