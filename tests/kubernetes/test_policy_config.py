"""The policy ConfigMap: what it means, and all of its faults with their paths."""

from __future__ import annotations

import pytest

from autoscaler.core.policy import PolicyError
from autoscaler.core.scaledown.policy import Amount, ScaleDownPolicy
from autoscaler.kubernetes.policy_config import OperatorPolicy, parse_policy

WHOLE = """
paused: true
disruption:
  cluster: 10%
  perGroup: 2
  perZone: "3"
  perNamespace: 20%
  windows: ["Mon-Fri 09:00-17:00 Europe/Paris"]
floors:
  - {groups: "spot-web-.*", nodes: 6, window: "Mon-Fri 07:30-22:00 Europe/Paris", warmup: 10m}
headroom:
  - {groups: ".*", replicas: 3, pod: {cpu: "1", memory: 2Gi}}
prices: {m5.xlarge: {onDemand: 0.224, spot: 0.09}}
"""


def test_the_whole_policy_is_read() -> None:
    policy = parse_policy(WHOLE)
    assert policy.paused
    assert policy.budget is not None
    assert policy.budget.cluster == Amount(10, is_percentage=True)
    assert policy.budget.cluster.of(11) == 2
    assert (policy.budget.per_group, policy.budget.per_zone) == (Amount(2), Amount(3))
    assert policy.budget.per_namespace == Amount(20, is_percentage=True)
    assert [window.text for window in policy.budget.windows] == ["Mon-Fri 09:00-17:00 Europe/Paris"]


@pytest.mark.parametrize("text", ["", "{}", "disruption:", "paused: false"])
def test_nothing_said_is_the_default(text: str) -> None:
    assert parse_policy(text) == OperatorPolicy()


def test_either_the_flag_or_the_policy_pauses() -> None:
    assert parse_policy("paused: true").join(ScaleDownPolicy()).paused
    assert parse_policy("").join(ScaleDownPolicy(paused=True)).paused


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("- a", ["policy: expected a mapping"]),
        ("pause: true", ["pause: unknown"]),
        ("paused: 'yes'", ["paused: expected true or false"]),
        ("disruption: 3", ["disruption: expected a mapping"]),
        ("disruption: {cluster: -1}", ["disruption.cluster: expected a count"]),
        ("disruption: {perZone: 101%}", ["disruption.perZone: expected a count"]),
        ("disruption: {cluster: true, windows: [now, 'Mon 1 UTC']}",
         ["disruption.cluster: ", "disruption.windows[0]: ", "disruption.windows[1]: "]),
        ("disruption: {windows: all}", ["disruption.windows: expected a list"]),
        ("disruption: {perPod: 1}", ["disruption.perPod: unknown"]),
        ("{floors: x, headroom: 1, prices: []}", ["floors: ", "headroom: "]),
        ("a: [", ["line 1"]),
    ],
)  # fmt: skip
def test_every_fault_is_named_with_its_path(text: str, faults: list[str]) -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(text)
    for fault in faults:
        assert fault in str(raised.value)
