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
