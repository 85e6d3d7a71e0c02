"""Small worlds with the real scheduler's answers: ours are the same, with a control plane and without."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from tests.controlplane import build, casefile, scenery
from tests.controlplane.casefile import Case
from tests.controlplane.cluster import Cluster
from tests.controlplane.comparison import Comparer, fitting_nodes, is_spared
from tests.controlplane.oracle import Oracle
from tests.controlplane.promises import promises_of

PATHS = sorted(casefile.FOLDER.glob("*.yaml"))
CASES = {path.stem: casefile.read(path) for path in PATHS}


# Where we are known to differ, and why; once we do not, this says so.
KNOWN_NODES = {"volume-attached-already": "we count a volume for each pod still to come: we promise less"}
KNOWN_ENDS = KNOWN_NODES | {
    "daemonset-kept-away": "a DaemonSet's own anti-affinity is not asked where its pods land: we promise less",
    "daemonset-repelled": "nor is the anti-affinity of those that are there: with a spread we promise too much",
    "volume-of-several-pods": "each pod of an unbound claim is placed as if it were the only one: we promise too much",
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_every_pod_fits_where_the_scheduler_said(case: Case) -> None:
    snapshot = case.snapshot()
    assert case.fits, "the scheduler was never asked"
    wrong = []
    for pod in [pod for pod in snapshot.pods if pod.name in case.fits]:
        fitting = set(fitting_nodes(snapshot, pod))
        for node in snapshot.nodes:
            fits, passes = node.name in fitting, node.name in case.fits[pod.name]
            if fits != passes and not is_spared(node, fits=fits, passes=passes):
                wrong.append(f"{pod.name} on {node.name}: we say {fits}, the scheduler said {passes}")
    assert_agrees(case, wrong, KNOWN_NODES)


def test_the_plan_promises_what_the_scheduler_bound(case: Case) -> None:
    places = promises_of(case.snapshot()).places
    wrong = [f"{name}: bound is {was}" for name, was in case.bound.items() if was != (name in places)]
    assert_agrees(case, wrong, KNOWN_ENDS)


def assert_agrees(case: Case, wrong: Sequence[str], known: Collection[str]) -> None:
    """Nothing is wrong, or all of it is known."""
    assert bool(wrong) == (case.world.name in known), wrong or f"{case.world.name}: no difference any more"


def test_each_is_named_after_its_rule(case: Case) -> None:
    assert case.about
    assert CASES[case.world.name] is case


@pytest.mark.controlplane
def test_the_scheduler_still_says_so(own: Cluster, tmp_path: Path) -> None:
    with scenery.prepared(own), Oracle.start(own, build.folder(), tmp_path) as oracle:
        comparer = Comparer(own, oracle)
        for case in CASES.values():
            again = casefile.of(case.world, comparer.compare(case.world), case.about)
            assert (again.fits, again.bound, again.daemons) == (case.fits, case.bound, case.daemons), case.world.name
