"""Watch events by the kind that is watched: what an error says is never lost."""

import pytest

from autoscaler.kubernetes.codec import Codec
from autoscaler.kubernetes.wire import WireConfigMap, WireNode, WireObject, WirePod, WirePriorityClass, WireStatus

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"too old resource version: 1 (9)","reason":"Expired","code":410}}'
)


@pytest.mark.parametrize("wire", [WireConfigMap, WireNode, WireObject, WirePod, WirePriorityClass])
def test_an_error_is_a_status_whatever_is_watched(wire: type) -> None:
    event = Codec(wire).read_event(GONE)
    assert event.type == "ERROR"
    assert isinstance(event.object, WireStatus)
    assert (event.object.code, event.object.reason) == (410, "Expired")
