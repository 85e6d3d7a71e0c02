"""Builders of what AWS prints; a test states only what matters."""

from typing import Any

from autoscaler.aws.known import Known
from autoscaler.aws.templates import LaunchTemplates


def asg(name: str = "spot-a", **changes: Any) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": name,
        "MinSize": 0,
        "MaxSize": 10,
        "DesiredCapacity": 0,
        "AvailabilityZones": ["eu-west-3a"],
        "LaunchTemplate": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "one", "Version": "$Latest"},
        "Instances": [],
        "Tags": [],
        **changes,
    }


def instance(ident: str = "i-1", **changes: Any) -> dict[str, Any]:
    return {
        "InstanceId": ident,
        "InstanceType": "m5.large",
        "AvailabilityZone": "eu-west-3a",
        "LifecycleState": "InService",
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
        **changes,
    }


def tags(**values: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def policy(*overrides: dict[str, Any], base: int = 0, percentage: int = 0) -> dict[str, Any]:
    return {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "$Default"},
            "Overrides": list(overrides),
        },
        "InstancesDistribution": {
            "OnDemandBaseCapacity": base,
            "OnDemandPercentageAboveBaseCapacity": percentage,
        },
    }


def version(number: int = 1, *, default: bool = True, ident: str = "lt-1", **data: Any) -> dict[str, Any]:
    return {
        "LaunchTemplateId": ident,
        "LaunchTemplateName": {"lt-1": "one"}.get(ident, ident),
        "VersionNumber": number,
        "DefaultVersion": default,
        "LaunchTemplateData": {"InstanceType": "m5.large", **data},
    }


def knowing(*versions: dict[str, Any], **facts: Any) -> Known:
    return Known(templates=LaunchTemplates.read(versions or [version()]), **facts)
