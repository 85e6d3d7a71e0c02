"""An API server that cuts its streams, forgets its history and fails: nothing is lost, and it is left to recover."""

import pytest

from autoscaler import clock
from tests.e2e.stage import Stage, metric, pause, wait_for

SIDE_BY_SIDE = 3
pytestmark = pytest.mark.emulator("breaks the API server")

SECONDS = 4.0
SANE = 35.0  # requests a second, of two dozen watches and the events


def test_pods_that_come_and_go_in_the_trouble_all_get_their_place() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand", max=30)
        with stage.controller() as child:
            stage.deploy("before", 2)
            wait_for(lambda: stage.running("before") == 2, "the first pods to run")
            began, first = clock.monotonic(), len(stage.requests())
            stage.break_api(path="^/api/v1/(pods|nodes)", status=500, seconds=SECONDS / 2)
            stage.break_api(path="watch=true", status=410, seconds=SECONDS)
            number = 0
            while clock.monotonic() - began < SECONDS:
                stage.cut_watches(".")
                stage.kubernetes.call(stage.kubernetes.api.forget_history)
                number += 1
                stage.deploy(f"web-{number % 5}", 1 + number % 3)
                stage.deploy("gone", number % 2)
                pause(0.2)
            seconds = clock.monotonic() - began
            asked = len(stage.requests()) - first
            assert asked / seconds <= SANE, f"{asked} requests in {seconds:.1f} s"
            stage.kubernetes.call(stage.kubernetes.faults.clear)
            stage.deploy("gone", 0)
            stage.deploy("after", 1)
            wait_for(stage.all_pods_run, "every pod to run", 90)
            pods = len(stage.objects("pods"))
            wait_for(lambda: metric(child, "priority_autoscaler_cache_objects", kind="Pod") == pods, "equal caches", 90)
            nodes = len(stage.objects("nodes"))
            wait_for(lambda: metric(child, "priority_autoscaler_cache_objects", kind="Node") == nodes, "equal caches")
            assert child.get("/readyz")[0] == 200


def test_a_watch_cut_in_the_middle_of_a_line_is_resumed_where_it_stopped() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        with stage.controller():
            lists = len(stage.requests("^/api/v1/pods.*limit="))
            stage.deploy("web", 1)
            stage.cut_watches("^/api/v1/pods")
            wait_for(lambda: stage.running("web") == 1, "the pod to run")
            assert len(stage.requests("^/api/v1/pods.*limit=")) == lists, "no new list"


def test_events_that_cannot_be_written_hold_nothing_up() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")
        stage.break_api(path="/events", method="POST", status=500)
        with stage.controller() as child:
            stage.deploy("web", 3)
            wait_for(lambda: stage.running("web") == 3, "the pods to run")
            pause(2.0)
            assert len(stage.requests("/events", "POST")) <= 30
            assert child.get("/health-check")[0] == 200
