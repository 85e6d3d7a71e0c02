"""Settings: flags, environment and file become one frozen Config.

Every flag is declared once, in policy_flags or runtime_flags; help, variables
and keys follow from the declaration. Importing this package is cheap: pydantic
and YAML come in when there is something to read.
"""

from autoscaler.config.config import Config, SelftestInputs, SimulateInputs, SnapshotInputs
from autoscaler.config.parse import ConfigError, parse_run, parse_selftest, parse_simulate, parse_snapshot
from autoscaler.config.values import Dry, MinMax, NodesSpec

__all__ = [
    "Config",
    "ConfigError",
    "Dry",
    "MinMax",
    "NodesSpec",
    "SelftestInputs",
    "SimulateInputs",
    "SnapshotInputs",
    "parse_run",
    "parse_selftest",
    "parse_simulate",
    "parse_snapshot",
]
