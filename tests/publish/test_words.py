"""A Decision for people and programs: text and JSON."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler.core.decision import (
    Cause,
    Decision,
    LaunchResult,
    Objection,
    Outcome,
    RefusalKind,
    Spare,
    Verdict,
    Why,
)
from autoscaler.core.model import GroupName, LaunchMethod, NodeName, PodKey
from autoscaler.publish.document import format_time, to_json, write_json
from autoscaler.publish.text import headline, render_text, result_line
from tests.builders import NOW, ZONES
from tests.publish.telling import (
    WEB_1,
    WEB_2,
    answer,
    crisis,
    launch,
    objections,
)


class TestDocument:
    def test_is_the_contract(self) -> None:
        assert to_json(crisis()) == {
            "at": "2026-01-01T12:00:00Z",
            "launches": [
                {"group": "od-a", "zone": None, "count": 1, "cause": "Headroom", "pods": []},
                {
                    "group": "spot-b",
                    "zone": ZONES[0],
                    "count": 2,
                    "cause": "Pending",
                    "pods": ["shop/web-1", "shop/web-2"],
                },
            ],
            "verdicts": {
                "ml/train": {
                    "outcome": "unschedulable",
                    "objections": {"spot-a": ["TooSmall"], "spot-b": ["TaintNotTolerated", "TooSmall"]},
                },
                "shop/old": {"outcome": "fits-existing", "objections": {}},
                "shop/web-1": {"outcome": "launch", "group": "spot-b", "objections": {"spot-a": ["InBackoff"]}},
                "shop/web-2": {"outcome": "launch", "group": "spot-b", "objections": {"spot-a": ["InBackoff"]}},
            },
            "drains": [{"node": "ip-10-0-0-1", "cause": "ReturnToSpot", "pods": ["shop/a", "shop/b"]}],
            "kept": {"ip-10-0-0-2": ["TooYoung"]},
        }

    def test_says_nothing_with_all_its_keys(self) -> None:
        assert to_json(Decision(at=NOW)) == {
            "at": "2026-01-01T12:00:00Z", "launches": [], "verdicts": {}, "drains": [], "kept": {}
        }  # fmt: skip

    def test_what_a_place_does_not_honour_has_a_key_only_where_there_is_any(self) -> None:
        verdict = Verdict(outcome=Outcome.FITS_EXISTING, unmet=(Objection(Why.PREFER_NO_SCHEDULE, "wear=old"),))
        shown = to_json(Decision(at=NOW, verdicts={WEB_1: verdict, WEB_2: Verdict(outcome=Outcome.FITS_EXISTING)}))
        assert shown["verdicts"] == {
            "shop/web-1": {"outcome": "fits-existing", "objections": {}, "unmet": ["PreferNoSchedule"]},
            "shop/web-2": {"outcome": "fits-existing", "objections": {}},
        }

    def test_order_changes_no_byte(self) -> None:
        one, two = crisis(), crisis()
        shuffled = Decision(
            at=two.at, launches=two.launches[::-1], verdicts=dict([*two.verdicts.items()][::-1]), drains=two.drains,
            removals=two.removals, kept=two.kept,
        )  # fmt: skip
        assert write_json(one) == write_json(shuffled)
        assert render_text(one) == render_text(shuffled)
        assert json.loads(write_json(one)) == to_json(one)

    def test_joins_launches_that_the_api_splits(self) -> None:
        parts = (launch(count=100, pods=(WEB_2,)), launch(count=20, pods=(WEB_1,)))
        (entry,) = to_json(Decision(at=NOW, launches=parts))["launches"]
        assert (entry["count"], entry["pods"]) == (120, ["shop/web-1", "shop/web-2"])

    def test_times_are_utc_with_fractions_only_where_there_are_any(self) -> None:
        assert format_time(NOW + timedelta(milliseconds=5)) == "2026-01-01T12:00:00.005000Z"


class TestText:
    def test_tells_all_that_happens(self) -> None:
        assert render_text(crisis()) == (
            "2026-01-01T12:00:00Z  3 new nodes; pods: 2 launch, 1 fits-existing, 1 unschedulable; "
            "1 drain; 1 termination\n"
            "\nlaunch\n  1 x od-a in any zone, Headroom\n  2 x spot-b in eu-west-3a for shop/web-1, shop/web-2\n"
            "      not spot-a: InBackoff (about InBackoff)\n"
            "\ndrain\n  ip-10-0-0-1: ReturnToSpot, moving shop/a, shop/b\n"
            "\nterminate\n  i-1 of spot-a: NoNode\n"
            "\nfits-existing\n  shop/old\n      on ip-10-0-0-9\n"
            "\nunschedulable\n  ml/train\n"
            "      TaintNotTolerated: spot-b (about TaintNotTolerated)\n"
            "      TooSmall: spot-a, spot-b (about TooSmall)\n"
            "\nkept\n  ip-10-0-0-2: TooYoung: 5m\n"
        )

    def test_pods_of_one_fate_share_a_paragraph(self) -> None:
        fate = Verdict(outcome=Outcome.WAITING, objections=objections(spot_a=[Why.IN_BACKOFF]))
        text = render_text(Decision(at=NOW, verdicts={PodKey("a", f"p-{n:05}"): fate for n in range(50_000)}))
        assert "a/p-00000, a/p-00001, a/p-00002, a/p-00003 +49996\n" in text
        assert len(text) < 400

    def test_has_words_for_nothing(self) -> None:
        assert headline(Decision(at=NOW)) == "nothing to do"

    @pytest.mark.parametrize(
        ("result", "line"),
        [
            (answer(launch(count=2), 2), "spot-a in eu-west-3a: 2 nodes launched (500 ms)"),
            (answer(launch(zone=None, method=LaunchMethod.DESIRED)), "spot-a in any zone: 1 node requested (500 ms)"),
            (
                answer(launch(count=2), 1, RefusalKind.NO_CAPACITY, code="InsufficientInstanceCapacity"),
                "spot-a in eu-west-3a: 1 of 2 launched, NoCapacity InsufficientInstanceCapacity (500 ms)",
            ),
        ],
    )
    def test_tells_an_answer(self, result: LaunchResult, line: str) -> None:
        assert result_line(result) == line


def test_what_simulate_needs_loads_nothing_heavy() -> None:
    heavy = ("aiohttp", "anyio", "prometheus_client", "structlog", "pydantic", "msgspec", "asyncio", "logging")
    code = "import sys, autoscaler.publish.document, autoscaler.publish.text; "
    code += f"print([name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_the_text_says_what_a_place_does_not_honour() -> None:
    unmet = (Objection(Why.PREFERRED_NODE_AFFINITY, "would rather have disk In ssd"),)
    bought = Verdict(outcome=Outcome.LAUNCH, group=GroupName("spot-a"), unmet=unmet)
    placed = Verdict(outcome=Outcome.FITS_EXISTING, node=NodeName("n-1"), unmet=unmet)
    text = render_text(Decision(at=NOW, launches=(launch(),), verdicts={WEB_1: bought, WEB_2: placed}))
    assert text.count("      not honoured: PreferredNodeAffinity: would rather have disk In ssd\n") == 2


def test_spare_room_tells_what_is_not_to_be_had_and_why() -> None:
    tight, dry = (Objection(Why.TOO_SMALL, "x"),), (Objection(Why.IN_BACKOFF, "y"), Objection(Why.TOO_SMALL, "z"))
    found = {GroupName("a"): tight, GroupName("b"): dry}
    spare = Spare(name="headroom[1]", cause=Cause.HEADROOM, wanted=5, present=1, bought=2, objections=found)
    line = "headroom[1]: 5 wanted, 1 present, 2 bought; 2 not to be had: TooSmall (a, b), InBackoff (b)"
    assert line in render_text(Decision(at=NOW, spare=(spare,)))
    alone = replace(spare, objections={})
    assert "2 not to be had: there is no group" in render_text(Decision(at=NOW, spare=(alone,)))
    assert "bought\n" in render_text(Decision(at=NOW, spare=(replace(spare, wanted=3),)))
