"""Whatever stands in a document, reading it gives groups and faults, never a surprise."""

import copy
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.aws.convert import to_groups
from autoscaler.aws.discovery import Selection
from autoscaler.aws.known import Known, NodegroupKey
from autoscaler.aws.offline import Files, Input, InputError, read_groups
from tests.aws.documents import asg, instance, knowing, policy, version

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "7", "m5.large", "$Latest", "spot"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Key", "Value", "InstanceType"]), inner)
    ),
    max_leaves=6,
)
NODEGROUP = {
    "clusterName": "c",
    "nodegroupName": "n",
    "amiType": "AL2023_x86_64_STANDARD",
    "diskSize": 20,
    "labels": {"a": "b"},
    "taints": [{"key": "k", "value": "v", "effect": "NO_SCHEDULE"}],
    "tags": {"x": "y"},
}
WHOLE = asg(
    MixedInstancesPolicy=policy(
        {"InstanceType": "m5.large", "WeightedCapacity": "2"},
        {"InstanceRequirements": {"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 8192, "Max": 8192}}},
    ),
    LaunchTemplate=None,
    Instances=[instance()],
    SuspendedProcesses=[{"ProcessName": "Launch"}],
    VPCZoneIdentifier="subnet-1",
    Status="Delete in progress",
    DesiredCapacityType="units",
    LaunchConfigurationName="old",
    Tags=[{"Key": "eks:cluster-name", "Value": "c"}, {"Key": "eks:nodegroup-name", "Value": "n"}],
)
DESCRIBED = {
    "InstanceType": "zz9.large",
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"], "Manufacturer": "Intel"},
    "VCpuInfo": {"DefaultVCpus": 2},
    "MemoryInfo": {"SizeInMiB": 8192},
    "NetworkInfo": {
        "MaximumNetworkInterfaces": 3,
        "Ipv4AddressesPerInterface": 10,
        "NetworkCards": [{"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 3}],
    },
    "InstanceStorageInfo": {"TotalSizeInGB": 100, "Disks": [{"Type": "ssd"}]},
    "GpuInfo": {"Gpus": [{"Count": 1, "Manufacturer": "NVIDIA", "Name": "T4"}], "TotalGpuMemoryInMiB": 1},
    "NeuronInfo": {"NeuronDevices": [{"Count": 1, "Name": "x", "CoreInfo": {"Count": 2}}]},
}
TEMPLATE = version(
    InstanceMarketOptions={"MarketType": "spot"},
    BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20}}],
    InstanceRequirements={"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 8192}},
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, as the keys that lead there."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@st.composite
def spoilt(draw: st.DrawFn, document: Any) -> Any:
    return replaced(document, draw(st.sampled_from(places(document))), draw(JSON))


@given(spoilt(WHOLE), spoilt(NODEGROUP))
def test_a_spoilt_group_is_read_or_reported(document: Any, nodegroup: Any) -> None:
    known = knowing(TEMPLATE)
    for facts in (known, Known(nodegroups={NodegroupKey("c", "n"): nodegroup} if isinstance(nodegroup, dict) else {})):
        groups, faults = to_groups([asg("good"), document], facts)
        assert len(groups) + len(faults) == 2
        assert "good" in [group.name for group in groups]


@given(
    spoilt({"AutoScalingGroups": [WHOLE, asg("plain")]}),
    spoilt({"LaunchTemplateVersions": [TEMPLATE]}),
    spoilt({"nodegroup": NODEGROUP}),
)
def test_spoilt_files_are_read_or_refused(asgs: Any, templates: Any, nodegroup: Any) -> None:
    files = Files(
        asgs=(Input("a", asgs),), launch_templates=(Input("t", templates),), nodegroups=(Input("n", nodegroup),)
    )
    with suppress(InputError):
        read_groups(files, Selection())


@given(spoilt({"InstanceTypes": [DESCRIBED]}), st.booleans())
def test_a_spoilt_instance_type_is_read_or_refused(types: Any, neuron: bool) -> None:
    if neuron and isinstance(types, dict) and isinstance(types.get("InstanceTypes"), list):
        types = {
            "InstanceTypes": [{**each, "GpuInfo": {}} for each in types["InstanceTypes"] if isinstance(each, dict)]
        }
    wanted = asg(LaunchTemplate=None, MixedInstancesPolicy=policy({"InstanceType": "zz9.large"}))
    files = Files(asgs=(Input("a", {"AutoScalingGroups": [wanted]}),), instance_types=(Input("i", types),))
    with suppress(InputError):
        read_groups(files, Selection())
