"""Flags that contradict each other, each value being fine by itself.

A rule names the fields that it compares, so that it is left out when one of
them has a fault of its own.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from autoscaler.config.config import Config

_DEFAULT_GRACE = 600
_RETRY_JITTER = 1.2  # client-go waits up to so many times the retry period


@dataclass(frozen=True, slots=True)
class Rule:
    fields: tuple[str, ...]
    holds: Callable[[Config], bool]
    fault: str


RULES = (
    Rule(
        ("balancing_label", "balancing_ignore_label"),
        lambda config: not (config.balancing_label and config.balancing_ignore_label),
        "only one of them can be given",
    ),
    Rule(
        ("drain_priority_config", "max_graceful_termination_sec"),
        lambda config: not config.drain_priority_config or config.max_graceful_termination_sec == _DEFAULT_GRACE,
        "only one of them can be given",
    ),
    Rule(
        ("initial_node_group_backoff_duration", "max_node_group_backoff_duration"),
        lambda config: config.initial_node_group_backoff_duration <= config.max_node_group_backoff_duration,
        "expected the first not to exceed the second",
    ),
    Rule(
        ("leader_elect_renew_deadline", "leader_elect_lease_duration"),
        lambda config: config.leader_elect_renew_deadline < config.leader_elect_lease_duration,
        "expected the first to be less than the second",
    ),
    Rule(
        ("leader_elect_retry_period", "leader_elect_renew_deadline"),
        lambda config: config.leader_elect_retry_period * _RETRY_JITTER < config.leader_elect_renew_deadline,
        "expected 1.2 times the first to be less than the second",
    ),
    Rule(
        ("batch_idle", "batch_max"),
        lambda config: config.batch_idle <= config.batch_max,
        "expected the first not to exceed the second",
    ),
    Rule(
        ("bypassed_scheduler_names", "allowed_scheduler_names"),
        lambda config: (
            not config.allowed_scheduler_names
            or set(config.bypassed_scheduler_names) <= set(config.allowed_scheduler_names)
        ),
        "expected every name of the first in the second",
    ),
    Rule(
        ("nodes",),
        lambda config: max(Counter(spec.name for spec in config.nodes).values(), default=1) == 1,
        "expected each group once",
    ),
)
WHOLE_ACCOUNT = Rule(
    ("node_group_auto_discovery", "nodes"),
    lambda config: bool(config.node_group_auto_discovery or config.nodes),
    "expected one of them, or every group of the account would be ours",
)


def contradictions(config: Config, rules: Collection[Rule], faulty: Collection[str]) -> Iterator[Rule]:
    """Yield every rule that does not hold; those about `faulty` fields are left out."""
    for rule in rules:
        if not set(rule.fields) & set(faulty) and not rule.holds(config):
            yield rule
