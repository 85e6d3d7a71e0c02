"""An event that repeats is counted up where it stands, not written once more."""

from typing import Any

from tests.e2e.stage import Stage, wait_for


def test_an_event_that_repeats_is_counted_up() -> None:
    with Stage.open() as stage:
        stage.group("od-a", "on-demand")

        def told(app: str) -> list[dict[str, Any]]:
            about = [event for event in stage.events("NotTriggerScaleUp") if event["involvedObject"]["kind"] == "Pod"]
            return [event for event in about if event["involvedObject"]["name"].startswith(f"{app}-")]

        with stage.controller("--record-duplicated-events"):
            stage.deploy("huge", 1, cpu="64")
            count = wait_for(lambda: told("huge"), "the pod to be told")[0].get("count", 1)
            stage.deploy("other", 1, cpu="64")  # what has changed is decided anew, and told to all that wait
            wait_for(lambda: told("huge")[0].get("count", 1) > count and told("other"), "both to be told")
            assert len(told("huge")) == 1
