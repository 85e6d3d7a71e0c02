"""What stops removals as a whole is told: a figure for each gate, and an event that says why."""

import pytest
import structlog

from autoscaler.core.decision import Decision, Objection, Why
from autoscaler.core.model import NodeName
from autoscaler.metrics import Metrics
from autoscaler.publish.drains import GATES, DrainTeller
from tests.builders import NOW
from tests.publish.telling import ANCHORS, STATUS


def closed(metrics: Metrics) -> set[str]:
    """The gates whose figure is 1."""
    rows = [
        row for row in metrics.render().decode().splitlines() if row.startswith("priority_autoscaler_closed_gates{")
    ]
    return {row.split('"')[1] for row in rows if row.endswith(" 1.0")}


def kept(*whys: Why) -> Decision:
    reasons = tuple(Objection(why, f"about {why}") for why in whys)
    return Decision(at=NOW, kept={NodeName("a"): reasons, NodeName("b"): reasons})


@pytest.mark.parametrize("why", GATES)
def test_a_closed_gate_is_a_figure_and_an_event_and_goes_when_it_opens(why: Why) -> None:
    metrics = Metrics()
    teller = DrainTeller(metrics, structlog.get_logger(), ANCHORS)
    told = teller.gates(kept(Why.NOT_UNDERUTILIZED, why))
    assert closed(metrics) == {str(why)}
    if why is Why.PODS_COME_FIRST:
        assert told == ()  # each of these pods has an event of its own
    else:
        (event,) = told
        assert (event.kind, event.name) == (STATUS.kind, STATUS.name)
        assert event.reason in ("ClusterUnhealthy", "ScaleDownHeld")
        assert f"about {why}" in event.message
    assert teller.gates(kept(Why.NOT_UNDERUTILIZED)) == ()
    assert closed(metrics) == set()
