"""Virtual pods: what stands in a plan for room that is kept spare. Nothing of them is ever in the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from autoscaler.core.model import Node, OwnerRef, Pod, Uid
from autoscaler.core.podspec import PodSpec
from autoscaler.core.sizes import Extent

VIRTUAL = "virtual/"  # how the uid of a virtual pod begins; then comes why it is there
FLOOR, HEADROOM = f"{VIRTUAL}floor/", f"{VIRTUAL}headroom/"
LABEL = "priority-autoscaler/virtual"  # the only label of virtual pods, so that no real pod's rules see them
GROUP_LABEL = "priority-autoscaler/group"  # of no real node: by it virtual pods keep to a set of groups
LOWEST = -(2**31)  # the priority of all of them
MOST = 10_000  # virtual pods of one kind: more is a mistake
PLACEHOLDER = {"priority-autoscaler/placeholder": "true"}


def is_virtual(pod: Pod) -> bool:
    """Whether this is room that is kept spare: the API server gives no such uid."""
    return pod.uid.startswith(VIRTUAL)


def copies(name: str, count: int, spec: PodSpec, why: str, at: datetime) -> Iterator[Pod]:
    """Yield virtual pods of one kind; `why` is FLOOR or HEADROOM."""
    labels, owner = {LABEL: name}, OwnerRef("Headroom", name, Uid(f"{why}{name}"))
    for number in range(min(count, MOST)):
        key = f"{name}.{number}"
        yield Pod(
            namespace="", name=key, uid=Uid(f"{why}{key}"), spec=spec, labels=labels, annotations=PLACEHOLDER,
            owner=owner, created=at, unschedulable_since=at,
        )  # fmt: skip


def measure(nodes: Iterable[Node]) -> Extent:
    """Count as cluster-proportional-autoscaler does: allocatable cpu, rounded up at the end."""
    cpu, count = Counter[bool](), Counter[bool]()
    for node in nodes:
        is_schedulable = node.ready and not node.is_cordoned
        cpu[is_schedulable] += node.allocatable["cpu"]
        count[is_schedulable] += 1
    return Extent(
        cores=-(-(cpu[True] + cpu[False]) // 1000),
        nodes=count[True] + count[False],
        schedulable_cores=-(-cpu[True] // 1000),
        schedulable_nodes=count[True],
    )
