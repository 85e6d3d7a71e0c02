"""The spec by which a pod's scheduler judges it, given what its configuration adds."""

from __future__ import annotations

from typing import Any

from autoscaler.core.decision import Outcome, Why
from autoscaler.core.model import ZONE_LABEL, OwnerRef, Pod, Uid
from autoscaler.core.planner import plan
from autoscaler.core.podspec import LabelSelector, NodeTerm, Requirement, SpreadConstraint
from autoscaler.core.schedulers import Profile, Schedulers, Service
from autoscaler.core.scheduling.classes import classify
from autoscaler.core.scheduling.profiles import Profiles
from tests import builders
from tests.builders import group, node, pod, pods, snapshot, spec, workload

SSD = (NodeTerm((Requirement("disk", "In", ("ssd",)),)),)
ZONAL = (SpreadConstraint(ZONE_LABEL, 1, True, None),)
KUBERNETES = Service("default", ())
WEB = Service("shop", (("app", "web"),))
WEB_SET = OwnerRef("ReplicaSet", "web", Uid("uid-web"), "apps/v1")
TOOL = "example.com/tool"


def schedulers(*services: Service, owners: Any = (), **fields: Any) -> Schedulers:
    made = Schedulers(profiles={"default-scheduler": Profile(**fields)})
    return made.knowing((KUBERNETES, *services), owners)


def selector(**labels: str) -> LabelSelector:
    return LabelSelector(tuple(Requirement(key, "In", (value,)) for key, value in sorted(labels.items())))


def effective(one: Pod, given: Schedulers) -> Any:
    return Profiles(given).spec_of(one)


def test_without_a_profile_the_spec_is_the_pods_own() -> None:
    one = pod()
    assert effective(one, Schedulers()) is one.spec
    other = pod(scheduler="other")
    assert effective(other, schedulers(added_terms=SSD)) is other.spec


def test_added_terms_are_required_on_top_of_the_pods_own() -> None:
    one = pod("web-1", needs={"team": "red"})
    red, ssd = group("red", labels={"team": "red"}), group("ssd", labels={"team": "red", "disk": "ssd"})
    world = snapshot(pods=[one], groups=[red, ssd], schedulers=schedulers(added_terms=SSD))
    verdict = plan(world).verdicts[one.key]
    assert (verdict.outcome, verdict.group) == (Outcome.LAUNCH, "ssd")
    [objection] = verdict.objections[red.name]
    assert objection.why is Why.NODE_AFFINITY_MISMATCH
    assert "scheduler's own" in objection.detail


def test_added_terms_hold_on_existing_nodes_and_for_pods_that_move() -> None:
    world = snapshot(
        pods=[pod("a"), pod("b", scheduler="other")], nodes=[node("plain")], schedulers=schedulers(added_terms=SSD)
    )
    assert {key.name: one.outcome for key, one in plan(world).verdicts.items()} == {
        "a": Outcome.UNSCHEDULABLE,
        "b": Outcome.FITS_EXISTING,
    }


def test_the_selector_is_the_union_of_services_and_owner() -> None:
    labels = {"app": "web", "hash": "1", "team": "red"}
    one = pod(labels=labels, owner=WEB_SET)
    owner = workload("web", selector=selector(hash="1", app="web"))
    other, foreign = Service("shop", (("app", "db"),)), Service("elsewhere", (("team", "red"),))
    found = effective(one, schedulers(WEB, other, foreign, owners=[owner], default_spread=ZONAL))
    assert found.spread == (ZONAL[0]._replace(selector=selector(app="web", hash="1")),)


def test_no_selector_is_no_constraint() -> None:
    one = pod(labels={"app": "db"})
    assert effective(one, schedulers(WEB, default_spread=ZONAL)) is one.spec
    missing = pod(labels={"app": "db"}, owner=WEB_SET)
    owner = workload("other", selector=selector(app="x"))
    assert effective(missing, schedulers(WEB, owners=[owner], default_spread=ZONAL)) is missing.spec


def test_an_owner_of_another_api_selects_nothing() -> None:
    owner = workload("web", selector=selector(hash="1"))
    one = pod(labels={"app": "web"}, owner=WEB_SET._replace(api_version="argoproj.io/v1alpha1"))
    found = effective(one, schedulers(WEB, owners=[owner], default_spread=ZONAL))
    assert found.spread[0].selector == selector(app="web")


def test_any_constraint_of_its_own_replaces_the_defaults() -> None:
    soft = (SpreadConstraint(ZONE_LABEL, 1, False, selector(app="web")),)
    one = pod(labels={"app": "web"}, spread=soft)
    assert effective(one, schedulers(WEB, default_spread=ZONAL)) is one.spec


def test_what_is_not_known_is_refused_and_says_so() -> None:
    one = pod("web-1", labels={"app": "web"}, owner=WEB_SET)
    for given in (
        Schedulers(profiles={"default-scheduler": Profile(default_spread=ZONAL)}),
        schedulers(WEB, default_spread=ZONAL),
    ):
        verdict = plan(snapshot(pods=[one], groups=[group()], schedulers=given)).verdicts[one.key]
        assert verdict.outcome is Outcome.UNSCHEDULABLE
        assert {each.why for each in verdict.reasons} | {
            each.why for row in verdict.objections.values() for each in row
        } == {Why.UNKNOWN_CONSTRAINT}


def test_defaults_spread_new_nodes_over_zones() -> None:
    wanted = pods(3, labels=builders.pod(labels={"app": "web"}).labels, cpu="3")
    world = snapshot(pods=wanted, groups=[group()], schedulers=schedulers(WEB, default_spread=ZONAL))
    launches = plan(world).launches
    assert sorted(each.zone or "" for each in launches) == list(builders.ZONES)


def test_without_the_filter_no_constraint_is_kept() -> None:
    hard = SpreadConstraint(ZONE_LABEL, 1, True, selector(app="web"))
    soft = hard._replace(hard=False)
    found = effective(pod(spread=(hard, soft)), schedulers(spreads=False))
    assert found.spread == (soft,)


def test_ignored_resources_are_asked_of_no_node() -> None:
    shared = spec(extra={TOOL: "1", "hugepages-2Mi": "2Mi", "requests.x/y": "1", "a.kubernetes.io/z": "1"})
    names = frozenset((TOOL, "hugepages-2Mi", "requests.x/y", "a.kubernetes.io/z"))
    found = effective(pod(of=shared), schedulers(ignored_resources=names))
    assert set(shared.requests) - set(found.requests) == {TOOL}
    by_group = effective(pod(of=shared), schedulers(ignored_groups=frozenset(("example.com",))))
    assert set(shared.requests) - set(by_group.requests) == {TOOL}


def test_what_is_ignored_is_still_counted_for_others() -> None:
    has_one = node("n1", allocatable=builders.resources(cpu="4", memory="16Gi", pods="58", **{TOOL: "1"}))
    ignoring = pod("ignoring", node="n1", extra={TOOL: "1"}, unschedulable_since=None)
    counting = pod("counting", scheduler="other", extra={TOOL: "1"})
    given = schedulers(ignored_resources=frozenset((TOOL,)))
    world = snapshot(pods=[ignoring, counting], nodes=[has_one], schedulers=given)
    assert plan(world).verdicts[counting.key].outcome is Outcome.UNSCHEDULABLE
    another = pod("another", extra={TOOL: "1"})
    world = snapshot(pods=[ignoring, another], nodes=[has_one], schedulers=given)
    assert plan(world).verdicts[another.key].outcome is Outcome.FITS_EXISTING


def test_classes_stay_as_they_are() -> None:
    labels = builders.pod(labels={"app": "web"}).labels
    shared = spec()
    many = [*pods(50, of=shared, labels=labels), *pods(50, prefix="more", of=shared, labels=labels)]
    given = Profiles(schedulers(WEB, default_spread=ZONAL, added_terms=SSD))
    classes, _ = classify(many, None, given)
    assert [len(one.pods) for one in classes] == [100]
    assert classes[0].spec is given.spec_of(many[0])
