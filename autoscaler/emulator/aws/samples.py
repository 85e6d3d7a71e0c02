"""Recorded texts: what AWS says when it refuses, verbatim in substance.

The only place for AWS's prose in the emulator; the product's parser of
activities is tested with the same sentences. From public bug reports (cortex
1258, aws-parallelcluster 1115 and 1944, kops 15778, osparc 3629, PrairieLearn
3271, deepracer-on-the-spot 55, aws-ethereum-miner 23, nomad-autoscaler 1290).
Not seen in a report, written after the AWS guide: InvalidLaunchTemplate,
UnauthorizedOperation, the prefix of on-demand fleets, all of LaunchInstances.
Placeholders: type, zone, others (the other zones), subnet, limit.
"""

from autoscaler.core.model import Market

ICE = "InsufficientInstanceCapacity"

REFUSALS = {
    ICE: (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). "
        "Our system will be working on provisioning additional capacity. You can currently get {type} capacity "
        "by not specifying an Availability Zone in your request or choosing {others}."
    ),
    "UnfulfillableCapacity": (
        "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
    ),
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded",
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance "
        "bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request "
        "to request an adjustment to this limit."
    ),
    "InstanceLimitExceeded": (
        "You have requested more instances ({limit}) than your current instance limit of 0 allows for the specified "
        "instance type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this "
        "limit."
    ),
    "InsufficientFreeAddressesInSubnet": (
        "There are not enough free addresses in subnet '{subnet}' to satisfy the requested number of instances."
    ),
    "Unsupported": (
        "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone}). "
        "Please retry your request by not specifying an Availability Zone or choosing {others}."
    ),
    "InvalidFleetConfiguration": (
        "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone})."
    ),
    "InvalidLaunchTemplate": (
        "You must use a valid fully-formed launch template. The image id '[ami-0123456789abcdef0]' does not exist"
    ),
    "UnauthorizedOperation": (
        "You are not authorized to use launch template: lt-0123456789abcdef0. You are not authorized to perform "
        "this operation."
    ),
    "InternalError": "An internal error has occurred",
}
SPOT_ICE = "There is no Spot capacity available that matches your request."
SPOT_PREFIX = "Could not launch Spot Instances. {code} - "
ON_DEMAND_PREFIX = "Could not launch On-Demand Instances. {code} - "
WITHOUT_PREFIX = frozenset(
    {"MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded", "InvalidLaunchTemplate"}
)
FAILED_SUFFIX = " Launching EC2 instance failed."

AT_MIN_SIZE = (
    "Currently, desiredSize equals minSize ({min}). Terminating instance without replacement will violate group's "
    "min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
)
UNKNOWN_INSTANCE = "Instance Id not found - No managed instance found for instance ID: {id}"
UNKNOWN_GROUP = "AutoScalingGroup name not found - AutoScalingGroup {name} not found"
ABOVE_MAX = "New SetDesiredCapacity value {desired} is above max value {max} for the AutoScalingGroup."
BELOW_MIN = "New SetDesiredCapacity value {desired} is below min value {min} for the AutoScalingGroup."
GROUP_EXISTS = "AutoScalingGroup by this name already exists - A group with the name {name} already exists"
ONE_SOURCE = (
    "Valid requests must contain either launchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy "
    "parameter."
)
DESIRED_OUTSIDE = "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
SPOT_TEMPLATE_IN_POLICY = (
    "Incompatible launch template: You cannot use a launch template that is set to request Spot Instances "
    "(InstanceMarketOptions) when you configure an Auto Scaling group with a mixed instances policy."
)
ZONES_DO_NOT_MATCH = "The availability zones of the specified subnets and the AutoScalingGroup do not match: {zones}"
NO_REFRESH = "No in progress or pending Instance Refresh found for Auto Scaling group {name}"


def error_message(code: str, market: Market, **facts: str) -> str:
    """The ErrorMessage of a refusal in a LaunchInstances answer; an unknown code speaks for itself."""
    if code == ICE and market is Market.SPOT:
        return SPOT_ICE
    return REFUSALS.get(code, f"{code}: the request was refused").format(**facts)


def status_message(code: str, market: Market, fleet: bool, **facts: str) -> str:
    """The StatusMessage of a Failed activity.

    `fleet`: the group has a mixed instances policy, so that EC2 Fleet's
    prefix, with the code in it, precedes the sentence. Quotas have none.
    """
    sentence = error_message(code, market, **facts)
    sentence += "" if sentence.endswith(".") else "."
    if not fleet or code in WITHOUT_PREFIX:
        return sentence + FAILED_SUFFIX
    prefix = SPOT_PREFIX if market is Market.SPOT else ON_DEMAND_PREFIX
    return prefix.format(code=code) + sentence + FAILED_SUFFIX
