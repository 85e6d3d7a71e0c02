"""On-demand nodes go back to spot once it has room: replacements first, nobody homeless, budgets kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from autoscaler.emulator.auditor import Auditor, is_marked
from autoscaler.emulator.kubernetes.resources import NODES
from autoscaler.emulator.kubernetes.store import Event
from tests.e2e.stage import A, B, C, Stage, metric, pause, wait_for
from tests.e2e.test_scale_down import SOON
from tests.e2e.test_survival import HASTY

SIDE_BY_SIDE = 2

RETURN = (*SOON, "--on-demand-min-age=3s", "--scale-down-unneeded-time=10m")
PRIORITIES = "20: ['^spot-']\n10: ['^od-']\n"


def in_crisis(stage: Stage, apps: int, replicas: int, cpu: str = "900m", missing: int = 1) -> None:
    """All pods run on on-demand nodes, as spot is dry; of each application at most so many may be missing."""
    stage.group("spot-a", max=20)
    stage.group("od-a", "on-demand", max=20)
    stage.world.set_priorities(PRIORITIES)
    stage.aws.set_pool(market="spot", free=0)
    for number in range(apps):
        stage.deploy(f"web-{number}", replicas, cpu=cpu, memory="256Mi")
        stage.keep(f"web-{number}", replicas - missing)


def all_run(stage: Stage, apps: int, replicas: int) -> bool:
    return all(stage.running(f"web-{number}") == replicas for number in range(apps))


class Replacements:
    """Looks, whenever a node gets its marks, whether its pods have room on Ready spot nodes, a pod on each."""

    def __init__(self, stage: Stage) -> None:
        self.marked: list[str] = []
        self.early: list[str] = []  # nodes that were marked before
        self._stage = stage
        stage.kubernetes.call(stage.kubernetes.store.subscribe, self._see)

    def _see(self, event: Event) -> None:
        before = event.old is not None and is_marked(event.old.value)
        if event.kind is not NODES or event.verb == "DELETED" or before or not is_marked(event.new.value):
            return
        name = event.new.key[1]
        self.marked.append(name)
        spot = {one.private_dns_name for one in self._stage.instances("spot-a")}
        indexes = self._stage.kubernetes.indexes
        free = [
            node
            for node in self._stage.kubernetes.store.items(NODES)
            if node.key[1] in spot and not indexes.on_node(node.key[1]) and not is_marked(node.value)
            if any((row["type"], row["status"]) == ("Ready", "True") for row in node.value["status"]["conditions"])
        ]
        if len(free) < len(indexes.on_node(name)):
            self.early.append(name)


@dataclass(frozen=True)
class Crisis:
    """Applications whose pods take so many nodes, and of each application how many pods may be missing."""

    apps: int
    replicas: int
    cpu: str
    missing: int
    nodes: int


LARGE = Crisis(apps=10, replicas=30, cpu="130m", missing=3, nodes=10)
SMALL = Crisis(apps=2, replicas=6, cpu="900m", missing=1, nodes=3)
CRISES = [
    pytest.param(LARGE, id="large", marks=pytest.mark.emulator("long: 300 pods")),
    pytest.param(SMALL, id="small", marks=pytest.mark.controlplane),
]


@pytest.mark.parametrize("crisis", CRISES)
def test_every_node_returns_with_no_pod_unschedulable_and_every_budget_kept(crisis: Crisis) -> None:
    apps, replicas = crisis.apps, crisis.replicas
    with Stage.open() as stage:
        in_crisis(stage, apps, replicas, crisis.cpu, crisis.missing)
        with stage.controller(*RETURN, "--capacity-backoff=1s,2s") as child:
            wait_for(lambda: all_run(stage, apps, replicas), "the pods to run on demand", 90)
            nodes = len(stage.instances("od-a"))
            assert nodes == crisis.nodes
            audit = Auditor(stage.world)
            stage.aws.set_pool(market="spot", free=None)
            wait_for(lambda: not stage.instances("od-a"), "all on-demand nodes to go", 240)
            wait_for(lambda: all_run(stage, apps, replicas), "the pods to run on spot")
            assert audit.clean(), vars(audit)
            assert audit.evicted >= apps * replicas
            assert audit.longest_pending < 10 or crisis is SMALL, "the real scheduler takes its time"
            assert audit.most_drained == 1
            assert stage.desired("od-a") == 0
            assert len(stage.instances("spot-a")) <= nodes + 1
            wait_for(
                lambda: metric(child, "cluster_autoscaler_scaled_down_nodes_total", reason="returnToSpot") == nodes,
                "all to be counted",
            )
            pause(2)
            assert not [node for node in stage.objects("nodes") if is_marked(node)]


@pytest.mark.emulator("long, to see nothing happen")
def test_as_long_as_spot_is_dry_nothing_moves_and_little_is_asked() -> None:
    with Stage.open() as stage:
        in_crisis(stage, 1, 4)
        with stage.controller(*RETURN, "--capacity-backoff=1s,2s"):
            wait_for(lambda: all_run(stage, 1, 4), "the pods to run on demand")
            pause(4)
            before = len(stage.launches("spot-a"))
            pause(10)
            assert not stage.requests("/eviction$")
            assert len(stage.launches("spot-a")) - before <= 3 * 12
            assert len(stage.instances("od-a")) == 1


@pytest.mark.emulator("long")
def test_dry_again_in_the_middle_no_node_goes_without_its_replacement_and_nothing_flaps() -> None:
    backoff = 2.0
    with Stage.open() as stage:
        in_crisis(stage, 2, 4, cpu="3")
        with stage.controller(*RETURN, f"--capacity-backoff={backoff:g}s,{2 * backoff:g}s"):
            wait_for(lambda: all_run(stage, 2, 4), "the pods to run on demand")
            assert len(stage.instances("od-a")) == 8
            audit, replacements = Auditor(stage.world), Replacements(stage)
            stage.aws.set_pool(market="spot", free=1)
            wait_for(lambda: audit.nodes_gone >= 1, "a node to go", 60)
            pause(6 * backoff)
            bought = len(stage.instances("spot-a"))
            assert 1 <= bought <= 3  # one in each zone
            assert len(stage.instances("od-a")) >= 8 - bought
            assert len(replacements.marked) <= bought
            stage.aws.set_pool(market="spot", free=None)
            wait_for(lambda: not stage.instances("od-a"), "the rest to go", 120)
            wait_for(lambda: all_run(stage, 2, 4), "the pods to run on spot")
            assert audit.clean(), vars(audit)
            assert not replacements.early
            assert len(replacements.marked) == 8, "each node is drained once"
            assert not asked_too_soon(stage, backoff)


def asked_too_soon(stage: Stage, backoff: float) -> list[tuple[str, float]]:
    """Zones that were asked again before their backoff was over, and after how many seconds."""
    found = []
    for zone in (A, B, C):
        calls = [call for call in stage.launches("spot-a") if call.parameters["AvailabilityZones.member.1"] == zone]
        for one, following in pairwise(sorted(calls, key=lambda call: call.started)):
            if one.refusals and (after := following.started - one.started) < backoff:
                found.append((zone, after))
    return found


def test_killed_while_it_waits_for_the_replacement_the_successor_buys_no_other() -> None:
    with Stage.open() as stage:
        in_crisis(stage, 1, 4)
        flags = (*RETURN, *HASTY, "--capacity-backoff=1s,2s")
        with stage.controller(*flags) as child:
            wait_for(lambda: all_run(stage, 1, 4), "the pods to run on demand")
            audit = Auditor(stage.world)
            stage.aws.set_pool(market="spot", free=None)
            wait_for(lambda: stage.instances("spot-a"), "the replacement")
            child.kill()
        assert len(stage.instances("od-a")) == 1
        with stage.controller(*flags):
            wait_for(lambda: not stage.instances("od-a"), "the on-demand node to go", 90)
            wait_for(lambda: all_run(stage, 1, 4), "the pods to run on spot")
            assert len(stage.instances("spot-a")) == stage.desired("spot-a") == 1
            assert audit.clean(), vars(audit)
            wait_for(lambda: not any(map(is_marked, stage.objects("nodes"))), "no marks to be left")
