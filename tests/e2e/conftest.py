"""How end-to-end tests are played: those of a module with SIDE_BY_SIDE = n, n at a time.

They mostly wait, each in a world of its own; so the selected tests of such a
module begin together, and each is told its own end. What needs fixtures, or
measures time, is played alone.
"""

import inspect
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

PLAYED = pytest.StashKey[dict[str, "Future[None]"]]()
TROUPES = pytest.StashKey[list[ThreadPoolExecutor]]()


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
    needs = inspect.signature(item.obj).parameters
    return hasattr(item.module, "SIDE_BY_SIDE") and needs.keys() <= _parameters(item).keys()


def _parameters(item: pytest.Function) -> dict[str, Any]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}
