"""Compares random worlds with the real kube-scheduler, as many as wanted: the command behind `make fidelity`.

The last lines tell how often each rule decided, and what was compared.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from autoscaler import clock
from tests.controlplane import build, scenery
from tests.controlplane.cluster import FOREIGN, Cluster
from tests.controlplane.comparison import Comparer
from tests.controlplane.oracle import Oracle
from tests.controlplane.score import Score
from tests.controlplane.server import ControlPlane
from tests.controlplane.worlds import build as build_world


def run(
    numbers: Sequence[int], cluster: Cluster, folder: Path, *, tell: Callable[[Score], None] = lambda _: None
) -> Score:
    """Compare the worlds of these numbers; `tell` hears the score after each."""
    score = Score()
    with scenery.prepared(cluster), Oracle.start(cluster, build.folder(), folder) as oracle:
        comparer = Comparer(cluster, oracle)
        for number in numbers:
            world = build_world(number)
            found = comparer.compare(world)
            score.add(world, found)
            tell(score)
    return score


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(count: int, first: int) -> int:
    """Compare `count` worlds from number `first` on; the exit code is 1 after a disagreement."""
    if os.environ.get(FOREIGN):
        say(f"{FOREIGN} is left aside: this needs a cluster of its own, and a scheduler that asks back")
    if not build.is_built():
        raise SystemExit("no control plane is built: run `make controlplane` once")
    started, told = clock.monotonic(), 0

    def tell(score: Score) -> None:
        nonlocal told
        for line in score.disagreements[told:]:
            say(line)
        told = len(score.disagreements)
        if score.worlds % 20 == 0 and score.worlds < count:
            say(f"{score}; {clock.monotonic() - started:.0f} s")

    with (
        TemporaryDirectory() as name,
        ControlPlane.start(build.folder(), Path(name)) as plane,
        Cluster(plane.kubeconfig, is_ours=True) as cluster,
    ):
        score = run(range(first, first + count), cluster, plane.folder, tell=tell)
    for line in score.table():
        say(line)
    seconds = clock.monotonic() - started
    say(f"{score}; {seconds:.0f} s, worlds {first} to {first + count - 1}, Kubernetes {build.kubernetes_version()}")
    return 1 if score.disagreements else 0


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] + [300, 1][len(sys.argv) - 1 :]
    sys.exit(main(*numbers))
