"""Log lines as a process writes them."""

import json
import subprocess
import sys

import pytest

TELL = """
import logging, sys, warnings, structlog
from autoscaler import logs
logs.configure(sys.argv[1], int(sys.argv[2]))
log = structlog.get_logger()
log.debug("pass.looked")
log.info("scale_up.launched", node_group="spot a", count=3, zones=("a", "b"))
log.info("aws.answered", url="https://me:word@host/x?X-Amz-Signature=abc&Action=Y",
         headers={"Authorization": "Basic x"}, session_token="t",
         detail="sent Bearer abc.def, refused", continue_token="kept")
logging.getLogger("botocore").warning("slow %s", "reply")
logging.getLogger("botocore").info("unheard")
try:
    raise ValueError("Bearer abc")
except ValueError:
    log.exception("pass.failed")
"""


def told(layout: str, verbosity: int) -> list[str]:
    command = [sys.executable, "-c", TELL, layout, str(verbosity)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_json_lines_carry_time_level_event_and_keys() -> None:
    launched, answered, library, failed = [json.loads(line) for line in told("json", 0)]
    assert list(launched)[:3] == ["time", "level", "event"]
    assert launched["time"].endswith("Z")
    assert {key: launched[key] for key in ("level", "event", "node_group", "count", "zones")} == {
        "level": "info", "event": "scale_up.launched", "node_group": "spot a", "count": 3, "zones": ["a", "b"],
    }  # fmt: skip
    assert answered["continue_token"] == "kept"
    assert (library["event"], library["library"], library["message"]) == ("library.spoke", "botocore", "slow reply")
    assert failed["level"] == "error"
    assert "ValueError" in failed["exception"]


def test_text_lines_say_the_same() -> None:
    assert 'level=info event=scale_up.launched node_group="spot a" count=3' in told("text", 0)[0]


@pytest.mark.parametrize("layout", ["json", "text"])
def test_credentials_never_leave(layout: str) -> None:
    text = "\n".join(told(layout, 0))
    for secret in ("word", "abc", "Basic x", "=t ", '"t"', "me:"):
        assert secret not in text
    assert "Action=Y" in text


def test_verbosity_four_tells_each_step() -> None:
    assert "pass.looked" in told("text", 4)[0]
