"""The planner and the real kube-scheduler see the same places; `make fidelity N=...` looks at more worlds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.controlplane import fidelity
from tests.controlplane.cluster import Cluster

pytestmark = pytest.mark.controlplane
WORLDS = range(1, 26)


def test_every_placement_is_the_schedulers_too(
    own: Cluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    score = fidelity.run(WORLDS, own, tmp_path)
    record_property("fidelity", str(score))
    assert score.disagreements == []
    assert score.worlds == len(WORLDS)
    assert score.fits > score.placements / 10, "worlds in which nothing fits prove nothing"
    assert score.promised > score.nodes_bought > 0
    assert score.buying > len(WORLDS) / 2, "the plans of too few worlds bought any node"
