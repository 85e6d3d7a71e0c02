"""What is on its way, until when it is counted on, and what its DaemonSets still take."""

from datetime import timedelta

from autoscaler.core.decision import Outcome
from autoscaler.core.model import OwnerRef, Uid
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import DaemonSet
from tests.builders import NOW, group, instance, node, pod, snapshot, spec

COMING = instance("i-1", since=NOW)
STARTING = node("n-1", of=COMING, ready=False, was_ready=False, created=NOW - timedelta(minutes=1))


def test_the_decision_changes_when_a_node_that_never_was_ready_is_given_up() -> None:
    """Nothing else may happen until then: without that moment its pods would wait for ever."""
    world = snapshot(groups=[group("spot-a", instances=[COMING], desired=1)], nodes=[STARTING], pods=[pod("web")])
    decision = plan(world)
    assert {verdict.outcome for verdict in decision.verdicts.values()} == {Outcome.FITS_UPCOMING}
    assert decision.next_at is not None
    assert decision.next_at <= STARTING.created + world.policy.max_node_startup_time


def test_a_daemonset_takes_its_part_of_a_starting_node_once() -> None:
    agent = DaemonSet(namespace="kube-system", name="agent", uid=Uid("ds"), spec=spec(cpu="2"))
    ours = pod("agent-1", of=agent.spec, node="n-1", owner=OwnerRef("DaemonSet", "agent", Uid("ds")))
    groups = [group("spot-a", instances=[COMING], desired=1, max_size=1)]
    large = pod("large", cpu="1900m")
    for running in ((), (ours,)):
        world = snapshot(groups=groups, nodes=[STARTING], daemonsets=[agent], pods=[large, *running])
        assert plan(world).verdicts[large.key].outcome is Outcome.FITS_UPCOMING, running
