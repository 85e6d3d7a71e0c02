from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulate.files import Case, asg, pod, priorities


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A spot group above an on-demand one, and two pods in need of a node."""
    made = Case(tmp_path)
    made.cluster(pod("web-1"), pod("web-2"), priorities("20: [spot]\n10: [od]\n"))
    made.asgs(asg("spot-a"), asg("od-a", spot=False))
    return made
