"""The last good value of each annotation, and who is told of the bad one."""

from __future__ import annotations

from autoscaler.core.tuning import Annotated, Bearer, Key
from autoscaler.kubernetes.tuned import Tuned, offline_faults
from tests import builders

WEB = Bearer("Deployment", "shop", "web")
GOOD, WORSE, OTHER = {Key.ON_DEMAND: "only"}, {Key.ON_DEMAND: "onyl"}, {Key.ON_DEMAND: "yes"}


def test_the_last_good_value_stays_through_several_bad_ones() -> None:
    tuned = Tuned()
    assert tuned.change(WEB, "1", None, GOOD)
    assert not tuned.faults
    assert tuned.change(WEB, "1", GOOD, WORSE)
    assert tuned.change(WEB, "1", WORSE, OTHER)
    assert tuned.last_good == {WEB: GOOD}
    assert "only stays in force" in tuned.faults[WEB].detail
    tuned.change(WEB, "1", OTHER, {Key.ON_DEMAND: "never"})
    assert (tuned.last_good, tuned.faults) == ({}, {})


def test_without_a_good_one_it_counts_as_absent() -> None:
    tuned = Tuned()
    tuned.change(WEB, "1", None, WORSE)
    assert tuned.last_good == {WEB: {}}
    assert "it counts as absent" in tuned.faults[WEB].detail


def test_each_key_is_kept_by_itself() -> None:
    tuned = Tuned()
    tuned.change(WEB, "1", {**GOOD, Key.MAX_WAIT: "5m"}, {**WORSE, Key.MAX_WAIT: "6m"})
    assert tuned.last_good == {WEB: GOOD}
    assert Key.MAX_WAIT not in tuned.faults[WEB].detail


def test_a_value_that_was_taken_away_is_gone() -> None:
    tuned = Tuned()
    tuned.change(WEB, "1", GOOD, WORSE)
    tuned.change(WEB, "1", WORSE, {})
    tuned.change(WEB, "1", {}, WORSE)
    assert tuned.last_good == {WEB: {}}


def test_the_end_of_an_object_leaves_its_successor_alone() -> None:
    tuned = Tuned()
    tuned.change(WEB, "1", GOOD, WORSE)
    tuned.change(WEB, "2", None, OTHER)
    assert tuned.last_good == {WEB: {}}, "what its predecessor said is not its own"
    tuned.change(WEB, "1", WORSE, None)
    assert tuned.faults[WEB].uid == "2"
    tuned.change(WEB, "2", OTHER, None)
    assert (tuned.last_good, tuned.faults) == ({}, {})


def test_what_the_product_does_not_read_changes_nothing() -> None:
    tuned = Tuned()
    assert not tuned.change(WEB, "1", {"a": "1"}, {"a": "2"})
    assert not tuned.change(WEB, "1", {"a": "1", **GOOD}, {"a": "2", **GOOD})


def test_what_was_handed_out_stays_as_it_was() -> None:
    tuned = Tuned()
    tuned.change(WEB, "1", GOOD, WORSE)
    before = tuned.last_good
    tuned.change(WEB, "1", WORSE, GOOD)
    assert before == {WEB: GOOD}


def test_faults_in_files_are_told_by_object_and_once_for_replicas() -> None:
    bad = {Key.MAX_WAIT: "soon"}
    pods = [builders.pod(name, owner="web", annotations=bad) for name in ("web-b", "web-a")]
    pods += [builders.pod("alone", annotations={Key.HEADROOM: "3"})]
    told = offline_faults(
        pods,
        [builders.workload("db", "StatefulSet", annotations={Key.HEADROOM: "three"})],
        Annotated(namespaces={"shop": bad}, priority_classes={"high": GOOD}),
    )
    assert [line.partition("priority-autoscaler/")[0] for line in told] == [
        "Namespace shop: ",
        "Pod shop/alone: ",
        "Pod shop/web-a: ",
        "StatefulSet shop/db: ",
    ]
    assert "headroom: stands on workloads with a scale, such as a Deployment; it counts as absent" in told[1]
