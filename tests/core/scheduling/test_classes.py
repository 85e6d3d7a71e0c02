"""What a pod's class is hangs on what the pod is, not on what it shares in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autoscaler.core.decision import Outcome
from autoscaler.core.planner import plan
from autoscaler.core.scheduling.classes import classify
from tests.builders import NOW, group, pod, snapshot, spec


def test_equal_pods_that_share_nothing_are_one_class() -> None:
    (one,), _ = classify([pod(name, of=spec(cpu="1"), labels={"app": "web"}) for name in "ba"])
    assert [each.name for each in one.pods] == ["a", "b"]


@pytest.mark.parametrize("is_shared", [True, False])
def test_the_decision_is_the_same_however_specs_are_shared(is_shared: bool) -> None:
    same = spec(cpu="2")
    waiting = [
        pod("a-1", of=same, created=NOW - timedelta(seconds=300)),
        pod("b-1", of=spec(cpu="2", extra={"ephemeral-storage": "1"}), created=NOW - timedelta(seconds=200)),
        pod("a-2", of=same if is_shared else spec(cpu="2"), created=NOW - timedelta(seconds=100)),
    ]
    only = group(max_size=1, reserved_profile="none")
    verdicts = plan(snapshot(groups=(only,), pods=waiting)).verdicts
    assert [key.name for key, one in sorted(verdicts.items()) if one.outcome is Outcome.LAUNCH] == ["a-1", "a-2"]
