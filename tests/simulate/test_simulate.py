"""`autoscaler simulate` as its user runs it: whole processes, files in, a decision or one clear line out."""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.simulate.files import Case, asg, pod, priorities


def test_the_contract_of_the_output(case: Case) -> None:
    assert case.decide() == {
        "at": "2026-01-01T12:00:00Z",
        "launches": [
            {
                "group": "spot-a",
                "zone": "eu-west-3a",
                "count": 1,
                "cause": "Pending",
                "pods": ["shop/web-1", "shop/web-2"],
            }
        ],
        "verdicts": {
            "shop/web-1": {"outcome": "launch", "group": "spot-a", "objections": {"od-a": ["LowerTier"]}},
            "shop/web-2": {"outcome": "launch", "group": "spot-a", "objections": {"od-a": ["LowerTier"]}},
        },
        "drains": [],
        "kept": {},
    }


def test_equal_input_in_any_order_gives_equal_output(case: Case) -> None:
    chance = random.Random(4)
    objects = [pod(f"web-{number}", cpu=f"{300 + 50 * (number % 5)}m") for number in range(30)]
    objects.append(priorities("20: [spot]\n10: [od]\n"))
    groups = [asg(f"spot-{letter}", MaxSize=2) for letter in "abc"] + [asg("od-a", spot=False)]
    outputs = set()
    for _ in range(4):
        chance.shuffle(objects)
        chance.shuffle(groups)
        half = len(objects) // 2
        case.cluster(*objects[:half])
        case.cluster(*objects[half:], name="more.json")
        case.asgs(*groups)
        outputs.add(case.run(cluster=("cluster.yaml", "more.json")).stdout)
    assert len(outputs) == 1


def test_the_newest_of_an_object_counts_in_any_order_of_the_files(case: Case) -> None:
    old, new = pod("web-1"), pod("web-1", cpu="100")
    old["metadata"]["resourceVersion"], new["metadata"]["resourceVersion"] = "9", "10"
    case.cluster(old, name="old.yaml")
    case.cluster(new, name="new.json")
    runs = [case.run(cluster=order) for order in (("old.yaml", "new.json"), ("new.json", "old.yaml"))]
    assert runs[0].stdout == runs[1].stdout
    assert json.loads(runs[0].stdout)["verdicts"]["shop/web-1"]["outcome"] == "unschedulable"
    for done in runs:
        assert "Pod shop/web-1: more than once in new.json, old.yaml; the newest version counts" in done.stderr
    del new["metadata"]["resourceVersion"]
    case.cluster(new, name="new.json")
    done = case.run(cluster=("old.yaml", "new.json"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "new.json, old.yaml: Pod shop/web-1: given 2 times: they differ" in done.stderr


def test_what_a_pod_would_rather_have_is_told_where_it_is_not_honoured(case: Case) -> None:
    def preferring(name: str, operator: str, *zones: str) -> dict[str, Any]:
        term = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": operator, "values": zones}]}
        soft = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
        return pod(name, cpu="3", affinity={"nodeAffinity": soft})

    case.cluster(
        preferring("far", "In", "us-east-1a"),
        preferring("near", "In", "eu-west-3c"),
        preferring("odd", "Near", "eu-west-3a"),
    )
    case.asgs(asg("spot-a"))
    decided = case.decide()
    assert decided["verdicts"] == {
        "shop/far": {"outcome": "launch", "group": "spot-a", "objections": {}, "unmet": ["PreferredNodeAffinity"]},
        "shop/near": {"outcome": "launch", "group": "spot-a", "objections": {}},
        "shop/odd": {"outcome": "launch", "group": "spot-a", "objections": {}, "unmet": ["PreferredNodeAffinity"]},
    }
    assert "eu-west-3c" in {each["zone"] for each in decided["launches"] if "shop/near" in each["pods"]}


def test_a_dry_group_is_passed_over_and_says_so(case: Case) -> None:
    decided = case.decide("--ice=spot-a")
    assert [each["group"] for each in decided["launches"]] == ["od-a"]
    assert decided["verdicts"]["shop/web-1"]["objections"] == {"spot-a": ["InBackoff"]}


def test_a_group_dry_in_one_zone_is_used_in_another(case: Case) -> None:
    decided = case.decide("--ice=spot-a:eu-west-3a")
    assert [(each["group"], each["zone"]) for each in decided["launches"]] == [("spot-a", "eu-west-3b")]


def test_groups_on_the_same_pools_are_dry_together(case: Case) -> None:
    case.asgs(asg("spot-a"), asg("spot-b"), asg("od-a", spot=False))
    assert [each["group"] for each in case.decide("--ice=spot-a")["launches"]] == ["od-a"]


def test_all_dry_leaves_the_pods_waiting(case: Case) -> None:
    decided = case.decide("--ice=spot-a", "--ice=od-a")
    assert decided["launches"] == []
    assert {each["outcome"] for each in decided["verdicts"].values()} == {"waiting"}


def test_flags_of_run_count_here_too(case: Case) -> None:
    assert case.decide("--nodes=0:0:spot-a", "--nodes=0:3:od-a")["verdicts"]["shop/web-1"] == {
        "outcome": "launch",
        "group": "od-a",
        "objections": {"spot-a": ["MaxSizeReached"]},
    }
    assert case.decide("--expendable-pods-priority-cutoff=1")["verdicts"]["shop/web-1"]["outcome"] == "expendable"


def test_an_unreadable_constraint_makes_its_pod_unschedulable_by_name(case: Case) -> None:
    strange = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "Resembles", "values": ["ssd"]}]}
    ]}}}  # fmt: skip
    case.cluster(pod("odd", affinity=strange), pod("plain"))
    verdicts = case.decide()["verdicts"]
    assert verdicts["shop/odd"]["outcome"] == "unschedulable"
    assert "UnknownConstraint" in verdicts["shop/odd"]["objections"]["spot-a"]
    assert verdicts["shop/plain"]["outcome"] == "launch"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ice=nobody",), ["--ice nobody", "no group nobody"]),
        (("--ice=spot-a:eu-west-3z",), ["--ice spot-a:eu-west-3z", "eu-west-3a"]),
        (("--nodes=0:3:absent",), ["absent", "asgs.json"]),
        (("--launch-templates=missing.json",), ["missing.json", "No such file"]),
    ],
)
def test_an_input_error_is_one_line_and_exit_code_2(case: Case, arguments: tuple[str, ...], words: list[str]) -> None:
    done = case.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("cluster.yaml", "a: [", ["cluster.yaml", "line"]),
        ("cluster.yaml", '{"kind": "Pod", "metadata": {"name": 7}}', ["cluster.yaml", "Pod"]),
        ("asgs.json", "{}", ["asgs.json", "AutoScalingGroups"]),
        ("asgs.json", '{"AutoScalingGroups": [{"AutoScalingGroupName": "x"}]}', ["asgs.json", "x", "MinSize"]),
    ],
)
def test_a_document_that_cannot_be_decoded_is_named(case: Case, name: str, text: str, words: list[str]) -> None:
    (case.folder / name).write_text(text)
    done = case.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_a_bad_object_among_good_ones_decides_nothing(case: Case) -> None:
    """Left out, a pod that runs would make room that is not there."""
    case.cluster(pod("web-1"), pod("web-2", cpu="4Q", nodeName="n1"), pod("web-3", priority="high"))
    done = case.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "autoscaler simulate: cluster.yaml: Pod shop/web-2: containers[main].resources.requests.cpu: '4Q' is no"
        " quantity (and 1 more that cannot be used); nothing is decided on such input\n"
    )


def test_all_flag_faults_are_told_at_once(case: Case) -> None:
    done = case.run("--max-nodes-total=-1", "--nodse=0:1:x", "--at=yesterday")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert any("did you mean --nodes" in line for line in lines), done.stderr


def test_a_bad_priority_map_leaves_one_tier_and_a_warning(case: Case) -> None:
    case.cluster(pod("web-1"), priorities("ten: [spot]\n"))
    done = case.run()
    assert "cluster-autoscaler-priority-expander" in done.stderr
    assert json.loads(done.stdout)["launches"]


def test_text_tells_the_same(case: Case) -> None:
    done = case.run("--output=text", "--ice=spot-a")
    assert "od-a" in done.stdout
    assert "shop/web-1" in done.stdout


def test_the_moment_is_the_newest_in_the_input_or_the_flag(case: Case) -> None:
    assert case.decide("--at=2026-02-03T04:05:06Z")["at"] == "2026-02-03T04:05:06Z"
    case.asgs(asg("spot-a", CreatedTime="2026-01-01T12:30:00+00:00"))
    assert case.decide()["at"] == "2026-01-01T12:30:00Z"


def test_kubectl_output_of_many_kinds_is_read_past(case: Case) -> None:
    other: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"a": "Yg=="}},
        {"apiVersion": "example.com/v1", "kind": "Node", "metadata": {"name": "not-a-node"}, "spec": {"odd": [1]}},
    ]
    case.cluster(pod("web-1"), *other)
    assert set(case.decide()["verdicts"]) == {"shop/web-1"}


def test_files_may_be_pipes_and_utf_16(case: Case) -> None:
    asgs, cluster = case.folder / "asgs.json", case.folder / "cluster.yaml"
    cluster.write_text(cluster.read_text(), encoding="utf-16")
    expected = case.decide()
    assert expected["at"] == "2026-01-01T12:00:00Z"
    pipe = case.folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        pool.submit(pipe.write_bytes, cluster.read_bytes())
        assert json.loads(case.run(cluster=("pipe",)).stdout) == expected
    asgs.write_text("")
    done = case.run()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "asgs.json: empty" in done.stderr


def test_a_tag_that_no_group_has_is_told(case: Case) -> None:
    done = case.run("--node-group-auto-discovery=asg:tag=no/such,team=a")
    assert done.returncode == 0
    assert "no group has all the tags no/such, team=a" in done.stderr


def test_what_cannot_be_judged_refuses_its_own_pod_alone(case: Case) -> None:
    zonal = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "Perhaps"}
    case.cluster(
        pod("amount", cpu="4Q"),
        pod("gang", schedulingGroup={"podGroupName": "gang"}),
        pod("spread", topologySpreadConstraints=[zonal]),
        pod("later", tolerations=[{"operator": "Exists", "newPolicy": "Strict"}]),
        pod("device", resourceClaims=[{"name": "gpu"}]),
        pod("web"),
    )
    verdicts = case.decide()["verdicts"]
    assert verdicts.pop("shop/web")["outcome"] == "launch"
    for name, verdict in verdicts.items():
        word = "ResourceClaim" if name == "shop/device" else "UnknownConstraint"
        assert (verdict["outcome"], word in verdict["objections"]["spot-a"]) == ("unschedulable", True), name
