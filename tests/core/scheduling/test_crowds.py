"""Every promise is one that the scheduler keeps, and nobody is left who could have had a place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hypothesis import given, settings

from autoscaler.core.layout import Layout, lay_out
from autoscaler.core.model import HOSTNAME_LABEL, ZONE_LABELS, Node, NodeGroup, Pod, Zone
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import Snapshot
from tests.core.scheduling.crowds import crowds
from tests.core.scheduling.naive import Box, NaiveScheduler
from tests.worlds import shuffled

law: Callable[..., Callable[..., None]] = settings(max_examples=150, derandomize=True)


def box_of(node: Node, pods: Sequence[Pod]) -> Box:
    room = dict(node.allocatable.items())
    on_it = [pod for pod in pods if pod.node == node.name]
    return Box(node.name, dict(node.labels), room, node.taints, node.is_cordoned, on_it)


def new_box(group: NodeGroup, zone: Zone, name: str) -> Box:
    labels = {**group.labels, **dict.fromkeys(ZONE_LABELS, str(zone)), HOSTNAME_LABEL: name}
    return Box(name, labels, dict(group.shapes[0].capacity.items()), group.taints)


def promises(world: Snapshot, layout: Layout) -> tuple[list[Box], dict[str, str]]:
    """The nodes to come of a layout, and the node of every pod that was promised one."""
    groups = {one.name: one for one in world.groups}
    boxes: list[Box] = []
    targets = {uid: place.view.labels[HOSTNAME_LABEL] for uid, place in layout.housed.items()}
    boxes += [new_box(one, instance.zone, f"({instance.id})") for one in world.groups for instance in one.instances]
    for number, (run, contents) in enumerate(layout.runs()):
        assert run.offering.zone is not None
        new = [
            new_box(groups[run.offering.group], run.offering.zone, f"new-{number}-{each}") for each in range(run.nodes)
        ]
        boxes += new
        for (_, per_node), pods in zip(run.contents, contents, strict=True):
            assert len(pods) == per_node * run.nodes
            for position, pod in enumerate(pods):
                targets[pod.uid] = new[position // per_node].name
    return boxes, targets


def orders(world: Snapshot, layout: Layout) -> Iterator[list[Pod]]:
    """Orders in which the pods could come: that of the queue, that of buying, and both turned round."""
    queue = sorted((pod for pod in world.pods if pod.node is None), key=lambda pod: (pod.created, pod.name))
    buying = [pod for one, _ in layout.wanted for pod in one.pods]
    mine = {pod.uid for pod in buying}
    buying = [pod for pod in queue if pod.uid not in mine] + buying
    yield from (queue, buying, queue[::-1], buying[::-1])


def play(world: Snapshot, layout: Layout, order: list[Pod]) -> tuple[NaiveScheduler, list[Pod]]:
    """Bind first what fits before any new node comes, then the rest; return those that the scheduler refuses."""
    new, targets = promises(world, layout)
    promised = [pod for pod in order if pod.uid in targets]
    scheduler = NaiveScheduler([box_of(node, world.pods) for node in world.nodes], world.namespaces)
    left = bind(scheduler, promised, targets)
    scheduler.boxes += new
    return scheduler, bind(scheduler, left, targets)


def bind(scheduler: NaiveScheduler, pods: list[Pod], targets: dict[str, str]) -> list[Pod]:
    """Put pods where they were promised to be, over and over; return those that the scheduler refuses."""
    boxes = {box.name: box for box in scheduler.boxes}
    left = pods
    while True:
        refused = []
        for pod in left:
            box = boxes.get(targets[pod.uid])
            if box is not None and not scheduler.faults(pod, box):
                box.pods.append(pod)
            else:
                refused.append(pod)
        if len(refused) == len(left):
            return refused
        left = refused


@law
@given(crowds())
def test_the_scheduler_keeps_every_promise_and_would_not_do_more(world: Snapshot) -> None:
    layout = lay_out(world)
    for order in orders(world, layout):
        scheduler, left = play(world, layout, order)
        if not left:
            break
    assert not left, [pod.key for pod in left]
    assert all(box.pods for box in scheduler.boxes if box.name.startswith("new"))
    bound = {pod.uid for box in scheduler.boxes for pod in box.pods}
    for pod in world.pods:
        if pod.uid not in bound:
            free = [box.name for box in scheduler.boxes if not scheduler.faults(pod, box)]
            assert not free, (pod.key, free)


@law
@given(crowds())
def test_nobody_is_left_whom_one_more_node_would_serve(world: Snapshot) -> None:
    layout = lay_out(world)
    new, targets = promises(world, layout)
    boxes = [box_of(node, world.pods) for node in world.nodes] + new
    by_name = {box.name: box for box in boxes}
    for pod in world.pods:
        if pod.uid in targets:
            by_name[targets[pod.uid]].pods.append(pod)
    caps = layout.buyer.caps
    for offer in layout.market.offers:
        if caps.room(offer) <= 0 or offer.objections:
            continue
        assert offer.offering.zone is not None
        scheduler = NaiveScheduler([*boxes, new_box(offer.group, offer.offering.zone, "more")], world.namespaces)
        for pod in world.pods:
            if pod.node is None and pod.uid not in targets:
                assert scheduler.faults(pod, scheduler.boxes[-1]), (pod.key, offer.offering)


@law
@given(crowds())
def test_every_pod_left_is_told_why_by_every_group(world: Snapshot) -> None:
    decision = plan(world)
    for pod in world.pods:
        if pod.node is None:
            verdict = decision.verdicts[pod.key]
            if verdict.outcome in ("waiting", "unschedulable"):
                assert verdict.objections.keys() == {group.name for group in world.groups}


@law
@given(crowds())
def test_the_order_in_which_the_world_is_told_does_not_matter(world: Snapshot) -> None:
    assert plan(shuffled(world, [3, 1, 2])) == plan(world)
