"""What stands behind the pods of a story: workloads, budgets, and the annotations of what is above them."""

from __future__ import annotations

from typing import Any

from autoscaler.core.model import OwnerRef, Uid
from autoscaler.core.podspec import LabelSelector, Requirement
from autoscaler.core.tuning import Annotated, Bearer, Key
from autoscaler.core.workload import PodDisruptionBudget, Workload
from tests import builders

Row = dict[str, Any]


def read_workload(row: Row) -> Workload:
    """A workload; `owned_by` is the kind and name of its own controller."""
    fields = dict(row)
    kind, _, name = fields.pop("owned_by", "").partition("/")
    owner = OwnerRef(kind, name, Uid(f"uid-{name}")) if name else None
    return builders.workload(**fields, owner=owner)


def read_annotated(row: Row) -> Annotated:
    """Annotations of namespaces and priority classes by name; `last_good` by kind, then by namespace and name."""
    unknown = row.keys() - {"namespaces", "priority_classes", "last_good"}
    if unknown:
        raise ValueError(f"annotated: unknown keys {sorted(unknown)}")
    last_good = {
        Bearer(kind, *key.split("/")): {Key(each): text for each, text in values.items()}
        for kind, bearers in row.get("last_good", {}).items()
        for key, values in bearers.items()
    }
    return Annotated(
        namespaces=row.get("namespaces", {}), priority_classes=row.get("priority_classes", {}), last_good=last_good
    )


def read_pdb(row: Row) -> PodDisruptionBudget:
    """A budget; `selects` are labels, absent for one that selects nothing."""
    unknown = row.keys() - {"name", "namespace", "selects", "allows"}
    if unknown:
        raise ValueError(f"pdb: unknown keys {sorted(unknown)}")
    selects = row.get("selects")
    wanted = None if selects is None else tuple(Requirement(key, "In", (value,)) for key, value in selects.items())
    return PodDisruptionBudget(
        namespace=row.get("namespace", "shop"),
        name=row["name"],
        selector=None if wanted is None else LabelSelector(wanted),
        disruptions_allowed=row.get("allows", 0),
    )
