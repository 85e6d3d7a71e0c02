"""What holds of every decision, whatever the world."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoscaler.core.decision import Decision, Outcome, Why
from autoscaler.core.model import ZONE_LABEL, LaunchMethod, NodeGroup, Pod, Zone
from autoscaler.core.planner import plan
from autoscaler.core.snapshot import Snapshot, Wave
from tests.builders import ZONES, group, snapshot
from tests.scarcity import Scarcity, play
from tests.worlds import (
    SIZES,
    can_be_packed,
    carried_out,
    empty_node,
    first_fit,
    kind,
    obstacles,
    pending,
    shuffled,
    worlds,
)

law: Callable[..., Callable[..., None]] = settings(max_examples=80, derandomize=True)
JUDGED = (Outcome.LAUNCH, Outcome.WAITING, Outcome.UNSCHEDULABLE)


def group_of(world: Snapshot, name: str | None) -> NodeGroup:
    return next(one for one in world.groups if one.name == name)


def waiting_pods(world: Snapshot) -> list[Pod]:
    return [pod for pod in world.pods if pod.node is None]


def judged(world: Snapshot, decision: Decision) -> list[Pod]:
    return [pod for pod in waiting_pods(world) if decision.verdicts[pod.key].outcome in JUDGED]


@law
@given(worlds())
def test_every_pending_pod_gets_exactly_one_verdict(world: Snapshot) -> None:
    assert plan(world).verdicts.keys() == {pod.key for pod in waiting_pods(world)}


@law
@given(worlds())
def test_every_pod_of_a_launch_has_that_verdict_and_no_other_pod_has(world: Snapshot) -> None:
    decision = plan(world)
    launched = [(pod, launch.group) for launch in decision.launches for pod in launch.pods]
    told = [(key, verdict.group) for key, verdict in decision.verdicts.items() if verdict.outcome is Outcome.LAUNCH]
    assert sorted(launched) == sorted((key, group or "") for key, group in told)


@law
@given(worlds())
def test_no_group_and_no_cluster_passes_its_maximum(world: Snapshot) -> None:
    decision, policy = plan(world), world.policy
    units: Counter[str] = Counter()
    nodes = len(world.nodes)
    cores = sum(node.capacity["cpu"] for node in world.nodes)
    known = {node.instance_id for node in world.nodes}
    for one in world.groups:
        most = max(shape.capacity["cpu"] for shape in one.shapes)
        without = sum(instance.id not in known for instance in one.instances)
        new = sum(launch.count for launch in decision.launches if launch.group == one.name)
        nodes += without + new
        cores += (without + new) * most
        units[one.name] = sum(launch.units for launch in decision.launches if launch.group == one.name)
        assert not units[one.name] or one.desired + units[one.name] <= one.max_size
    launched = sum(launch.count for launch in decision.launches)
    assert launched <= policy.max_nodes_per_scaleup
    assert not launched or not policy.max_nodes_total or nodes <= policy.max_nodes_total
    assert not launched or cores <= policy.max_cores_total * 1000


@law
@given(worlds())
def test_units_are_nodes_times_the_weight(world: Snapshot) -> None:
    for launch in plan(world).launches:
        assert launch.units == launch.count * group_of(world, launch.group).weight
        assert launch.count > 0


@law
@given(worlds())
def test_nothing_in_backoff_or_suspended_is_launched(world: Snapshot) -> None:
    for launch in plan(world).launches:
        one = group_of(world, launch.group)
        assert not world.memory.availability(one, launch.zone, world.at).objections
        assert "Launch" not in one.suspended
        assert launch.zone is None or launch.zone in one.zones


@law
@given(worlds(), st.lists(st.integers(), min_size=1, max_size=8))
def test_shuffling_the_input_changes_nothing(world: Snapshot, order: list[int]) -> None:
    assert plan(shuffled(world, order)) == plan(world)


@law
@given(worlds())
def test_planning_changes_nothing_that_it_was_given(world: Snapshot) -> None:
    before = repr(world)
    plan(world)
    assert repr(world) == before


@law
@given(worlds())
def test_the_chosen_group_never_objects_and_who_cannot_host_does(world: Snapshot) -> None:
    decision = plan(world)
    for pod in judged(world, decision):
        verdict = decision.verdicts[pod.key]
        assert verdict.group not in verdict.objections
        for one in world.groups:
            found = {str(reason.why) for reason in verdict.objections.get(one.name, ())}
            missing = obstacles(world, pod, one) - found
            assert one.name == verdict.group or not missing


@law
@given(worlds())
def test_without_a_launch_every_group_objects(world: Snapshot) -> None:
    decision = plan(world)
    for pod in judged(world, decision):
        verdict = decision.verdicts[pod.key]
        if verdict.outcome is not Outcome.LAUNCH:
            assert verdict.objections.keys() == {one.name for one in world.groups}


@law
@given(worlds())
def test_unschedulable_means_that_no_group_could(world: Snapshot) -> None:
    decision = plan(world)
    left_out = {Why.NOT_IN_PRIORITIES, Why.LAUNCH_SUSPENDED}
    for pod in judged(world, decision):
        verdict = decision.verdicts[pod.key]
        hosts = [one for one in world.groups if not obstacles(world, pod, one)]
        able = [one for one in hosts if not left_out & {r.why for r in verdict.objections.get(one.name, ())}]
        assert (verdict.outcome is Outcome.UNSCHEDULABLE) == (not able)


@law
@given(worlds())
def test_the_lower_tier_is_bought_only_when_the_higher_objects(world: Snapshot) -> None:
    decision = plan(world)
    tiers = world.policy.tiers.assign(one.name for one in world.groups)
    for launch in decision.launches:
        if len(launch.pods) != 1:
            continue  # others may fill a node that was opened for the first
        verdict = decision.verdicts[launch.pods[0]]
        for one in world.groups:
            if (tiers[one.name] or -1) > (tiers[launch.group] or -1):
                assert one.name in verdict.objections


@law
@given(worlds())
def test_a_launch_promises_no_more_than_empty_nodes_have(world: Snapshot) -> None:
    by_key = {pod.key: pod for pod in world.pods}
    for launch in plan(world).launches:
        one = group_of(world, launch.group)
        pods = [by_key[key] for key in launch.pods]
        assert not any(obstacles(world, pod, one) for pod in pods)
        assert {dict(pod.spec.node_selector).get(ZONE_LABEL, launch.zone) for pod in pods} <= {launch.zone}
        assert can_be_packed(pods, launch.count, empty_node(world, one))


@law
@given(worlds())
def test_high_priority_never_waits_for_low(world: Snapshot) -> None:
    decision = plan(world)
    by_key = {pod.key: pod for pod in world.pods}
    for pod in judged(world, decision):
        if decision.verdicts[pod.key].outcome is Outcome.LAUNCH:
            continue
        for launch in decision.launches:
            one = group_of(world, launch.group)
            zone = dict(pod.spec.node_selector).get(ZONE_LABEL, launch.zone)
            lower = all(by_key[key].spec.priority < pod.spec.priority for key in launch.pods)
            assert not lower or obstacles(world, pod, one) or zone != launch.zone


@law
@given(worlds())
def test_carried_out_a_plan_repeated_launches_nothing(world: Snapshot) -> None:
    decision = plan(world)
    burst = sum(launch.count for launch in decision.launches)
    assume(burst < world.policy.max_nodes_per_scaleup)  # else the next pass goes on
    assert not plan(carried_out(world, decision)).launches


@law
@given(worlds(), st.data())
def test_a_pass_ends_and_leaves_no_surplus(world: Snapshot, data: st.DataObject) -> None:
    aws = Scarcity()
    for one in world.groups:
        for zone in one.zones:
            if data.draw(st.booleans()):
                aws.empty(one, Zone(zone), left=data.draw(st.integers(0, 2)))
    course = play(world, aws)
    new = frozenset(instance.id for one in course.after.groups for instance in one.instances if "new" in instance.id)
    after = plan(replace(course.after, wave=Wave(launched=new)))
    assert not [removal for removal in after.removals if removal.reason == "Surplus"]
    assert not after.launches
    for one in course.after.groups:
        assert one.live_units <= max(one.max_size, group_of(world, one.name).live_units)


@law
@given(pending(), st.integers(1, 3), st.sampled_from(sorted(SIZES)))
def test_classes_are_packed_as_single_pods_would_be(pods: list[Pod], zones: int, size: str) -> None:
    one = group(zones=ZONES[:zones], shapes=(kind(size),), max_size=1000)
    world = snapshot(groups=(one,), pods=pods)
    room = empty_node(world, one)
    free = [pod for pod in pods if not pod.spec.node_selector and pod.spec.priority >= -10]
    able = [pod for pod in free if not obstacles(world, pod, one)]

    def share(pod: Pod) -> float:
        return max(amount / room[name] for name, amount in pod.spec.requests.items())

    oldest = {id(pod.spec): min((p.created, p.name) for p in able if p.spec is pod.spec) for pod in able}
    able.sort(key=lambda pod: (-pod.spec.priority, -share(pod), oldest[id(pod.spec)], pod.created, pod.name))
    decision = plan(replace(world, pods=tuple(free)))
    assert sum(launch.count for launch in decision.launches) == first_fit(able, room)


@law
@given(worlds())
def test_a_desired_launch_names_no_zone_of_several(world: Snapshot) -> None:
    for launch in plan(world).launches:
        one = group_of(world, launch.group)
        assert (launch.zone is None) == (launch.method is LaunchMethod.DESIRED and len(one.zones) > 1)
