"""What every test shares: the async backend and hypothesis without deadlines.

Warnings are errors by pyproject.toml; an exception to that is listed there.
"""

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)  # no test may fail for the machine's slowness
settings.load_profile("house")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where several processes share the tests, keep those of a file together, and all that need the control plane.

    Now, as the groups are read before any conftest may look at all items.
    """
    home = "controlplane" if item.get_closest_marker("controlplane") else item.nodeid.partition("::")[0]
    item.add_marker(pytest.mark.xdist_group(home))
