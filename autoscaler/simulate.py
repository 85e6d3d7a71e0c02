"""One decision, offline, from what kubectl and aws printed.

Reads the files, builds the Snapshot that the loop would have built from its
caches, and plans. Keeps nothing between calls and never looks at the clock:
without `--at`, the newest timestamp in the input is now. Whatever cannot be
read is one InputError that names the file, the object and the fault.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from autoscaler.aws import offline as aws_files
from autoscaler.aws.discovery import Selection
from autoscaler.config import Config, SimulateInputs
from autoscaler.config.policy import to_policy
from autoscaler.core.decision import Decision
from autoscaler.core.model import GroupName, NodeGroup, Zone
from autoscaler.core.planner import plan
from autoscaler.core.policy import PolicyError, Tiers
from autoscaler.core.reserve import Headroom
from autoscaler.core.scaleup.capacity import CapacityMemory
from autoscaler.core.scaleup.pools import pools_of
from autoscaler.core.schedulers import NO_SCHEDULERS, Schedulers
from autoscaler.core.snapshot import Snapshot
from autoscaler.errors import AutoscalerError
from autoscaler.kubernetes.convert import MalformedObjectError, parse_priorities
from autoscaler.kubernetes.gaps import tell_gaps
from autoscaler.kubernetes.offline import ClusterObjects, read_cluster
from autoscaler.kubernetes.policy_config import CONFIG_MAP as POLICY_CONFIG_MAP
from autoscaler.kubernetes.policy_config import KEY as POLICY_KEY
from autoscaler.kubernetes.policy_config import OperatorPolicy, parse_policy
from autoscaler.kubernetes.reserve_config import CONFIG_MAP as HEADROOM_CONFIG_MAP
from autoscaler.kubernetes.reserve_config import parse_headroom
from autoscaler.kubernetes.scheduler_config import SchedulerConfigError, parse_scheduler_config
from autoscaler.kubernetes.tuned import offline_faults
from autoscaler.kubernetes.yaml_text import YamlFault, load_documents, one_line

_TIMESTAMP = re.compile(rb"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)")
_KEY_BEFORE = re.compile(rb"([A-Za-z]+)\"?\s*:\s*[\"']?$")  # `key: time`, in JSON or YAML
_END_BEHIND = re.compile(rb"[\"']?\s*(?:[,}\]\r\n]|$)")  # and nothing more in the value
_LONGEST_KEY = 64
_IN_THE_FUTURE = frozenset((b"deletionTimestamp",))  # when a grace period ends, not when something happened
PRIORITY_CONFIG_MAP = "cluster-autoscaler-priority-expander"
ICE_LASTS = timedelta(days=1)  # longer than any decision looks ahead


class _Loader(yaml.CSafeLoader):
    """The safe loader, which leaves timestamps the texts that they are in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class InputError(AutoscalerError):
    """Input that cannot be used; the text is one line. The command exits with 2."""

    exit_code = 2


class Simulation:
    """The inputs of one `simulate`, read."""

    def __init__(self, config: Config, inputs: SimulateInputs) -> None:
        self._config = config
        self._inputs = inputs
        self._contents: dict[Path, bytes] = {}
        self.warnings: list[str] = []

    def snapshot(self) -> Snapshot:
        """Build the world that the files describe. Raises InputError."""
        cluster = self._cluster()
        groups = self._groups()
        at = self._inputs.at or self._newest()
        policy = to_policy(self._config, self._tiers(cluster))
        operator = self._operator_policy(cluster)
        return Snapshot(
            at=at,
            pods=cluster.pods,
            nodes=cluster.nodes,
            groups=groups,
            daemonsets=cluster.daemonsets,
            namespaces=cluster.namespaces,
            annotated=cluster.annotated,
            reserve=operator.reserve.joined_by(self._headroom(cluster)),
            storage=cluster.storage,
            workloads=cluster.workloads,
            pdbs=cluster.budgets,
            policy=replace(policy, await_scheduler=False, scale_down=operator.join(policy.scale_down)),
            schedulers=self._schedulers(cluster),
            memory=self._dry(groups, at),
        )

    def decide(self) -> Decision:
        return plan(self.snapshot())

    def _cluster(self) -> ClusterObjects:
        files = [(str(path), list(self._documents(path))) for path in self._inputs.cluster]
        try:
            cluster = read_cluster(files)
        except MalformedObjectError as error:
            raise InputError(f"{one_line(error)}; nothing is decided on such input") from None
        self.warnings += (*cluster.warnings, *tell_gaps(cluster))
        self.warnings += offline_faults(cluster.pods, cluster.workloads, cluster.annotated)
        return cluster

    def _groups(self) -> tuple[NodeGroup, ...]:
        inputs, config = self._inputs, self._config
        selection = Selection.of(config)
        files = aws_files.Files(
            asgs=self._replies(inputs.asgs),
            launch_templates=self._replies(inputs.launch_templates),
            instance_types=self._replies(inputs.instance_types),
            nodegroups=tuple(one for path in inputs.nodegroups for one in self._replies(path)),
        )
        profile = None if config.reserved_profile == "auto" else config.reserved_profile
        try:
            groups = aws_files.read_groups(files, selection, profile)
        except aws_files.InputError as error:
            raise InputError(one_line(error)) from None
        absent = sorted(selection.bounds.keys() - {group.name for group in groups})
        if absent:
            raise InputError(f"{inputs.asgs}: --nodes names {', '.join(absent)}, which the file does not hold")
        if not groups:
            told = ", ".join(key if value is None else f"{key}={value}" for key, value in selection.tags.items())
            self.warnings.append(f"{inputs.asgs}: no group has all the tags {told}" if told else "there is no group")
        return groups

    def _tiers(self, cluster: ClusterObjects) -> Tiers:
        found = cluster.config_map(self._config.namespace, PRIORITY_CONFIG_MAP)
        if found is None:
            return Tiers()
        try:
            return parse_priorities(found.data.get("priorities", ""))
        except PolicyError as error:
            self.warnings.append(f"ConfigMap {found.namespace}/{found.name}: {error}; all groups are one tier")
            return Tiers()

    def _operator_policy(self, cluster: ClusterObjects) -> OperatorPolicy:
        """Read the policy: that of the file, which must be right, else the ConfigMap's."""
        path = self._inputs.policy
        if path is not None:
            try:
                return parse_policy(self._read(path).decode())
            except (PolicyError, UnicodeDecodeError) as error:
                raise InputError(f"{path}: {one_line(error)}") from None
        found = cluster.config_map(self._config.namespace, POLICY_CONFIG_MAP)
        if found is None:
            return OperatorPolicy()
        try:
            return parse_policy(found.data.get(POLICY_KEY, ""))
        except PolicyError as error:
            self.warnings.append(f"ConfigMap {found.namespace}/{found.name}: {error}; it is left out")
            return OperatorPolicy()

    def _headroom(self, cluster: ClusterObjects) -> tuple[Headroom, ...]:
        found = cluster.config_map(self._config.namespace, HEADROOM_CONFIG_MAP)
        if found is None:
            return ()
        try:
            return parse_headroom(found.data)
        except PolicyError as error:
            self.warnings.append(f"ConfigMap {found.namespace}/{found.name}: {error}; it is left out")
            return ()

    def _schedulers(self, cluster: ClusterObjects) -> Schedulers:
        """Read the schedulers' configuration, which must be right. Raises InputError."""
        path = self._config.scheduler_config_file
        if path is None:
            return NO_SCHEDULERS
        try:
            read = parse_scheduler_config(self._read(path).decode(), str(path))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: {error}") from None
        except SchedulerConfigError as error:
            raise InputError(one_line(error)) from None
        self.warnings += [f"{path}: {warning}" for warning in read.warnings]
        return read.schedulers.knowing(cluster.services, cluster.workloads)

    def _dry(self, groups: Iterable[NodeGroup], at: datetime) -> CapacityMemory:
        known = {group.name: group for group in groups}
        memory = CapacityMemory()
        for dry in self._inputs.ice:
            group = known.get(GroupName(dry.group))
            if group is None:
                raise InputError(f"--ice {dry}: there is no group {dry.group}")
            if dry.zone is not None and dry.zone not in group.zones:
                raise InputError(f"--ice {dry}: the group's zones are {', '.join(group.zones)}")
            zone = Zone(dry.zone) if dry.zone is not None else None
            memory = memory.with_dry(pools_of(group, zone), at + ICE_LASTS, "declared dry by --ice")
        return memory

    def _newest(self) -> datetime:
        inputs = self._inputs
        paths = [*inputs.cluster, inputs.asgs, inputs.launch_templates, inputs.instance_types, *inputs.nodegroups]
        found = [moment for path in paths if path is not None for moment in _timestamps(self._read(path))]
        if not found:
            raise InputError(f"{inputs.cluster[0]}: no timestamp in the input; say by --at when the decision is made")
        return max(found)

    def _documents(self, path: Path) -> Iterator[Any]:
        """Read one file as JSON or YAML, whatever its name. Raises InputError."""
        content = self._read(path)
        if content.lstrip()[:1] in (b"{", b"["):
            try:
                json.loads(content)
            except RecursionError:
                raise InputError(f"{path}: nested too deeply") from None
            except ValueError:
                pass  # several documents in a row, or YAML in flow style
            else:
                yield content  # as bytes: structs are decoded from bytes far faster than from dicts
                return
        yield from _load_yaml(path, content)

    def _replies(self, path: Path | None) -> tuple[aws_files.Input, ...]:
        """Read one file of AWS replies. Raises InputError."""
        if path is None:
            return ()
        content = self._read(path)
        try:
            documents = [json.loads(content)]
        except RecursionError:
            raise InputError(f"{path}: nested too deeply") from None
        except ValueError:
            documents = _load_yaml(path, content)
        return tuple(aws_files.Input(str(path), document) for document in documents if document is not None)

    def _read(self, path: Path) -> bytes:
        """Return a file as UTF-8, read once: it may be a pipe. Raises InputError."""
        content = self._contents.get(path)
        if content is None:
            try:
                content = path.read_bytes()
                if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # as PowerShell redirects
                    content = content.decode("utf-16").encode()
            except OSError as error:
                raise InputError(f"{path}: {error.strerror or error}") from None
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: {error}") from None
            if not content.strip():
                raise InputError(f"{path}: empty; nothing can be decided on it")
            self._contents[path] = content.removeprefix(codecs.BOM_UTF8)
        return self._contents[path]


def _timestamps(content: bytes) -> Iterator[datetime]:
    for match in _TIMESTAMP.finditer(content):
        start, end = match.span()
        key = _KEY_BEFORE.search(content[max(0, start - _LONGEST_KEY) : start])
        if key is None or key[1] in _IN_THE_FUTURE or not _END_BEHIND.match(content[end : end + _LONGEST_KEY]):
            continue
        try:
            yield datetime.fromisoformat(match[0].decode().upper()).astimezone(UTC)
        except ValueError:
            continue


def _load_yaml(path: Path, content: bytes) -> list[Any]:
    try:
        return load_documents(content, _Loader)
    except YamlFault as fault:
        raise InputError(f"{path}: {fault}") from None
