"""One frozen Config, with an attribute for every flag, and the commands' inputs.

Attributes are the flags' names with underscores. All values are checked; how
they are read stands in parse.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from autoscaler.config.declare import Flag, flag, table
from autoscaler.config.policy_flags import GroupFlags, LimitFlags, ScaleDownFlags, ScaleUpFlags
from autoscaler.config.runtime_flags import (
    AwsFlags,
    ClusterFlags,
    DrainFlags,
    ModeFlags,
    PaceFlags,
    TellingFlags,
)
from autoscaler.config.values import Dry, File, Reads, read_dry, read_moment, read_path, read_paths, render

NO_FILES: tuple[Path, ...] = ()
NONE_DRY: tuple[Dry, ...] = ()
NOW: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Config(
    TellingFlags, AwsFlags, DrainFlags, ClusterFlags, PaceFlags, ModeFlags, ScaleDownFlags, ScaleUpFlags, LimitFlags,
    GroupFlags,
):  # fmt: skip
    """Every flag, checked."""

    warnings: tuple[str, ...] = ()  # what was accepted without effect; for the log, once

    def settings(self) -> dict[str, str]:
        """Every flag that differs from its default, as text; credentials are left out."""
        return {
            row.name: render(getattr(self, row.field))
            for row in FLAGS.values()
            if getattr(self, row.field) != row.default
        }


@dataclass(frozen=True, kw_only=True)
class SimulateInputs:
    """Input of the simulation."""

    cluster: Annotated[tuple[Path, ...], Reads(read_paths, "FILE", repeatable=True)] = flag(
        NO_FILES, "what `kubectl get ... -o yaml` or -o json printed"
    )
    asgs: File = flag(None, "what `aws autoscaling describe-auto-scaling-groups` printed")
    launch_templates: File = flag(None, "what `aws ec2 describe-launch-template-versions` printed")
    instance_types: File = flag(None, "what `aws ec2 describe-instance-types` printed")
    nodegroups: Annotated[tuple[Path, ...], Reads(read_paths, "FILE", repeatable=True)] = flag(
        NO_FILES, "what `aws eks describe-nodegroup` printed"
    )
    policy: File = flag(None, "policy as in the ConfigMap's key, as YAML")
    ice: Annotated[tuple[Dry, ...], Reads(read_dry, "GROUP[:ZONE]", repeatable=True)] = flag(
        NONE_DRY, "a group without capacity, everywhere or in one zone"
    )
    at: Annotated[datetime | None, Reads(read_moment, "RFC3339")] = flag(
        NOW, "the moment of the decision; without it, the newest one in the input"
    )
    output: Literal["text", "json"] = flag("text", "what is printed")


@dataclass(frozen=True, kw_only=True)
class SnapshotInputs:
    """Output of the snapshot."""

    directory: Annotated[Path, Reads(read_path, "DIR")] = flag(
        Path("snapshot"), "folder for the files; made if missing"
    )


@dataclass(frozen=True, kw_only=True)
class SelftestInputs:
    """The trial."""

    group: str = flag("", "Auto Scaling group in which one instance is launched and terminated")
    output: File = flag(None, "file for every reply; made new, by default selftest-GROUP-TIME.jsonl here")


FLAGS: dict[str, Flag] = table(
    GroupFlags, LimitFlags, ScaleUpFlags, ScaleDownFlags, ModeFlags, PaceFlags, ClusterFlags, DrainFlags, AwsFlags,
    TellingFlags,
)  # fmt: skip
SIMULATE_FLAGS = table(SimulateInputs)
SNAPSHOT_FLAGS = table(SnapshotInputs)
SELFTEST_FLAGS = table(SelftestInputs)
