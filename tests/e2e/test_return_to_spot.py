"""On-demand nodes go back to spot once it has room: replacements first, nobody homeless, budgets kept."""

from __future__ import annotations

from tests.e2e.audit import Audit, is_marked
from tests.e2e.stage import Stage, metric, pause, wait_for
from tests.e2e.test_scale_down import SOON

SIDE_BY_SIDE = 2

RETURN = (*SOON, "--on-demand-min-age=3s", "--capacity-backoff=1s,2s", "--scale-down-unneeded-time=10m")
PRIORITIES = "20: ['^spot-']\n10: ['^od-']\n"


def in_crisis(stage: Stage, apps: int, replicas: int) -> None:
    """All pods run on on-demand nodes, as spot is dry; each application keeps all but one of its pods."""
    stage.group("spot-a")
    stage.group("od-a", "on-demand")
    stage.world.set_priorities(PRIORITIES)
    stage.aws.set_pool(market="spot", free=0)
    for number in range(apps):
        stage.deploy(f"web-{number}", replicas, cpu="900m", memory="1Gi")
        stage.keep(f"web-{number}", replicas - 1)


def all_run(stage: Stage, apps: int, replicas: int) -> bool:
    return all(stage.running(f"web-{number}") == replicas for number in range(apps))


def test_every_node_returns_with_no_pod_unschedulable_and_every_budget_kept() -> None:
    apps, replicas = 4, 6
    with Stage.open() as stage:
        in_crisis(stage, apps, replicas)
        with stage.controller(*RETURN) as child:
            wait_for(lambda: all_run(stage, apps, replicas), "the pods to run on demand")
            nodes = len(stage.instances("od-a"))
            assert nodes >= 6
            audit = Audit(stage)
            stage.aws.set_pool(market="spot", free=None)
            wait_for(lambda: not stage.instances("od-a"), "all on-demand nodes to go", 150)
            wait_for(lambda: all_run(stage, apps, replicas), "the pods to run on spot")
            assert audit.clean(), vars(audit)
            assert stage.desired("od-a") == 0
            assert len(stage.instances("spot-a")) <= nodes + 1
            assert metric(child, "cluster_autoscaler_scaled_down_nodes_total", reason="returnToSpot") == nodes
            pause(2)
            assert not [node for node in stage.objects("nodes") if is_marked(node)]


def test_as_long_as_spot_is_dry_nothing_moves_and_little_is_asked() -> None:
    with Stage.open() as stage:
        in_crisis(stage, 1, 4)
        with stage.controller(*RETURN):
            wait_for(lambda: all_run(stage, 1, 4), "the pods to run on demand")
            pause(4)
            before = len(stage.launches("spot-a"))
            pause(10)
            assert not stage.requests("/eviction$")
            assert len(stage.launches("spot-a")) - before <= 3 * 12
            assert len(stage.instances("od-a")) == 1


def test_dry_again_in_the_middle_no_node_goes_without_its_replacement() -> None:
    with Stage.open() as stage:
        in_crisis(stage, 2, 8)
        with stage.controller(*RETURN):
            wait_for(lambda: all_run(stage, 2, 8), "the pods to run on demand")
            nodes = len(stage.instances("od-a"))
            audit = Audit(stage)
            stage.aws.set_pool(market="spot", free=1)
            wait_for(lambda: audit.nodes_gone >= 1, "a node to go")
            pause(8)
            assert len(stage.instances("od-a")) + len(stage.instances("spot-a")) >= nodes
            assert stage.instances("od-a")
            assert audit.clean(), vars(audit)
            stage.aws.set_pool(market="spot", free=None)
            wait_for(lambda: not stage.instances("od-a"), "the rest to go", 90)
            wait_for(lambda: all_run(stage, 2, 8), "the pods to run on spot")
            assert audit.clean(), vars(audit)
