"""An API that fails half of its calls stops removals; refusals are answers."""

from __future__ import annotations

import pytest

from autoscaler.core.decision import RefusalKind, Why
from autoscaler.loop.breakers import LAST_CALLS, WITHIN, Breakers


def after(failures: int, at: float = 0.0) -> Breakers:
    breakers = Breakers()
    for number in range(LAST_CALLS):
        breakers.note_aws("LaunchInstances", RefusalKind.NO_ANSWER if number < failures else None, at)
    return breakers


def test_more_than_half_of_the_last_calls_open_it_for_two_minutes() -> None:
    (objection,) = after(LAST_CALLS // 2 + 1).open(1.0)
    assert objection.why is Why.CLUSTER_UNHEALTHY
    assert "11 of the last 20 calls to LaunchInstances failed" in objection.detail
    assert not after(LAST_CALLS // 2).open(1.0)
    assert not after(LAST_CALLS).open(WITHIN)


def test_calls_that_work_again_close_it() -> None:
    breakers = after(LAST_CALLS // 2 + 1)
    for _ in range(LAST_CALLS):
        breakers.note_aws("LaunchInstances", None, 2.0)
    assert not breakers.open(2.0)


@pytest.mark.parametrize("kind", [RefusalKind.NO_CAPACITY, RefusalKind.LIMIT, RefusalKind.CONFIGURATION])
def test_a_refusal_is_an_answer(kind: RefusalKind) -> None:
    breakers = Breakers()
    for _ in range(LAST_CALLS):
        breakers.note_aws("LaunchInstances", kind, 0.0)
        breakers.note_kubernetes("/api/v1/namespaces/shop/pods/web-1/eviction", 429, 0.0)
        breakers.note_kubernetes("/api/v1/nodes/n1", 409, 0.0)
    assert not breakers.open(0.0)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_the_api_server_counts_as_a_whole(status: int) -> None:
    breakers = Breakers()
    for number in range(LAST_CALLS):
        breakers.note_kubernetes(f"/api/v1/nodes/{number}", status, 0.0)
    (objection,) = breakers.open(0.0)
    assert "Kubernetes" in objection.detail
