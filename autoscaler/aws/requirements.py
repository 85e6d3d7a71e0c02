"""Which instance types `InstanceRequirements` admit, by EC2's rules and defaults.

What the catalogue cannot judge (prices, bandwidth) is passed over: the answer
then holds more types than AWS would pick, and planning with the smallest of
them stays safe. Asked live only until EC2 itself has answered.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import TYPE_CHECKING

from autoscaler.aws.fields import Document, number, optional_text, table, texts

if TYPE_CHECKING:
    from autoscaler.aws.instance_types import Accelerators, InstanceTypeFacts

_INFERENCE = ("amazon-web-services",)


def admits(wishes: Document, facts: InstanceTypeFacts) -> bool:
    """Tell whether a type meets the requirements. Raises FieldError for one that is malformed."""
    if allowed := texts(wishes, "AllowedInstanceTypes"):
        if not _named(allowed, facts.name):
            return False
    elif _named(texts(wishes, "ExcludedInstanceTypes"), facts.name):
        return False
    generations = texts(wishes, "InstanceGenerations")
    makers = texts(wishes, "CpuManufacturers")
    disk_kinds = texts(wishes, "LocalStorageTypes") if facts.disk_gb else ()
    amounts = {
        "VCpuCount": facts.vcpus,
        "MemoryMiB": facts.memory_mib,
        "MemoryGiBPerVCpu": facts.memory_mib / 1024 / max(1, facts.vcpus),
        "NetworkInterfaceCount": facts.interfaces,
        "TotalLocalStorageGB": facts.disk_gb,
    }
    return (
        all(_within(table(wishes, name), amount) for name, amount in amounts.items())
        and _switched(wishes, "BareMetal", "excluded", has=facts.is_bare_metal)
        and _switched(wishes, "BurstablePerformance", "excluded", has=facts.is_burstable)
        and _switched(wishes, "LocalStorage", "included", has=facts.disk_gb > 0)
        and (not generations or ("current" if facts.is_current else "previous") in generations)
        and (not makers or facts.maker in makers)
        and (not disk_kinds or facts.disk_kind in disk_kinds)
        and _admits_devices(wishes, facts.accelerators)
    )


def _admits_devices(wishes: Document, devices: Accelerators | None) -> bool:
    if not _within(table(wishes, "AcceleratorCount"), devices.count if devices else 0):
        return False
    kinds, makers, names = (texts(wishes, f"Accelerator{what}") for what in ("Types", "Manufacturers", "Names"))
    memory = table(wishes, "AcceleratorTotalMemoryMiB")
    if devices is None:
        return not (kinds or makers or names or memory)
    kind = "inference" if devices.maker in _INFERENCE else "gpu"
    return (
        (not kinds or kind in kinds)
        and (not makers or devices.maker in makers)
        and (not names or devices.name in names)
        and _within(memory, devices.memory_mib)
    )


def _within(bounds: Document, amount: float) -> bool:
    least, most = number(bounds, "Min"), number(bounds, "Max")
    return (least is None or least <= amount) and (most is None or amount <= most)


def _switched(wishes: Document, name: str, default: str, *, has: bool) -> bool:
    wish = optional_text(wishes, name) or default
    return wish == "included" or (wish == "required") == has


def _named(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
