"""Files of `aws … describe-…` become groups, or one line that says what is wrong with them."""

from typing import Any

import pytest

from autoscaler.aws.discovery import Selection
from autoscaler.aws.known import Bounds
from autoscaler.aws.offline import Files, Input, InputError, read_groups
from autoscaler.core.model import GroupName
from tests.aws.documents import asg, version


def files(*groups: Any, **others: Any) -> Files:
    named = {kind: (Input(f"{kind}.json", document),) for kind, document in others.items()}
    return Files(asgs=(Input("asgs.json", {"AutoScalingGroups": list(groups)}),), **named)


def names(found: Files, selection: Selection) -> list[str]:
    return [group.name for group in read_groups(found, selection)]


def test_without_a_selection_every_group_of_the_file_is_ours() -> None:
    assert names(files(asg("b"), asg("a")), Selection()) == ["a", "b"]


def test_tags_are_anded_and_names_come_on_top() -> None:
    wanted = {"k8s.io/cluster-autoscaler/enabled": None, "team": "web"}
    groups = [
        asg("both", Tags=[{"Key": "team", "Value": "web"}, {"Key": "k8s.io/cluster-autoscaler/enabled", "Value": ""}]),
        asg("one", Tags=[{"Key": "team", "Value": "web"}]),
        asg("named"),
    ]
    assert names(files(*groups), Selection(tags=wanted)) == ["both"]
    bounds = {GroupName("named"): Bounds(1, 2)}
    assert names(files(*groups), Selection(tags=wanted, bounds=bounds)) == ["both", "named"]
    assert names(files(*groups), Selection(bounds=bounds)) == ["named"]


def test_templates_types_and_node_groups_are_used() -> None:
    described = {
        "InstanceType": "zz9.large",
        "VCpuInfo": {"DefaultVCpus": 3},
        "MemoryInfo": {"SizeInMiB": 4096},
        "NetworkInfo": {"MaximumNetworkInterfaces": 3, "Ipv4AddressesPerInterface": 10},
    }
    tagged = [{"Key": "eks:cluster-name", "Value": "c"}, {"Key": "eks:nodegroup-name", "Value": "n"}]
    found = files(
        asg(Tags=tagged),
        launch_templates={"LaunchTemplateVersions": [version(InstanceType="zz9.large")]},
        instance_types={"InstanceTypes": [described]},
        nodegroups={"nodegroup": {"clusterName": "c", "nodegroupName": "n", "labels": {"a": "b"}}},
    )
    (group,) = read_groups(found, Selection())
    assert group.shapes[0].capacity["cpu"] == 3000
    assert group.labels["a"] == "b"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            files(asg("x", MaxSize="many")),
            "asgs.json: Auto Scaling group x: MaxSize: expected a whole number, found 'many'",
        ),
        (files(asg("x"), asg("x")), "asgs.json: Auto Scaling group x: it is described twice"),
        (files(7), "asgs.json: AutoScalingGroups: expected objects, found 7"),
        (Files(asgs=(Input("f", []),)), "f: expected an object with the list AutoScalingGroups"),
        (
            files(instance_types={"InstanceTypes": [{"InstanceType": "t"}]}),
            "instance_types.json: instance type t: NetworkInfo is missing",
        ),
        (
            files(launch_templates={"LaunchTemplateVersions": [{"LaunchTemplateId": "lt"}]}),
            "launch_templates.json: launch template lt: VersionNumber is missing",
        ),
        (files(nodegroups={"nodegroup": {"clusterName": "c"}}), "nodegroups.json: nodegroupName is missing"),
    ],
)
def test_what_cannot_be_read_is_named(found: Files, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_groups(found, Selection())
    assert str(raised.value) == message


def test_a_group_that_is_named_must_be_there() -> None:
    with pytest.raises(InputError, match=r"asgs.json: Auto Scaling group y: --nodes names it"):
        read_groups(files(asg("x")), Selection(bounds={GroupName("y"): Bounds(0, 1)}))
