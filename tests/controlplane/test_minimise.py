"""A world shrinks to what the difference needs, whoever it is that differs."""

from autoscaler.core.snapshot import Snapshot
from tests.builders import NOW
from tests.controlplane.comparison import Comparison, Difference, Kind
from tests.controlplane.minimise import minimise
from tests.controlplane.wishes import by_node_affinity
from tests.controlplane.worlds import World, build, name_of


def differ_about_affinity(world: World, *, to_the_end: bool = True) -> Comparison:
    """As if by us alone a pod with a required node affinity went to any node with a label `disk`."""
    found = Comparison(Snapshot(at=NOW))
    for pod in world.pending:
        terms = pod["spec"].get("affinity", {}).get("nodeAffinity")
        for node in world.nodes if terms else ():
            if "disk" in node["metadata"]["labels"]:
                found.differences.append(Difference(Kind.FITS_BY_US, name_of(pod), name_of(node)))
    return found


def test_what_does_not_matter_is_left_out() -> None:
    world = next(each for each in map(build, range(1, 50)) if differ_about_affinity(each).differences)
    small, found = minimise(world, differ_about_affinity(world), differ_about_affinity)
    [node], [pod] = small.nodes, small.pending
    assert "taints" not in node["spec"] or not node["spec"]["taints"]
    assert {"disk"} == node["metadata"]["labels"].keys() & {"disk", "team", "generation"}
    assert pod["spec"].keys() == {"containers", "affinity"}
    assert [small.residents, small.storage, small.daemonsets, small.groups] == [[]] * 4
    assert [each.pod for each in found.differences] == [name_of(pod)]


def test_no_time_leaves_the_world_as_it_was() -> None:
    world = build(3, [by_node_affinity])
    found = Comparison(Snapshot(at=NOW), differences=[Difference(Kind.FITS_BY_US, "wait-0-0", "node-0")])
    assert minimise(world, found, differ_about_affinity, seconds=-1)[0] is world


def test_a_world_that_nobody_can_load_is_no_smaller_one() -> None:
    def needs_every_node(smaller: World, *, to_the_end: bool = True) -> Comparison:
        if len(smaller.nodes) < len(world.nodes):
            raise KeyError("spec")
        return differ_about_affinity(smaller, to_the_end=to_the_end)

    world = next(each for each in map(build, range(1, 50)) if differ_about_affinity(each).differences)
    small, _ = minimise(world, differ_about_affinity(world), needs_every_node)
    assert len(small.nodes) == len(world.nodes)
    assert len(small.pending) == 1
