"""The table of codes, and the parser of prose against recorded samples."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.aws.refusals import classify, classify_activity, classify_in_reply, quota_class, read_activity
from autoscaler.core.decision import RefusalKind

SAMPLES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "samples" / "activities.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample['kind']}-{sample['text'][:50]}")
def test_reads_recorded_activities(sample: dict[str, Any]) -> None:
    found = read_activity(sample["text"])

    assert (found.kind, found.code) == (RefusalKind(sample["kind"]), sample["code"])
    told = (found.instance_type, found.zone, found.market, found.subnet)
    assert told == (sample.get("type"), sample.get("zone"), sample.get("market"), sample.get("subnet"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["text"][:50])
def test_the_console_s_frame_around_a_text_changes_nothing(sample: dict[str, Any]) -> None:
    framed = f"Launching a new EC2 instance.  Status Reason: {sample['text']}"
    assert classify_activity(framed) == (RefusalKind(sample["kind"]), sample["code"])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InsufficientInstanceCapacity", "NoCapacity"),
        ("Server.InsufficientInstanceCapacity", "NoCapacity"),
        ("InsufficientHostCapacity", "NoCapacity"),
        ("InsufficientReservedInstanceCapacity", "NoCapacity"),
        ("InsufficientCapacity", "NoCapacity"),
        ("UnfulfillableCapacity", "NoCapacity"),
        ("SpotMaxPriceTooLow", "NoCapacity"),
        ("MaxSpotInstanceCountExceeded", "Limit"),
        ("VcpuLimitExceeded", "Limit"),
        ("InstanceLimitExceeded", "Limit"),
        ("MaxFleetCountExceeded", "Limit"),
        ("InsufficientFreeAddressesInSubnet", "NoAddresses"),
        ("Unsupported", "Unsupported"),
        ("UnsupportedOperation", "Unsupported"),
        ("InvalidLaunchTemplateId.NotFound", "Configuration"),
        ("InvalidLaunchTemplateName.NotFoundException", "Configuration"),
        ("InvalidAMIID.NotFound", "Configuration"),
        ("InvalidAMIID.Unavailable", "Configuration"),
        ("InvalidSecurityGroupID.NotFound", "Configuration"),
        ("InvalidKeyPair.NotFound", "Configuration"),
        ("InvalidKMSKey.InvalidState", "Configuration"),
        ("UnauthorizedOperation", "Configuration"),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "Configuration"),
        ("AccessDenied", "Configuration"),
        ("AccessDeniedException", "Configuration"),
        ("ExpiredTokenException", "Configuration"),
        ("ValidationError", "Configuration"),
        ("PendingVerification", "Configuration"),
        ("OptInRequired", "Configuration"),
        ("Blocked", "Configuration"),
        ("Throttling", "Throttled"),
        ("ThrottlingException", "Throttled"),
        ("RequestLimitExceeded", "Throttled"),
        ("Client.RequestLimitExceeded", "Throttled"),
        ("ResourceContention", "Contention"),
        ("ResourceContentionFault", "Contention"),
        ("IdempotentCallInProgress", "Contention"),
        ("IdempotentCallInProgressFault", "Contention"),
        ("ScalingActivityInProgress", "Contention"),
        ("IdempotentParameterMismatch", "Unknown"),
        ("InternalFailure", "NoAnswer"),
        ("ServiceUnavailable", "NoAnswer"),
        ("RequestTimeout", "NoAnswer"),
        ("503", "NoAnswer"),
        ("ReadTimeoutError", "NoAnswer"),
        ("ConnectTimeoutError", "NoAnswer"),
        ("EndpointConnectionError", "NoAnswer"),
        ("ConnectionClosedError", "NoAnswer"),
        ("ResponseParserError", "NoAnswer"),
        ("SSLError", "NoAnswer"),
        ("NoCredentialsError", "Configuration"),
        ("ParamValidationError", "Configuration"),
        ("Backoff", "Throttled"),
        ("InvalidAction", "NoLaunchApi"),
        ("UnknownOperationException", "NoLaunchApi"),
        ("SomethingNew", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_classifies_codes(code: str, kind: str) -> None:
    assert classify(code) == RefusalKind(kind)


def test_a_missing_permission_for_the_launch_api_itself_is_no_fault_of_the_group() -> None:
    denied = "User: arn:aws:sts::123456789012:assumed-role/a is not authorized to perform: {} on resource: x"
    assert classify("AccessDenied", denied.format("autoscaling:LaunchInstances")) is RefusalKind.NO_LAUNCH_API
    assert classify("AccessDenied", denied.format("ec2:CreateFleet")) is RefusalKind.CONFIGURATION


def test_an_unknown_operation_of_plain_moto_is_a_missing_launch_api() -> None:
    page = "LaunchInstances: Unable to parse response, invalid XML received: b'<!doctype html><title>{}</title>'"
    assert classify("ResponseParserError", page.format("500 Internal Server Error")) is RefusalKind.NO_LAUNCH_API
    assert classify("ResponseParserError", page.format("502 Bad Gateway")) is RefusalKind.NO_ANSWER


def test_a_configuration_that_is_only_a_type_in_the_wrong_zone_is_unsupported() -> None:
    message = "Your requested instance type (p3.8xlarge) is not supported in your requested Availability Zone (x)."
    assert classify("InvalidFleetConfiguration", message) is RefusalKind.UNSUPPORTED
    assert classify("InvalidFleetConfiguration", "anything else") is RefusalKind.CONFIGURATION


def test_an_internal_error_inside_a_reply_is_an_answer() -> None:
    assert classify_in_reply("InternalError") is RefusalKind.CONTENTION
    assert classify_in_reply("InsufficientInstanceCapacity") is RefusalKind.NO_CAPACITY


@given(
    st.text(max_size=300)
    | st.sampled_from([sample["text"] for sample in SAMPLES]).flatmap(st.permutations).map("".join)
)
def test_any_text_has_a_class(text: str) -> None:
    found = read_activity(text)
    assert isinstance(found.kind, RefusalKind)
    assert found.code
    assert classify(text, text) in RefusalKind


def test_a_huge_text_is_read_quickly_enough_to_be_read_at_all() -> None:
    for piece in ("a", "launch template ", "parameter ", "key ", "security group ", "instance type "):
        assert read_activity(piece * 100_000).code == "Unknown"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("m5.xlarge", "standard"), ("im4gn.large", "standard"), ("is4gen.large", "standard"), ("t4g.nano", "standard"),
     ("z1d.large", "standard"), ("g5.xlarge", "g-vt"), ("gr6.4xlarge", "g-vt"), ("vt1.3xlarge", "g-vt"),
     ("p4d.24xlarge", "p"), ("x2idn.metal", "x"), ("dl1.24xlarge", "dl"), ("inf2.xlarge", "inf"),
     ("trn1.2xlarge", "trn"), ("hpc7g.4xlarge", "hpc"), ("u-6tb1.metal", "high-memory"),
     ("u7i-12tb.224xlarge", "high-memory"),
     ("f1.2xlarge", "f"), ("mac2.metal", "mac"), ("", ""), ("42", "42")],
)  # fmt: skip
def test_quota_classes(kind: str, expected: str) -> None:
    assert quota_class(kind) == expected
