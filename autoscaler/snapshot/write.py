"""The command: read the cluster, then the account, show the files, and say how to decide on them.

Errors end it with one line; what had to be left out is told on standard error
as it happens. How a flag reaches `simulate` stands here: every policy flag
that is not at its default is repeated in the command that is printed.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio
import msgspec

from autoscaler import clock
from autoscaler.aws.client import connect as connect_aws
from autoscaler.aws.cloud_config import settings_of
from autoscaler.aws.discovery import Selection
from autoscaler.aws.fields import Document
from autoscaler.config import Config, SnapshotInputs
from autoscaler.config.config import FLAGS
from autoscaler.config.declare import table
from autoscaler.config.policy_flags import GroupFlags, LimitFlags, ScaleDownFlags, ScaleUpFlags
from autoscaler.config.values import render
from autoscaler.kubernetes.transport import KubernetesSettings
from autoscaler.kubernetes.transport import connect as connect_kubernetes
from autoscaler.snapshot.account import Account, AccountReader
from autoscaler.snapshot.cluster import ClusterWriter
from autoscaler.snapshot.files import Folder, folder

CLUSTER, ASGS, TEMPLATES, TYPES = "cluster.json", "asgs.json", "launch-templates.json", "instance-types.json"
NODEGROUPS = "nodegroups"  # a folder: one file for each EKS node group


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    at: datetime
    places: Sequence[Path]
    summary: str


def write_snapshot(config: Config, inputs: SnapshotInputs) -> int:
    """Write the files and print the command that reads them; return the exit code. Raises AutoscalerError."""
    for warning in config.warnings:
        _tell(warning)
    written = anyio.run(_write, config, inputs.directory)
    lines = [*map(str, written.places), written.summary, "", _command(config, inputs.directory, written)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(f"autoscaler snapshot: {line}\n")


async def _write(config: Config, directory: Path) -> _Written:
    with folder(directory) as files:
        counts = await _write_cluster(config, files)
        account = await _read_account(config)
        at = clock.now()
        _write_account(account, files)
        told = [f"{kind} {number}" for kind, number in sorted(counts.items()) if number]
        told.append(f"AutoScalingGroup {len(account.groups)}")
        return _Written(at=at, places=files.publish(), summary=", ".join(told))


async def _write_cluster(config: Config, files: Folder) -> dict[str, int]:
    settings = KubernetesSettings(
        kubeconfig=config.kubeconfig,
        master_url=config.kubernetes,
        qps=config.kube_client_qps,
        burst=config.kube_client_burst,
    )
    async with connect_kubernetes(settings) as api:
        with files.create(CLUSTER) as file:
            writer = ClusterWriter(api, file, _tell)
            await writer.write(config.namespace)
            return writer.counts


async def _read_account(config: Config) -> Account:
    selection = Selection.of(config)
    async with connect_aws(settings_of(config)) as aws:
        return await AccountReader(aws, _tell).read(selection, static_types=config.aws_use_static_instance_list)


def _write_account(account: Account, files: Folder) -> None:
    contents: dict[str, Document] = {
        ASGS: {"AutoScalingGroups": account.groups},
        TEMPLATES: {"LaunchTemplateVersions": account.templates},
        TYPES: {"InstanceTypes": account.instance_types},
    }
    contents |= {f"{NODEGROUPS}/{name}": document for name, document in account.nodegroups.items()}
    for name, content in contents.items():
        with files.create(name) as file:
            file.write(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _command(config: Config, directory: Path, written: _Written) -> str:
    words = [
        "autoscaler",
        "simulate",
        f"--cluster={directory / CLUSTER}",
        f"--asgs={directory / ASGS}",
        f"--launch-templates={directory / TEMPLATES}",
        f"--instance-types={directory / TYPES}",
        *(f"--nodegroups={place}" for place in sorted(written.places) if place.parent.name == NODEGROUPS),
        f"--at={written.at:%Y-%m-%dT%H:%M:%SZ}",
        *_policy(config),
    ]
    return shlex.join(words)


def _policy(config: Config) -> Iterator[str]:
    """Yield the flags on which a decision depends, where they are not at their default."""
    rows = table(GroupFlags, LimitFlags, ScaleUpFlags, ScaleDownFlags)
    for row in (*rows.values(), FLAGS["namespace"]):
        value = getattr(config, row.field)
        if value != row.default:
            for each in value if row.is_repeatable and isinstance(value, tuple) else (value,):
                yield f"--{row.name}={render(each)}"
