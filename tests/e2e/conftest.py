"""How end-to-end tests are played: those of a module with SIDE_BY_SIDE = n, n at a time.

They mostly wait, each in a world of its own; so the selected tests of such a
module begin together, and each is told its own end. What needs fixtures, or
measures time, is played alone.

With --stage=controlplane they are played on a real control plane, one after
another. What is marked `emulator` says why it is not, and is left out then;
what is marked `controlplane` is left out otherwise.
"""

import inspect
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.running import MISSING, is_available, running_cluster, tell_what_was_left_out
from tests.e2e.places import ControlPlane
from tests.e2e.stage import Stage

HERE = Path(__file__).parent
WHOLE_RUN = "test_rights.py"  # looks at what all others did
PLAYED = pytest.StashKey[dict[str, "Future[None]"]]()
TROUPES = pytest.StashKey[list[ThreadPoolExecutor]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    places = ("emulator", "controlplane")
    parser.addoption("--stage", choices=places, default=places[0], help="where the end-to-end tests are played")


def is_real(config: pytest.Config) -> bool:
    # A run of all tests reads this file too late to have the option.
    return bool(config.getoption("stage", "emulator") == "controlplane")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to the other place; what looks at the whole run comes last."""
    ours = [item for item in items if HERE in item.path.parents]
    out = [item for item in ours if item.get_closest_marker("emulator" if is_real(config) else "controlplane")]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
    if is_real(config):
        items.sort(key=lambda item: item.path.name == WHOLE_RUN)
        if not is_available():
            for item in items:
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if is_real(config):
        tell_what_was_left_out(terminalreporter)


@pytest.fixture(scope="session", autouse=True)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane | None]:
    """The real control plane, with the chart's rights in it, when the run is played there."""
    if not is_real(request.config):
        yield None
        return
    folder = tmp_path_factory.mktemp("controlplane")
    with running_cluster(folder) as cluster, ControlPlane.ready(cluster, folder) as real:
        before, Stage.place = Stage.place, real
        yield real
        Stage.place = before


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Wait for the end of a test that is played beside others; begin with them all when it is the first."""
    session = pyfuncitem.session
    played = session.stash.setdefault(PLAYED, {})
    if _is_joint(pyfuncitem) and pyfuncitem.nodeid not in played:
        troupe = ThreadPoolExecutor(pyfuncitem.module.SIDE_BY_SIDE)
        session.stash.setdefault(TROUPES, []).append(troupe)
        for item in session.items:
            if isinstance(item, pytest.Function) and item.module is pyfuncitem.module and _is_joint(item):
                played[item.nodeid] = troupe.submit(item.obj, **_parameters(item))
    if pyfuncitem.nodeid not in played:
        return None
    played[pyfuncitem.nodeid].result()
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nobody on the stage when the session is cut short."""
    for troupe in session.stash.get(TROUPES, []):
        troupe.shutdown(cancel_futures=True)


def _is_joint(item: pytest.Function) -> bool:
    if is_real(item.config):
        return False
    needs = inspect.signature(item.obj).parameters
    return hasattr(item.module, "SIDE_BY_SIDE") and needs.keys() <= _parameters(item).keys()


def _parameters(item: pytest.Function) -> dict[str, Any]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}
