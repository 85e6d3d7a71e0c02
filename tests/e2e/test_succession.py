"""What a successor knows of its predecessor: which pools are dry, and since when instances are there."""

import json
from typing import Any

from tests.e2e.stage import Stage, wait_for

SIDE_BY_SIDE = 2
LONG = "--capacity-backoff=10m"
STATE = "priority-autoscaler-state"


def saved(stage: Stage, key: str) -> Any:
    """What the state holds under a key."""
    found = {each["metadata"]["name"]: each for each in stage.objects("configmaps", "kube-system")}
    return json.loads(found[STATE]["data"][key]) if STATE in found else {}


def test_a_successor_does_not_ask_again_where_its_predecessor_was_refused() -> None:
    with Stage.open() as stage:
        stage.group("spot-a")
        stage.group("od-a", "on-demand")
        stage.world.set_priorities("20: ['^spot-a$']\n10: ['^od-a$']\n")
        stage.aws.set_pool(market="spot", free=0)
        with stage.controller(LONG):
            stage.deploy("web", 1)
            wait_for(lambda: stage.running("web") == 1, "the pod to run on on-demand")
        refused = len(stage.launches("spot-a"))
        assert refused > 0
        with stage.controller(LONG):
            stage.deploy("more", 1)
            wait_for(lambda: stage.running("more") == 1, "another pod to run")
            assert len(stage.launches("spot-a")) == refused


def test_a_state_that_cannot_be_read_is_replaced() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        broken = {"version": "1", "capacity": "{", "firstSeen": '{"i-1": "yesterday"}'}
        meta = {"name": STATE, "namespace": "kube-system"}
        stage.put_raw("configmaps", "kube-system", STATE, {"metadata": meta, "data": broken})
        with stage.controller() as child:
            stage.deploy("web", 1)
            wait_for(lambda: stage.running("web") == 1, "the pod to run")
            assert {line["key"] for line in child.events("state.ignored")} == {"capacity", "firstSeen"}
            ours = {one.id for one in stage.instances("od-a")}
            wait_for(lambda: set(saved(stage, "firstSeen")) == ours, "the instance to be remembered")
            assert saved(stage, "capacity")["version"] == 1
