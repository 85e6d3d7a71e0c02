"""What every test shares: the async backend and hypothesis without deadlines.

Warnings are errors by pyproject.toml; an exception to that is listed there.
"""

from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

CONTROL_PLANE = "tests/controlplane/"

settings.register_profile("house", deadline=None)  # no test may fail for the machine's slowness
settings.load_profile("house")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class ByHome(LoadScopeScheduling):
    """Several processes share the tests: those of a file stay together, and all that need the control plane."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return CONTROL_PLANE if path.startswith(CONTROL_PLANE) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByHome:
    return ByHome(config, log)
