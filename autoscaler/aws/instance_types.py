"""What each EC2 instance type brings: the packaged catalogue and EC2's own answers.

Facts only; what a kubelet reserves of them is `core`'s business. The packaged
list is made by `python -m tests.tools.make_catalogue` and read on first use.
A type is described once and never changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from autoscaler.aws.requirements import admits
from autoscaler.core.resources import Resources

_MIB = 2**20
_GPU_RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "habana": "habana.ai/gaudi"}
_NEURON = "amazon-web-services"
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
_MAKERS = {"aws": _NEURON, "amazon": _NEURON, "intel": "intel", "amd": "amd", "nvidia": "nvidia", "habana": "habana"}


@dataclass(frozen=True, slots=True)
class Accelerators:
    """The devices of one type; `memory_mib` is that of all together, `cores` only Neuron has."""

    count: int
    maker: str
    name: str
    memory_mib: int
    cores: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceTypeFacts:
    """One instance type. Interfaces are those of the default network card, as the AWS CNI counts them."""

    name: str
    vcpus: int
    memory_mib: int
    interfaces: int
    addresses: int  # IPv4 per interface
    architecture: str = "amd64"
    maker: str = "intel"
    is_current: bool = True
    is_bare_metal: bool = False
    is_burstable: bool = False
    disk_gb: int = 0
    disk_kind: str = ""  # ssd | hdd
    accelerators: Accelerators | None = None

    @property
    def max_pods(self) -> int:
        """Pods that the AWS CNI has addresses for. Source: eni-max-pods.txt of amazon-eks-ami."""
        return self.interfaces * (self.addresses - 1) + 2

    @property
    def capacity(self) -> Resources:
        """Cpu, memory, pods and devices; nothing is subtracted."""
        amounts = {"cpu": self.vcpus * 1000, "memory": self.memory_mib * _MIB, "pods": self.max_pods}
        if devices := self.accelerators:
            if devices.maker in _GPU_RESOURCES:
                amounts[_GPU_RESOURCES[devices.maker]] = devices.count
            elif devices.cores:
                amounts["aws.amazon.com/neuron"] = devices.count
                amounts["aws.amazon.com/neuroncore"] = devices.count * devices.cores
        return Resources(amounts)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> InstanceTypeFacts | None:
        """Read one entry of DescribeInstanceTypes; None for what runs no Linux kubelet (mac).

        Raises KeyError, TypeError or ValueError when the entry is malformed.
        """
        architectures = document.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])
        architecture = next((_ARCHITECTURES[name] for name in architectures if name in _ARCHITECTURES), None)
        if architecture is None:
            return None
        network = document["NetworkInfo"]
        cards = {card.get("NetworkCardIndex", 0): card for card in network.get("NetworkCards", ())}
        card = cards.get(network.get("DefaultNetworkCardIndex", 0), network)
        disks = document.get("InstanceStorageInfo", {})
        return cls(
            name=str(document["InstanceType"]),
            vcpus=int(document["VCpuInfo"]["DefaultVCpus"]),
            memory_mib=int(document["MemoryInfo"]["SizeInMiB"]),
            interfaces=int(card.get("MaximumNetworkInterfaces", network["MaximumNetworkInterfaces"])),
            addresses=int(network["Ipv4AddressesPerInterface"]),
            architecture=architecture,
            maker=_maker(document.get("ProcessorInfo", {}).get("Manufacturer", "")),
            is_current=bool(document.get("CurrentGeneration", True)),
            is_bare_metal=bool(document.get("BareMetal", False)),
            is_burstable=bool(document.get("BurstablePerformanceSupported", False)),
            disk_gb=int(disks.get("TotalSizeInGB", 0)),
            disk_kind=next((str(disk.get("Type", "")) for disk in disks.get("Disks", ())), ""),
            accelerators=_accelerators(document),
        )


def _maker(name: str) -> str:
    words = name.lower().split()
    return _MAKERS.get(words[0], words[0]) if words else ""


def _accelerators(document: Mapping[str, Any]) -> Accelerators | None:
    if gpus := document.get("GpuInfo", {}).get("Gpus"):
        total = int(document["GpuInfo"].get("TotalGpuMemoryInMiB", 0))
        count = sum(int(gpu.get("LogicalGpuCount") or gpu["Count"]) for gpu in gpus)  # a share of a GPU counts as one
        return Accelerators(count, _maker(gpus[0].get("Manufacturer", "")), str(gpus[0].get("Name", "")).lower(), total)
    if devices := document.get("NeuronInfo", {}).get("NeuronDevices"):
        total = int(document["NeuronInfo"].get("TotalNeuronDeviceMemoryInMiB", 0))
        cores = int(devices[0].get("CoreInfo", {}).get("Count", 0))
        return Accelerators(int(devices[0]["Count"]), _NEURON, str(devices[0].get("Name", "")).lower(), total, cores)
    return None


def to_row(facts: InstanceTypeFacts) -> list[Any]:
    """Write facts as one row of the packaged list, without what is the default."""
    flags = "".join(
        letter
        for letter, is_set in (
            ("p", not facts.is_current),
            ("m", facts.is_bare_metal),
            ("b", facts.is_burstable),
        )
        if is_set
    )
    row: list[Any] = [facts.vcpus, facts.memory_mib, facts.interfaces, facts.addresses, facts.architecture, facts.maker]
    row += [flags, facts.disk_gb, facts.disk_kind]
    if devices := facts.accelerators:
        row += [devices.count, devices.maker, devices.name, devices.memory_mib, devices.cores]
    while not row[-1]:
        row.pop()
    return row


def from_row(name: str, row: Sequence[Any]) -> InstanceTypeFacts:
    """Undo `to_row`."""
    flags = row[6] if len(row) > 6 else ""
    return InstanceTypeFacts(
        name=name,
        vcpus=row[0],
        memory_mib=row[1],
        interfaces=row[2],
        addresses=row[3],
        architecture=row[4],
        maker=row[5],
        is_current="p" not in flags,
        is_bare_metal="m" in flags,
        is_burstable="b" in flags,
        disk_gb=row[7] if len(row) > 7 else 0,
        disk_kind=row[8] if len(row) > 8 else "",
        accelerators=Accelerators(*row[9:14]) if len(row) > 9 else None,
    )


@lru_cache(maxsize=1)
def _packaged() -> Mapping[str, Sequence[Any]]:
    rows: dict[str, Sequence[Any]] = json.loads(Path(__file__).with_name("catalogue.json").read_bytes())["types"]
    return rows


class Catalogue:
    """Instance types by name: what EC2 described, else the packaged facts. Immutable."""

    __slots__ = ("_described",)

    def __init__(self, described: Mapping[str, InstanceTypeFacts] | None = None) -> None:
        self._described = dict(described or {})

    def __contains__(self, name: object) -> bool:
        return name in self._described or name in _packaged()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._described.keys() | _packaged().keys()))

    def get(self, name: str) -> InstanceTypeFacts | None:
        if found := self._described.get(name):
            return found
        row = _packaged().get(name)
        return from_row(name, row) if row is not None else None

    def with_types(self, facts: Iterable[InstanceTypeFacts]) -> Catalogue:
        """Return this catalogue with `facts` in place of what it had for those types."""
        return Catalogue(self._described | {each.name: each for each in facts})

    def matching(self, requirements: Mapping[str, Any], architecture: str) -> tuple[str, ...]:
        """Name the types that `InstanceRequirements` admit, in the order of their names. Raises FieldError."""
        found = (self.get(name) for name in self)
        return tuple(
            facts.name
            for facts in found
            if facts is not None and facts.architecture == architecture and admits(requirements, facts)
        )
