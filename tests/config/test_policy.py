"""The core's policy follows the flags."""

from autoscaler.config import Config, parse_simulate
from autoscaler.config.policy import to_policy
from autoscaler.core.model import LaunchMethod
from autoscaler.core.policy import Policy, Tiers


def test_default_flags_are_the_default_policy() -> None:
    assert to_policy(Config(), Tiers()) == Policy()


def test_units_are_the_cores() -> None:
    config, _ = parse_simulate(
        ["--cluster=c", "--asgs=a", "--memory-total=0:2", "--cores-total=0:3", "--launch-method=desired"], {}
    )
    policy = to_policy(config, Tiers())
    assert (policy.max_memory_total, policy.max_cores_total) == (2 * 2**30, 3)
    assert policy.launch_method is LaunchMethod.DESIRED
