"""The control plane that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.controlplane.cluster import Cluster
from tests.controlplane.running import MISSING, NOT_OURS, is_available, running_cluster, tell_what_was_left_out


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not is_available():
        for item in items:
            if item.get_closest_marker("controlplane"):
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, figure in report.user_properties:
            if name == "fidelity" and report.when == "call":
                terminalreporter.write_line(f"fidelity: {figure}")
    tell_what_was_left_out(terminalreporter)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster for the whole session."""
    with running_cluster(tmp_path_factory.mktemp("controlplane")) as cluster:
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
