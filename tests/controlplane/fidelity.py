"""Compares random worlds with the real kube-scheduler, as many as wanted: the command behind `make fidelity`.

A disagreement is shrunk to a small world that still shows it, and left as a
case file for `test_replay`. The last line tells what was compared.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from autoscaler import clock
from tests.controlplane import build, casefile, scenery
from tests.controlplane.cluster import FOREIGN, Cluster
from tests.controlplane.comparison import Comparer
from tests.controlplane.minimise import minimise
from tests.controlplane.oracle import Oracle
from tests.controlplane.score import Score
from tests.controlplane.server import ControlPlane
from tests.controlplane.worlds import build as build_world

MINIMISED = 3  # disagreements of one run; of more of them, most are the same one


def run(
    numbers: Sequence[int], cluster: Cluster, folder: Path, *,
    tell: Callable[[Score], None] = lambda _: None, cases: Path | None = None,
) -> Score:  # fmt: skip
    """Compare the worlds of these numbers; `tell` hears the score after each, `cases` takes what disagrees."""
    score, written = Score(), 0
    with scenery.prepared(cluster), Oracle.start(cluster, build.folder(), folder) as oracle:
        comparer = Comparer(cluster, oracle)
        for number in numbers:
            world = build_world(number)
            found = comparer.compare(world)
            score.add(world, found)
            if found.differences and cases is not None and written < MINIMISED:
                written += 1
                small, again = minimise(world, found, comparer.compare)
                small.name = f"found-{number}"
                case = casefile.of(small, again, "; ".join(map(str, again.differences)))
                path = casefile.write(cases / f"{small.name}.yaml", case)
                score.disagreements.append(f"{world.name}: shrunk to {path}")
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
        score = run(range(first, first + count), cluster, plane.folder, tell=tell, cases=casefile.FOLDER)
    for line in score.table():
        say(line)
    seconds = clock.monotonic() - started
    say(f"{score}; {seconds:.0f} s, worlds {first} to {first + count - 1}, Kubernetes {build.kubernetes_version()}")
    return 1 if score.disagreements else 0


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]] + [300, 1][len(sys.argv) - 1 :]
    sys.exit(main(*numbers))
