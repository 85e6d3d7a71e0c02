"""Small worlds with the real scheduler's answers: ours are the same, with a control plane and without."""

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
    assert not wrong


def test_the_plan_promises_what_the_scheduler_bound(case: Case) -> None:
    places = promises_of(case.snapshot()).places
    wrong = [f"{name}: bound is {was}" for name, was in case.bound.items() if was != (name in places)]
    assert not wrong


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
