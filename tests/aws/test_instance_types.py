"""The packaged catalogue, EC2's descriptions and instance requirements."""

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaler.aws.instance_types import Catalogue, InstanceTypeFacts, from_row, to_row
from autoscaler.core.resources import Resources

GIB = 2**30


def described(name: str = "x9.large", **changes: Any) -> dict[str, Any]:
    return {
        "InstanceType": name,
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"], "Manufacturer": "Intel"},
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 8192},
        "NetworkInfo": {"MaximumNetworkInterfaces": 3, "Ipv4AddressesPerInterface": 10},
        **changes,
    }


@pytest.mark.parametrize(
    ("name", "pods"),
    [("m5.large", 29), ("m5.4xlarge", 234), ("t3.nano", 4), ("c6g.16xlarge", 737), ("p4d.24xlarge", 737)],
)
def test_max_pods_are_those_of_eni_max_pods_txt(name: str, pods: int) -> None:
    facts = Catalogue().get(name)
    assert facts is not None
    assert facts.max_pods == pods


def test_capacity_holds_devices() -> None:
    gpu, neuron = Catalogue().get("p4d.24xlarge"), Catalogue().get("inf2.xlarge")
    assert gpu is not None
    assert neuron is not None
    assert gpu.capacity == Resources({"cpu": 96_000, "memory": 1152 * GIB, "pods": 737, "nvidia.com/gpu": 8})
    assert neuron.capacity["aws.amazon.com/neuron"] == 1
    assert neuron.capacity["aws.amazon.com/neuroncore"] == 2


def test_a_share_of_a_gpu_counts_as_one() -> None:
    facts = Catalogue().get("g6f.large")
    assert facts is not None
    assert facts.capacity["nvidia.com/gpu"] == 1


def test_what_ec2_describes_replaces_what_is_packaged() -> None:
    facts = InstanceTypeFacts.read(described("m5.large", VCpuInfo={"DefaultVCpus": 7}))
    assert facts is not None
    mine = Catalogue().with_types([facts]).get("m5.large")
    assert mine is not None
    assert mine.vcpus == 7
    assert Catalogue().get("x9.large") is None


def test_the_default_card_counts_where_there_are_several() -> None:
    cards = [{"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 2}, {"NetworkCardIndex": 1}]
    network = {"MaximumNetworkInterfaces": 32, "Ipv4AddressesPerInterface": 50, "NetworkCards": cards}
    facts = InstanceTypeFacts.read(described(NetworkInfo=network))
    assert facts is not None
    assert facts.max_pods == 100


def test_a_mac_runs_no_kubelet() -> None:
    assert InstanceTypeFacts.read(described(ProcessorInfo={"SupportedArchitectures": ["arm64_mac"]})) is None


def test_every_row_of_the_packaged_list_comes_back_as_it_is() -> None:
    import autoscaler.aws.instance_types as module

    path = Path(module.__file__).with_name("catalogue.json")
    rows = json.loads(path.read_bytes())["types"]
    assert len(rows) > 1300
    assert path.stat().st_size < 120_000
    assert {name: to_row(from_row(name, row)) for name, row in rows.items()} == rows


def test_requirements_pick_what_ec2_would() -> None:
    sizes = {"VCpuCount": {"Min": 4, "Max": 4}, "MemoryMiB": {"Min": 16384, "Max": 16384}}
    catalogue = Catalogue()
    plain = catalogue.matching(sizes, "amd64")
    assert {"m5.xlarge", "g4dn.xlarge", "m6i.xlarge"} <= set(plain)
    assert "t3.xlarge" not in plain  # burstable only when asked for
    assert "m6g.xlarge" not in plain
    assert "m6g.xlarge" in catalogue.matching(sizes, "arm64")
    assert "t3.xlarge" in catalogue.matching(sizes | {"BurstablePerformance": "included"}, "amd64")
    assert set(catalogue.matching(sizes | {"BurstablePerformance": "required"}, "amd64")) <= {
        name for name in catalogue if name.startswith("t")
    }
    assert "g4dn.xlarge" not in catalogue.matching(sizes | {"AcceleratorCount": {"Max": 0}}, "amd64")
    assert "g4dn.xlarge" in catalogue.matching(sizes | {"AcceleratorManufacturers": ["nvidia"]}, "amd64")
    assert catalogue.matching(sizes | {"AllowedInstanceTypes": ["m5.*"]}, "amd64") == ("m5.xlarge",)
    assert "m5.xlarge" not in catalogue.matching(sizes | {"ExcludedInstanceTypes": ["m5*"]}, "amd64")
    assert "m5.xlarge" not in catalogue.matching(sizes | {"CpuManufacturers": ["amd"]}, "amd64")
