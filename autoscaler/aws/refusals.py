"""What an error of AWS means for the next launch: codes, and the prose of scaling activities.

One table of codes and one parser of prose, with recorded samples in the
tests. Every text has an answer; what is not known is UNKNOWN, never an
exception. What a class closes, and for how long, is the core's question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoscaler.core.decision import RefusalKind
from autoscaler.core.model import InstanceType, Market, Zone
from autoscaler.core.scaleup.pools import quota_class

__all__ = ["ActivityFailure", "classify", "classify_activity", "classify_in_reply", "quota_class", "read_activity"]

_CODES: dict[RefusalKind, tuple[str, ...]] = {
    RefusalKind.NO_CAPACITY: (
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "ReservationCapacityExceeded",
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
    ),
    RefusalKind.CONTENTION: (
        "ResourceContention",
        "ResourceInUse",
        "ScalingActivityInProgress",
        "IdempotentCallInProgress",
        "IncorrectState",
        "IncorrectInstanceState",
        "ConcurrentTagAccess",
        "NotLeading",  # our own fence
    ),
    RefusalKind.LIMIT: (
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "InstanceTypeLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "SpotInstanceLimitExceeded",
        "MaxFleetCountExceeded",
        "MaxSpotFleetRequestCountExceeded",
        "FleetLimitExceeded",
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "DedicatedHostLimitExceeded",
        "NetworkInterfaceLimitExceeded",
        "AddressLimitExceeded",
        "LimitExceeded",
        "ServiceQuotaExceeded",
    ),
    RefusalKind.NO_ADDRESSES: (
        "InsufficientFreeAddressesInSubnet",
        "InsufficientCidrBlocks",
        "InsufficientAddressCapacity",
    ),
    RefusalKind.UNSUPPORTED: ("Unsupported", "UnsupportedOperation", "UnsupportedHostConfiguration"),
    RefusalKind.THROTTLED: (
        "Throttling",
        "Throttled",
        "ThrottledRequest",
        "RequestThrottled",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "TooManyRequests",
        "TransactionInProgress",
        "SlowDown",
        "Backoff",  # ours: the call was not made, since the ones before it failed
        "EC2Throttled",
    ),
    RefusalKind.NO_LAUNCH_API: ("InvalidAction", "UnknownOperation", "ActionNotFound", "NotImplemented"),
    RefusalKind.NO_ANSWER: (
        "RequestTimeout",
        "RequestTimedOut",
        "RequestExpired",
        "InternalFailure",
        "InternalError",
        "InternalServerError",
        "ServiceUnavailable",
        "Unavailable",
        "ReadTimeout",
        "ConnectTimeout",
        "EndpointConnection",
        "ConnectionClosed",
        "Connection",
        "ProxyConnection",
        "SSL",
        "HTTPClient",
        "IncompleteRead",
        "ResponseStreaming",
        "ResponseParser",
    ),
    RefusalKind.CONFIGURATION: (
        "ValidationError",
        "Validation",
        "InvalidParameter",
        "MissingParameter",
        "InvalidFleetConfiguration",
        "InvalidFleetConfig",
        "InvalidRequest",
        "InvalidKey",
        "InvalidQueryParameter",
        "UnauthorizedOperation",
        "AuthFailure",
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
        "NotAuthorized",
        "ExpiredToken",
        "PendingVerification",
        "OptInRequired",
        "Blocked",
        "KMSKeyNotAccessibleFault",
        "KMSInvalidState",
        "DisabledKMSKey",
        "VPCIdNotSpecified",
        "VPCResourceNotSpecified",
        "MissingInput",
        "EncryptedVolumesNotSupported",
        "NonEBSInstance",
        "UnknownParameter",
        "ParamValidation",
        "NoCredentials",
        "PartialCredentials",
        "CredentialRetrieval",
        "TokenRetrieval",
        "NoRegion",
        "MalformedQueryString",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    ),
}
_KIND_OF_CODE = {code.lower(): kind for kind, codes in _CODES.items() for code in codes}
_SUFFIXES = ("exception", "fault", "error")
# Families of codes: what is named is wrong or gone, and stays so until somebody mends it.
_WRONG_NAMES = re.compile(
    r"(?:Invalid|Malformed|Missing|Disabled|Expired)\w*(?:\.\w+)*|\w+(?:NotFound|NotSpecified)", re.ASCII
)

_TYPE_NOT_IN_ZONE = re.compile(
    r"instance type .{0,200}(?:not supported|unsupported) in your requested", re.IGNORECASE | re.DOTALL
)
# A server that is not AWS's, such as moto's, says so with a page for people when it does not know an operation.
_PAGE = re.compile(r"<title>50[01]\b", re.IGNORECASE)
_LAUNCH_API = re.compile(r"autoscaling:LaunchInstances\b", re.IGNORECASE)


def classify(code: str, message: str = "") -> RefusalKind:
    """Say what an error code of LaunchInstances, of EC2 or of Auto Scaling means.

    Takes codes as the API gives them, with or without "Client.", "Server." and
    "Exception". The message decides only where one code says two things.
    Source: EC2 API reference, "Error codes"; Auto Scaling API reference, "Common errors".
    """
    bare = _bare(code)
    kind = _kind_of(bare)
    if bare == "ResponseParserError" and _PAGE.search(message):
        return RefusalKind.NO_LAUNCH_API
    if kind is RefusalKind.CONFIGURATION:
        if _LAUNCH_API.search(message) and bare.lower().startswith(("accessdenied", "unauthorized", "notauthorized")):
            return RefusalKind.NO_LAUNCH_API
        if _TYPE_NOT_IN_ZONE.search(message):
            return RefusalKind.UNSUPPORTED
    return kind


def classify_in_reply(code: str, message: str = "") -> RefusalKind:
    """Say what an error inside a reply means: `Errors` of LaunchInstances, or a failed activity.

    AWS has answered, so an internal error of its own is worth another try
    with a new token; it leaves nothing open.
    """
    kind = classify(code, message)
    return RefusalKind.CONTENTION if kind is RefusalKind.NO_ANSWER else kind


def _bare(code: str) -> str:
    return re.sub(r"^(?:Client|Server)\.(?=.)", "", code.strip())


def _kind_of(bare: str) -> RefusalKind:
    lower = bare.lower()
    for form in (lower, *(lower.removesuffix(end) for end in _SUFFIXES if lower.endswith(end))):
        if form in _KIND_OF_CODE:
            return _KIND_OF_CODE[form]
    if re.fullmatch(r"5\d\d", lower):
        return RefusalKind.NO_ANSWER
    if lower.startswith("throttl"):
        return RefusalKind.THROTTLED
    if lower.startswith("idempotent"):
        return RefusalKind.UNKNOWN  # a token of ours with other parameters
    if _WRONG_NAMES.fullmatch(bare):
        return RefusalKind.CONFIGURATION
    return RefusalKind.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFailure:
    """What the StatusMessage of a failed scaling activity tells; a None stands for "not told"."""

    kind: RefusalKind
    code: str  # AWS's where the text has it, else the code that such a text stands for
    instance_type: InstanceType | None = None
    zone: Zone | None = None
    market: Market | None = None
    subnet: str | None = None


_CODE_AND_TEXT = re.compile(
    r"(?:could not launch (?:spot|on-demand) instances\.?|status reason:|termination reason:|^)\s*"
    r"(?P<code>(?:Client\.|Server\.)?[A-Z][A-Za-z0-9]{3,63}(?:\.[A-Z][A-Za-z0-9]{1,63}){0,2})\s*(?:-|:)\s",
    re.IGNORECASE | re.MULTILINE,
)
_ERROR_CODE = re.compile(r"Error Code: (?P<code>[A-Za-z][A-Za-z0-9.]{2,63})")
_MARKET = re.compile(r"could not launch (?P<market>spot|on-demand) instances", re.IGNORECASE)
_TYPE = re.compile(
    r"sufficient (?:reserved )?(?P<capacity>[a-z][a-z0-9-]{0,20}\.[a-z0-9-]{1,20})\s+capacity"
    r"|instance type \(?'?(?P<named>[a-z][a-z0-9-]{0,20}\.[a-z0-9-]{1,20})\b",
    re.IGNORECASE,
)
_ZONE = re.compile(
    r"availability zone(?: you requested)? ?\(?'?(?P<zone>[a-z]{2,4}(?:-[a-z]+){1,3}-\d+[a-z0-9-]{0,20})\b",
    re.IGNORECASE,
)
_SUBNET = re.compile(r"\bsubnet-[0-9a-f]{4,32}\b", re.IGNORECASE)

# Prose without a code, in the order in which it is tried: what it stands for.
_PROSE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"no spot capacity available", "InsufficientInstanceCapacity"),
        (r"(?:not|n't) have (?:sufficient|enough) \S{0,60} ?capacity", "InsufficientInstanceCapacity"),
        (r"insufficient (?:\S{1,20} )?capacity|no more unused capacity", "InsufficientInstanceCapacity"),
        (r"unable to fulfill capacity|not enough spare capacity", "UnfulfillableCapacity"),
        (r"spot (?:request )?price .{0,60}(?:lower than|below) the minimum", "SpotMaxPriceTooLow"),
        (r"max spot instance count exceeded", "MaxSpotInstanceCountExceeded"),
        (r"more vcpu capacity than your current vcpu limit", "VcpuLimitExceeded"),
        (r"more instances .{0,40}than your current instance limit|your quota allows for \d+ more running",
         "InstanceLimitExceeded"),
        (r"reached your quota for maximum (?:spot )?fleet requests", "MaxFleetCountExceeded"),
        (r"(?:maximum|limit).{0,40}\bvolumes?\b|\bvolumes?\b.{0,40}limit", "VolumeLimitExceeded"),
        (r"not enough free addresses|insufficient free addresses", "InsufficientFreeAddressesInSubnet"),
        ((r"not supported in your requested availability zone|requested availability zone is no longer supported"
         r"|requested configuration is currently not supported"), "Unsupported"),
        (r"request limit exceeded|rate exceeded|throttl", "RequestLimitExceeded"),
        (r"encoded authorization failure|not authorized to|access (?:was )?denied", "UnauthorizedOperation"),
        (r"account is currently blocked", "Blocked"),
        (r"currently being verified|validat\w+ .{0,60}access to", "PendingVerification"),
        (r"need to accept terms|not subscribed to", "OptInRequired"),
        (r"\bkms\b|invalid key state|key .{0,60}(?:disabled|pending deletion)", "InvalidKMSKey.InvalidState"),
        (r"client error on launch", "Client.InternalError"),
        (r"\bami\b.{0,120}(?:does not exist|cannot be|deprecated|disabled)|image id .{0,120}(?:not exist|malformed)",
         "InvalidAMIID.NotFound"),
        (r"security group.{0,200}(?:not exist|not belong)", "InvalidGroup.NotFound"),
        (r"key pair.{0,200}not exist", "InvalidKeyPair.NotFound"),
        (r"launch template.{0,200}(?:not exist|not valid|invalid|not be found|not found)", "InvalidLaunchTemplate"),
        (r"iam instance ?profile.{0,200}(?:invalid|not exist|not found)|invalid iam ?instance ?profile",
         "InvalidIamInstanceProfile"),
        ((r"invalid (?:device name|value|parameter)|(?:is|are) not valid|parameter .{0,80}(?:invalid|missing)"
         r"|cannot be (?:used|specified)|not compatible|does not match .{0,40}architecture"), "InvalidParameterValue"),
        (r"internal error|internal failure|service unavailable|server error", "InternalFailure"),
    )
)  # fmt: skip


def classify_activity(status_message: str) -> tuple[RefusalKind, str]:
    """Return the class of a failed scaling activity, and the code that the text has or stands for."""
    failure = read_activity(status_message)
    return failure.kind, failure.code


def read_activity(status_message: str) -> ActivityFailure:
    """Read the StatusMessage of a failed scaling activity; any text has an answer.

    An instance that failed after EC2 had taken the request ("Client error on
    launch", mostly a key that may not be used) is a fault of configuration.
    """
    text = status_message[:4096]
    kind, code = _code_in(text)
    return ActivityFailure(
        kind=kind,
        code=code,
        instance_type=_type_in(text),
        zone=_zone_in(text),
        market=_market_in(text),
        subnet=found[0].lower() if (found := _SUBNET.search(text)) else None,
    )


def _code_in(text: str) -> tuple[RefusalKind, str]:
    """A code that the table knows counts first, then the prose, then a code that nobody knows."""
    told = _ERROR_CODE.search(text) or _CODE_AND_TEXT.search(text)
    code = told["code"] if told else ""
    if code.lower().removeprefix("client.") == "internalerror" and not code.lower().startswith("server."):
        return RefusalKind.CONFIGURATION, code
    if code and (kind := classify_in_reply(code, text)) is not RefusalKind.UNKNOWN:
        return kind, _bare(code)
    for pattern, stands_for in _PROSE:
        if pattern.search(text):
            if stands_for == "Client.InternalError":
                return RefusalKind.CONFIGURATION, stands_for
            return classify_in_reply(stands_for, text), stands_for
    return RefusalKind.UNKNOWN, _bare(code) or "Unknown"


def _type_in(text: str) -> InstanceType | None:
    found = _TYPE.search(text)
    return InstanceType((found["capacity"] or found["named"]).lower()) if found else None


def _zone_in(text: str) -> Zone | None:
    found = _ZONE.search(text)
    return Zone(found["zone"].lower()) if found else None


def _market_in(text: str) -> Market | None:
    found = _MARKET.search(text)
    if found:
        return Market(found["market"].lower())
    return Market.SPOT if re.search(r"no spot capacity|max spot instance count", text, re.IGNORECASE) else None
