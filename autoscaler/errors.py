"""What can go wrong outside, classified once at the edge that saw it.

An expected refusal (no capacity, an eviction held by a budget) is a value, not
an exception. A message names the object, the fact and what happens next.
"""


class AutoscalerError(Exception):
    """Whatever this program raises on purpose."""


class KubernetesError(AutoscalerError):
    """The API server refused, or could not be reached (status 0).

    `status` is the HTTP status, `reason` the machine-readable word of the
    Status body ("Conflict", "Expired"), empty where there was none.
    `retry_after` is how many seconds it asked us to wait, 0 if it did not.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class AwsError(AutoscalerError):
    """AWS refused, or could not be reached (status 0).

    `code` is the error code of the reply ("Throttling"), never its prose.
    """

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
