"""Builds a control plane from Go modules, once: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

Which versions: `binaries/go.mod`, the only place that names them. The result
lies outside the tree, in a folder named by a hash of that module and of what
is asked of the compiler, so that every clone of one revision shares it and a
change of either builds anew. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = Path(__file__).parent / "binaries"
BUILT = {"etcd": "go.etcd.io/etcd/server/v3"} | {
    name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
}
_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def kubernetes_version() -> str:
    """The version of Kubernetes that the module pins, as `v1.36.3`."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v[0-9.]+)\b", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{MODULE / 'go.mod'} requires no k8s.io/kubernetes: nothing is built")
    return found[1]


def linker_flags() -> str:
    """Without symbols, and with the version without which the binaries call themselves v0.0.0-master."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    values = [f"-X {package}.{name}={value}" for package in _STAMPED for name, value in stamp.items()]
    return " ".join(["-s", "-w", *values])


def folder() -> Path:
    """Where the binaries of this revision are, once built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parts = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]
    key = hashlib.sha256(b"\0".join([*parts, linker_flags().encode()])).hexdigest()[:16]
    return cache / "priority-autoscaler" / "controlplane" / key


def is_built() -> bool:
    return all((folder() / name).is_file() for name in BUILT)


def build() -> None:
    """Compile what is missing; all four appear at once or not at all."""
    target = folder()
    if is_built():
        _say(f"control plane {kubernetes_version()}: built, in {target}")
        return
    go = shutil.which("go")
    if go is None:
        raise SystemExit("no Go found: install Go 1.26 or newer (https://go.dev/dl), then `make controlplane`")
    _say(f"control plane {kubernetes_version()}: building; about 7 minutes on two cores, once")
    target.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"CGO_ENABLED": "0"}
    place = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        for name, package in BUILT.items():
            _say(f"  {package}")
            command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags(), "-o", str(place / name)]
            if subprocess.run([*command, package], cwd=MODULE, env=environment, check=False).returncode:
                raise SystemExit(f"{package} was not built: see above")
        place.chmod(0o755)
        if not is_built():  # by somebody else meanwhile
            place.rename(target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    _say(f"control plane {kubernetes_version()}: built, in {target}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:] == ["--folder"]:
        _say(str(folder()))
    else:
        build()
