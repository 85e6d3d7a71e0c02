"""AWS on loopback: moto's server with a world of capacity pools behind it.

Auto Scaling groups, their instances and LaunchInstances are ours; launch
templates, subnets, instance types and every other service are moto's. Start it
in-process by `AwsEmulator.start()`, or as a process of its own by
`python -m autoscaler.emulator.aws`; steer it by the methods of AwsEmulator or
by the control API (see `control`).
"""

from autoscaler.emulator.aws.backing import instance_types
from autoscaler.emulator.aws.model import AwsFault, Instance, InstanceEvent
from autoscaler.emulator.aws.server import AwsEmulator, EmulatorConfig
from autoscaler.emulator.aws.world import Delays

__all__ = ["AwsEmulator", "AwsFault", "Delays", "EmulatorConfig", "Instance", "InstanceEvent", "instance_types"]
