"""The control plane of a run: ours as it was built or anybody's, and the loud word where there is none.

KUBECONFIG_UNDER_TEST names any cluster instead of a built one. Without either
every test that needs one is skipped, and the summary says how many and how
to have them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controlplane import build
from tests.controlplane.cluster import FOREIGN, AuditLog, Cluster
from tests.controlplane.server import ControlPlane

MISSING = "no control plane is built: run `make controlplane` once"
NOT_OURS = "needs the control plane of `make controlplane`: not for the cluster of KUBECONFIG_UNDER_TEST"


def is_available() -> bool:
    return bool(os.environ.get(FOREIGN)) or build.is_built()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster under test, for the length of the block; what it keeps lies in the folder."""
    foreign = os.environ.get(FOREIGN)
    if foreign:
        with Cluster(Path(foreign).expanduser(), is_ours=False) as cluster:
            cluster.sweep()
            yield cluster
        return
    with ControlPlane.start(build.folder(), folder) as plane:
        audit = AuditLog(plane.audit_log)
        with Cluster(plane.kubeconfig, is_ours=True, audit=audit, etcd=plane.etcd) as cluster:
            yield cluster


def tell_what_was_left_out(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests had no control plane, or had somebody else's, and how to have them."""
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
