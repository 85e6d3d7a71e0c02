"""Descriptions of groups become node groups; what is wrong with one is told."""

import json
from typing import Any

import pytest

from autoscaler.aws.convert import to_group, to_groups
from autoscaler.aws.known import Bounds, Known, NodegroupKey
from autoscaler.core.model import GroupName, LaunchMethod, Lifecycle, Market, NodeGroup, Zone
from autoscaler.core.podspec import Effect, Taint
from tests.aws.documents import asg, instance, knowing, policy, version

GIB = 2**30
TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"


def group(document: dict[str, Any], known: Known | None = None) -> NodeGroup:
    return to_group(document, known or knowing())


def tagged(**changes: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in changes.items()]


def codes(found: NodeGroup) -> list[str]:
    return [fault.code for fault in found.faults]


def test_a_plain_group_takes_type_and_market_from_its_template() -> None:
    found = group(asg())
    assert found.name == "spot-a"
    assert (found.min_size, found.max_size, found.desired) == (0, 10, 0)
    assert found.market is Market.ON_DEMAND
    assert found.method is LaunchMethod.SYNC
    assert [(shape.instance_type, shape.weight) for shape in found.shapes] == [("m5.large", 1)]
    assert found.shapes[0].capacity["pods"] == 29
    assert found.faults == ()


@pytest.mark.parametrize(
    ("options", "market"),
    [
        ({"MarketType": "spot"}, Market.SPOT),
        ({"MarketType": "capacity-block"}, Market.UNKNOWN),
        ({}, Market.ON_DEMAND),
    ],
)
def test_market_options_of_the_template_decide_without_a_policy(options: dict[str, str], market: Market) -> None:
    found = group(asg(), knowing(version(InstanceMarketOptions=options)))
    assert found.market is market
    assert found.method is LaunchMethod.SYNC


@pytest.mark.parametrize(
    ("base", "percentage", "market", "method"),
    [
        (0, 0, Market.SPOT, LaunchMethod.SYNC),
        (0, 100, Market.ON_DEMAND, LaunchMethod.SYNC),
        (3, 100, Market.ON_DEMAND, LaunchMethod.SYNC),
        (0, 50, Market.MIXED, LaunchMethod.DESIRED),
        (1, 0, Market.MIXED, LaunchMethod.DESIRED),
    ],
)
def test_the_distribution_decides_in_a_policy(base: int, percentage: int, market: Market, method: LaunchMethod) -> None:
    mixed = policy({"InstanceType": "m5.large"}, base=base, percentage=percentage)
    found = group(asg(LaunchTemplate=None, MixedInstancesPolicy=mixed))
    assert (found.market, found.method) == (market, method)


def test_a_distribution_that_is_left_out_is_on_demand_as_aws_defaults() -> None:
    mixed = policy({"InstanceType": "m5.large"}) | {"InstancesDistribution": None}
    assert group(asg(LaunchTemplate=None, MixedInstancesPolicy=mixed)).market is Market.ON_DEMAND


def test_an_unknown_template_leaves_market_and_shape_unknown_but_launches_synchronously() -> None:
    found = group(asg(), Known())
    assert found.market is Market.UNKNOWN
    assert found.method is LaunchMethod.SYNC
    assert found.shapes == ()
    assert codes(found) == ["UnknownShape"]
    assert found.faults[0].detail == "launch template lt-1 version $Latest is not known"


def test_a_group_without_any_template_has_no_shape() -> None:
    found = group(asg(LaunchTemplate=None))
    assert found.method is LaunchMethod.DESIRED
    assert found.faults[0].detail == "there is no launch template"


def test_a_launch_configuration_serves_by_desired_only() -> None:
    document = asg(LaunchTemplate=None, LaunchConfigurationName="old")
    found = group(document, Known(configurations={"old": {"InstanceType": "c5.large", "SpotPrice": "0.1"}}))
    assert (found.market, found.method) == (Market.SPOT, LaunchMethod.DESIRED)
    assert found.shapes[0].instance_type == "c5.large"
    assert group(document).market is Market.UNKNOWN


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("$Latest", "m5.2xlarge"), ("$Default", "m5.xlarge"), (None, "m5.xlarge"), ("1", "m5.large")],
)
def test_versions_are_latest_default_or_numbered(wanted: str | None, expected: str) -> None:
    known = knowing(
        version(3, default=False, InstanceType="m5.2xlarge"),
        version(1, default=False),
        version(2, InstanceType="m5.xlarge"),
    )
    for reference in ({"LaunchTemplateId": "lt-1"}, {"LaunchTemplateName": "one"}):
        found = group(asg(LaunchTemplate=reference | {"Version": wanted}), known)
        assert found.shapes[0].instance_type == expected


def test_shapes_keep_the_order_of_the_overrides_and_their_weights() -> None:
    mixed = policy(
        {"InstanceType": "m5.xlarge", "WeightedCapacity": "4"}, {"InstanceType": "c5.large", "WeightedCapacity": "2"}
    )
    found = group(asg(LaunchTemplate=None, MixedInstancesPolicy=mixed, Instances=[instance(InstanceType="c5.large")]))
    assert [(shape.instance_type, shape.weight) for shape in found.shapes] == [("m5.xlarge", 4), ("c5.large", 2)]
    assert found.instances[0].weight == 2
    assert found.weight == 2


def test_sizes_in_vcpus_weigh_each_type_by_its_own() -> None:
    mixed = policy({"InstanceType": "m5.xlarge"}, {"InstanceType": "m5.large"})
    found = group(asg(LaunchTemplate=None, MixedInstancesPolicy=mixed, DesiredCapacityType="vcpu"))
    assert [shape.weight for shape in found.shapes] == [4, 2]


def test_requirements_are_resolved_for_the_architecture_of_the_group() -> None:
    wishes = {"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 8192, "Max": 8192}}
    mixed = policy({"InstanceRequirements": wishes})
    document = asg(LaunchTemplate=None, MixedInstancesPolicy=mixed)
    assert "m5.large" in [shape.instance_type for shape in group(document).shapes]
    arm = document | {"Tags": tagged(**{f"{TEMPLATE}label/kubernetes.io/arch": "arm64"})}
    assert {shape.architecture for shape in group(arm).shapes} == {"arm64"}
    asked = knowing(resolve=lambda _requirements, _architecture: ("m6a.large",))
    assert [shape.instance_type for shape in group(document, asked).shapes] == ["m6a.large"]


def test_a_type_in_no_catalogue_is_left_out_with_a_fault() -> None:
    mixed = policy({"InstanceType": "zz9.large"}, {"InstanceType": "m5.large"})
    found = group(asg(LaunchTemplate=None, MixedInstancesPolicy=mixed))
    assert [shape.instance_type for shape in found.shapes] == ["m5.large"]
    assert "zz9.large" in found.faults[0].detail


@pytest.mark.parametrize(
    ("sizes", "gib"),
    [
        ({"/dev/xvda": 50}, 50),
        ({"/dev/sdf": 9, "/dev/sda1": 40}, 40),
        ({"/dev/xvda": 2, "/dev/xvdb": 80}, 80),
        ({}, None),
    ],
)  # fmt: skip
def test_the_disk_of_the_template_is_ephemeral_storage(sizes: dict[str, int], gib: int | None) -> None:
    mappings = [{"DeviceName": name, "Ebs": {"VolumeSize": size}} for name, size in sizes.items()]
    capacity = group(asg(), knowing(version(BlockDeviceMappings=mappings))).shapes[0].capacity
    assert capacity["ephemeral-storage"] == (gib or 0) * GIB
    assert ("ephemeral-storage" in capacity) is (gib is not None)


def test_tags_describe_a_node_that_is_yet_to_come() -> None:
    found = group(
        asg(
            Tags=tagged(
                **{
                    f"{TEMPLATE}label/team": "web",
                    f"{TEMPLATE}taint/gpu": "yes:NoSchedule",
                    f"{TEMPLATE}taint/quiet": ":NoExecute",
                    f"{TEMPLATE}resources/cpu": "1500m",
                    f"{TEMPLATE}resources/ephemeral-storage": "100G",
                    f"{TEMPLATE}autoscaling-options/ScaleDownUnneededTime": "5m",
                    "prefix/k8s.io/cluster-autoscaler/node-template/label/anywhere": "yes",
                    "Name": "whatever it is",
                }
            )
        )
    )
    assert found.labels == {"team": "web", "anywhere": "yes"}
    assert found.taints == (Taint("gpu", "yes", Effect.NO_SCHEDULE), Taint("quiet", "", Effect.NO_EXECUTE))
    assert found.tag_resources is not None
    assert dict(found.tag_resources.items()) == {"cpu": 1500, "ephemeral-storage": 10**11}
    assert found.options == {"scaledownunneededtime": "5m"}
    assert found.reserved_profile == "none"
    assert found.faults == ()


def test_a_tag_that_does_not_parse_is_skipped_alone() -> None:
    found = group(
        asg(
            Tags=tagged(
                **{
                    f"{TEMPLATE}resources/memory": "lots",
                    f"{TEMPLATE}resources/cpu": "2",
                    f"{TEMPLATE}resources/pods": "-1",
                    f"{TEMPLATE}taint/a": "NoSchedule",
                    f"{TEMPLATE}taint/b": "x:Never",
                    f"{TEMPLATE}label/c": "has spaces",
                }
            )
        )
    )
    assert found.tag_resources is not None
    assert dict(found.tag_resources.items()) == {"cpu": 2000}
    assert found.taints == ()
    assert found.labels == {}
    assert codes(found) == ["InvalidTag"] * 5
    assert "memory=lots" in " ".join(fault.detail for fault in found.faults)


def test_an_eks_group_takes_labels_and_taints_from_its_node_group() -> None:
    document = asg(Tags=tagged(**{"eks:cluster-name": "c", "eks:nodegroup-name": "n", f"{TEMPLATE}label/team": "tag"}))
    nodegroup = {
        "clusterName": "c",
        "nodegroupName": "n",
        "amiType": "AL2023_x86_64_STANDARD",
        "capacityType": "SPOT",
        "version": "1.36",
        "diskSize": 20,
        "labels": {"team": "eks"},
        "taints": [{"key": "dedicated", "value": "web", "effect": "NO_SCHEDULE"}],
        "tags": {f"{TEMPLATE}resources/example.com/fpga": "1"},
    }
    alone = group(document)
    assert alone.labels == {
        "cluster-name": "c",
        "nodegroup-name": "n",
        "eks.amazonaws.com/nodegroup": "n",
        "team": "tag",
    }
    assert alone.reserved_profile == "eks"
    found = group(document, knowing(nodegroups={NodegroupKey("c", "n"): nodegroup}))
    assert found.labels["team"] == "eks"
    assert found.labels["eks.amazonaws.com/capacityType"] == "SPOT"
    assert found.taints == (Taint("dedicated", "web", Effect.NO_SCHEDULE),)
    assert found.tag_resources is not None
    assert found.tag_resources["example.com/fpga"] == 1


@pytest.mark.parametrize(
    ("key", "flag", "profile"),
    [
        ("kops.k8s.io/instancegroup", None, "kops"),
        ("kubernetes.io/cluster/c", None, "none"),
        ("eks:cluster-name", "none", "none"),
    ],
)
def test_the_reserved_profile_follows_the_flag_then_the_tags(key: str, flag: str | None, profile: str) -> None:
    assert group(asg(Tags=tagged(**{key: "x"})), knowing(reserved_profile=flag)).reserved_profile == profile


@pytest.mark.parametrize(
    ("state", "lifecycle"),
    [
        ("Pending", Lifecycle.PENDING),
        ("Pending:Wait", Lifecycle.PENDING),
        ("InService", Lifecycle.IN_SERVICE),
        ("Terminating:Proceed", Lifecycle.LEAVING),
        ("Detaching", Lifecycle.LEAVING),
        ("EnteringStandby", Lifecycle.PARKED),
        ("Standby", Lifecycle.PARKED),
        ("Warmed:Pending:Wait", Lifecycle.PARKED),
        ("SomethingNew", Lifecycle.PARKED),
    ],
)
def test_lifecycle_states(state: str, lifecycle: Lifecycle) -> None:
    assert group(asg(Instances=[instance(LifecycleState=state)])).instances[0].lifecycle is lifecycle


def test_the_rest_of_a_group() -> None:
    document = asg(
        AvailabilityZones=["eu-west-3b", "eu-west-3a"],
        VPCZoneIdentifier="subnet-1,subnet-2,subnet-3",
        SuspendedProcesses=[{"ProcessName": "Launch", "SuspensionReason": "by hand"}],
        Status="Delete in progress",
        Instances=[instance("i-2", ProtectedFromScaleIn=True, HealthStatus="Unhealthy"), instance("i-1")],
    )
    zones = {"subnet-1": Zone("eu-west-3a"), "subnet-2": Zone("eu-west-3b"), "subnet-3": Zone("eu-west-3b")}
    found = group(document, knowing(subnet_zones=zones, bounds={GroupName("spot-a"): Bounds(2, 5)}))
    assert found.zones == ("eu-west-3a", "eu-west-3b")
    assert found.subnets == {"eu-west-3a": "subnet-1"}
    assert found.suspended == {"Launch"}
    assert found.is_being_deleted
    assert (found.min_size, found.max_size, found.is_explicit) == (2, 5, True)
    assert [(one.id, one.protected, one.healthy) for one in found.instances] == [
        ("i-1", False, True),
        ("i-2", True, False),
    ]
    assert group(asg(VPCZoneIdentifier="subnet-9")).subnets == {"eu-west-3a": "subnet-9"}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"MaxSize": None}, "MaxSize is missing"),
        ({"MaxSize": "many"}, "MaxSize: expected a whole number, found 'many'"),
        ({"MinSize": 11}, "MinSize 11 exceeds MaxSize 10"),
        ({"AvailabilityZones": []}, "AvailabilityZones is missing"),
        ({"AvailabilityZones": "eu-west-3a"}, "AvailabilityZones: expected a list, found 'eu-west-3a'"),
        ({"Instances": [{"InstanceId": "i-1"}]}, "AvailabilityZone is missing"),
        ({"Tags": [{"Value": "x"}]}, "Key is missing"),
        ({"LaunchTemplate": "lt-1"}, "LaunchTemplate: expected an object, found 'lt-1'"),
    ],
)
def test_a_malformed_group_is_reported_and_the_others_stay(changes: dict[str, Any], fault: str) -> None:
    groups, faults = to_groups([asg("good"), asg("bad", **changes)], knowing())
    assert [each.name for each in groups] == ["good"]
    assert [str(each) for each in faults] == [f"Auto Scaling group bad: {fault}"]


def test_what_is_no_object_has_a_number() -> None:
    _, faults = to_groups([asg(), asg(None, AutoScalingGroupName=None)], knowing())  # type: ignore[arg-type]
    assert str(faults[0]) == "Auto Scaling group number 2: AutoScalingGroupName is missing"


def test_the_order_of_the_input_changes_nothing() -> None:
    documents = [
        asg("b", Instances=[instance("i-2"), instance("i-1")]),
        asg("a", Tags=tagged(**{f"{TEMPLATE}taint/z": "1:NoExecute", f"{TEMPLATE}taint/a": "1:NoExecute"})),
    ]
    turned = json.loads(json.dumps(documents[::-1]))
    turned[1]["Instances"].reverse()
    turned[0]["Tags"].reverse()
    assert to_groups(documents, knowing()) == to_groups(turned, knowing())
