"""The control plane that the tests of this folder share, and the loud word where there is none.

KUBECONFIG_UNDER_TEST names any cluster instead of a built one. Without either
every test that needs one is skipped, and the summary says how many and how
to have them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane import build
from tests.controlplane.cluster import FOREIGN, AuditLog, Cluster
from tests.controlplane.server import ControlPlane

MISSING = "no control plane is built: run `make controlplane` once"
NOT_OURS = "needs the control plane of `make controlplane`: not for the cluster of KUBECONFIG_UNDER_TEST"


def _is_available() -> bool:
    return bool(os.environ.get(FOREIGN)) or build.is_built()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not _is_available():
        for item in items:
            if item.get_closest_marker("controlplane"):
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, figure in report.user_properties:
            if name == "fidelity" and report.when == "call":
                terminalreporter.write_line(f"fidelity: {figure}")
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    missing, foreign = (sum(word in reason for reason in reasons) for word in (MISSING, NOT_OURS))
    if missing or foreign:
        terminalreporter.write_sep("!", "left out", red=True)
    if foreign:
        terminalreporter.write_line(f"{foreign} tests were left out: each {NOT_OURS}.")
    if missing:
        terminalreporter.write_line(
            f"{missing} tests against a real etcd, kube-apiserver and kube-scheduler were left out: "
            f"`make controlplane` builds them once (needs Go, about 7 minutes), {FOREIGN}=FILE names a cluster instead."
        )


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster for the whole session."""
    foreign = os.environ.get(FOREIGN)
    if foreign:
        with Cluster(Path(foreign).expanduser(), is_ours=False) as cluster:
            cluster.sweep()
            yield cluster
        return
    with ControlPlane.start(build.folder(), tmp_path_factory.mktemp("controlplane")) as plane:
        audit = AuditLog(plane.audit_log)
        with Cluster(plane.kubeconfig, is_ours=True, audit=audit, etcd=plane.etcd) as cluster:
            yield cluster


@pytest.fixture
def controlplane(running: Cluster) -> Iterator[Cluster]:
    """The cluster, empty of what other tests made; its audit log begins now."""
    if running.audit is not None:
        running.audit.start = running.audit.path.stat().st_size
    yield running
    running.sweep()


@pytest.fixture
def own(controlplane: Cluster) -> Cluster:
    """The same, for what must not or cannot be done to somebody else's cluster."""
    if not controlplane.is_ours:
        pytest.skip(NOT_OURS)
    return controlplane
