"""What an AwsError means for a launch: the Refusal that the next pass can see.

The codes are `refusals`' business; here it is which errors say that no answer
came, and which that the API itself is not to be had.
"""

from __future__ import annotations

from autoscaler.aws.client import UNREADABLE
from autoscaler.aws.gate import BACKOFF
from autoscaler.aws.refusals import classify
from autoscaler.core.decision import Refusal, RefusalKind
from autoscaler.core.model import Zone
from autoscaler.errors import AwsError

_UNSERVED = (404, 405, 501)
_DENIED = ("accessdenied", "unauthorizedoperation", "notauthorized")


def may_have_happened(error: AwsError) -> bool:
    """Tell whether the call may have worked although no answer says so."""
    if error.code == BACKOFF:
        return False
    return error.status == 0 or (error.status >= 500 and error.status not in _UNSERVED)


def is_unserved(error: AwsError) -> bool:
    """Tell whether the endpoint does not know the operation, as emulators answer: not AWS's 500, which can be read."""
    return error.status in _UNSERVED or (error.code == UNREADABLE and error.status == 500)


def is_denied(error: AwsError) -> bool:
    """Tell whether the caller may not do this; a later call may be refused for another reason."""
    return error.code.lower().startswith(_DENIED)


def kind_of(error: AwsError, *, launching: bool = False) -> RefusalKind:
    """Classify an error; of LaunchInstances (`launching`) a denial means that the group needs the other method."""
    if error.code == BACKOFF:
        return RefusalKind.THROTTLED
    if launching and (is_unserved(error) or is_denied(error)):
        return RefusalKind.NO_LAUNCH_API
    kind = classify(error.code, str(error))
    if may_have_happened(error) and kind in (RefusalKind.UNKNOWN, RefusalKind.CONFIGURATION):
        return RefusalKind.NO_ANSWER
    if kind is RefusalKind.NO_LAUNCH_API and not launching:
        return RefusalKind.CONFIGURATION
    return kind


def refusal_of(error: AwsError, zone: Zone | None = None, *, launching: bool = False) -> Refusal:
    return Refusal(kind=kind_of(error, launching=launching), code=error.code, detail=str(error), zone=zone)
