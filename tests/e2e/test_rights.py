"""What the chart's ServiceAccount asked for in this whole run: nothing that it may not, and all that it may."""

from __future__ import annotations

import pytest

from tests.controlplane.installation import denied, rights_given, rights_used, unused
from tests.e2e.places import ControlPlane

pytestmark = pytest.mark.controlplane


def test_no_request_was_denied_and_no_right_was_left_unused(place: ControlPlane) -> None:
    """By the audit log, after all other tests; a run of some of them may well leave rights unused."""
    rows = place.asked().rows()
    given, used = rights_given(place.rendering), rights_used(rows)
    assert not denied(rows)
    assert not unused(given, used)
    names = {right[:3] for right in given}
    assert not {right for right in used if right[:3] not in names}, "what others than the chart permit"
