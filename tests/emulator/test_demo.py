"""The demo as a user runs it: whole process, and a story that must not end well."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.emulator.demo import NEEDED
from autoscaler.emulator.narrator import Narrator
from autoscaler.emulator.stories import PACKAGED, StoryError, load_story
from autoscaler.emulator.timeline import GroupState, Line, Picture, Tone, ZoneState, draw

DEMO = (sys.executable, "-m", "autoscaler.cli", "demo", "--fast", "--plain")
START = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=120, check=False)


def story_file(folder: Path, acts: int, **changes: Any) -> Path:
    """The packaged story, cut after so many acts, the last of which is changed."""
    story = yaml.safe_load(PACKAGED.read_text())
    story["acts"] = story["acts"][:acts]
    story["acts"][-1] |= changes
    story["fast"] |= {"patience": 4}
    path = folder / "story.yaml"
    path.write_text(yaml.safe_dump(story))
    return path


class TestTheWholeStory:
    def test_ends_as_told(self) -> None:
        done = run()
        assert done.returncode == 0, done.stdout + done.stderr
        for number, act in enumerate(load_story().acts, 1):
            assert f"Act {number}: {act.title}." in done.stdout
        assert done.stdout.count("  ok      ") == 5
        told = " ".join(done.stdout.split())
        assert "ended as told" in told
        assert "ok spot-m6i a3 b3 c3, 9 on-demand gone; " in told
        assert "On the way back 18 pods moved: none was Unschedulable, no more than 4 were missing at once" in told
        assert "the nodes cost 1.71 USD an hour instead of 2.88." in told
        assert max(map(len, done.stdout.splitlines())) < 80
        assert done.stdout.isascii()

    def test_capacity_that_the_story_did_not_take_away_is_missed(self, tmp_path: Path) -> None:
        done = run("--story", story_file(tmp_path, 1, capacity=[{"free": 0}]))
        assert done.returncode == 1
        assert "FAILED  expected 12 pods running; found 0" in done.stdout
        assert "FAILED  act 1 did not end as told" in done.stdout

    def test_nodes_on_another_group_than_told_are_found(self, tmp_path: Path) -> None:
        expect = {"nodes": {"on-demand": 6}, "refusals": 1, "calls": 1, "asked": {"group": "on-demand", "within_ms": 9}}
        done = run("--story", story_file(tmp_path, 1, expect=expect))
        assert done.returncode == 1
        told = " ".join(done.stdout.split())
        assert "expected new nodes on-demand 6, nothing left over; found spot-m6i 6" in told
        assert "expected 1 refusals; AWS gave 0" in told
        assert "expected at most 1 launch calls; AWS got 3" in told
        assert "expected on-demand to be asked within 9 ms; it was not asked" in told

    def test_nodes_that_do_not_return_are_missed(self, tmp_path: Path) -> None:
        gone = {"nodes": {"spot-m6i": 6}, "gone": {"spot-m6i": 1}}
        done = run("--story", story_file(tmp_path, 1, expect=gone, hours=2))
        assert done.returncode == 1
        told = " ".join(done.stdout.split())
        assert "expected spot-m6i 1 to go and all others of earlier acts to stay; none went, 0 are leaving" in told

    def test_an_interrupt_ends_it_and_its_controller(self) -> None:
        playing = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with playing:
            assert playing.stdout is not None
            assert playing.stderr is not None
            while "Act 1" not in playing.stdout.readline():
                assert playing.poll() is None
            children = Path(f"/proc/{playing.pid}/task/{playing.pid}/children").read_text().split()
            playing.send_signal(signal.SIGINT)
            playing.wait(20)
            assert playing.stderr.read() == ""
        assert playing.returncode == 130
        assert len(children) == 1
        assert not Path(f"/proc/{children[0]}").exists()


class TestWhatCannotBePlayed:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("acts: [", "while parsing"),
            ("title: x", "missing required field"),
            (PACKAGED.read_text().replace("free: 0", "fre: 0", 1), "unknown field `fre`"),
        ],
    )
    def test_a_bad_story_is_one_line_that_names_it(self, tmp_path: Path, text: str, fault: str) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        with pytest.raises(StoryError) as caught:
            load_story(path)
        assert str(path) in str(caught.value)
        assert fault in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_story_that_is_not_there(self, tmp_path: Path) -> None:
        done = run("--story", tmp_path / "none.yaml")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("autoscaler demo: story ")
        assert done.stderr.endswith("none.yaml: No such file or directory\n")

    def test_missing_packages_are_named_with_the_cure(self, tmp_path: Path) -> None:
        blocker = (
            "import sys\n"
            "class Blocker:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'moto': raise ModuleNotFoundError(name)\n"
            "import importlib.util as u\n"
            "found = u.find_spec\n"
            "u.find_spec = lambda name, *rest: None if name == 'moto' else found(name, *rest)\n"
        )
        (tmp_path / "sitecustomize.py").write_text(blocker)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(DEMO, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert done.returncode == 1
        assert "not installed (moto): pip install 'priority-autoscaler[demo]'" in done.stderr
        assert done.stderr.count("\n") == 1
        assert "moto" in NEEDED


def entry(event: str, zone: str, **fields: Any) -> dict[str, Any]:
    time = (START + timedelta(seconds=0.6)).isoformat()
    return {"event": event, "zone": zone, "count": 1, "milliseconds": 500, "time": time, "passed_over": {}, **fields}


class TestNarrator:
    def test_one_line_for_a_group_in_a_wave(self) -> None:
        teller = Narrator(load_story())
        entries = [
            entry("scale_up.launched", "eu-west-3a", node_group="spot-m6i", launched=1, surplus=1),
            entry("scale_up.launched", "eu-west-3c", node_group="spot-m6i", launched=1),
            entry("scale_up.refused", "eu-west-3b", node_group="spot-m6i", error="NoCapacity", code="Other"),
            {"event": "pass.finished"},
        ]
        assert list(teller.tell(entries, START)) == []
        told = list(teller.flush(START))
        after = timedelta(seconds=0.1)
        assert told == [
            Line(Tone.LAUNCH, "2 nodes in 500 ms; tier 40, 1 to spare", after, "spot-m6i", "a1 c1"),
            Line(Tone.REFUSAL, "Other, 500 ms; tier 40, highest", after, "spot-m6i", "b1"),
        ]

    def test_a_lower_tier_says_what_stands_above_it(self) -> None:
        teller = Narrator(load_story())
        over = {"InBackoff": "spot-m5, spot-m6i", "MaxSizeReached": "spot-m5a"}
        launched = entry("scale_up.launched", "eu-west-3a", node_group="on-demand", launched=1, passed_over=over)
        list(teller.tell([launched], START))
        (line,) = teller.flush(START)
        assert line.text.endswith("tier 10, spot-m5, spot-m6i: InBackoff, spot-m5a: MaxSizeReached")

    def test_drains_that_end_together_share_a_line_and_a_failed_one_says_why(self) -> None:
        teller = Narrator(load_story())
        removed = {
            "event": "instance.removed",
            "time": START.isoformat(),
            "node_group": "on-demand",
            "reason": "Drained",
        }
        ended = entry("drain.ended", "", node_group="on-demand", result="Removed", evicted=2, seconds=1.25)
        list(teller.tell([removed, ended, {**ended, "seconds": 1.5}], START))
        assert list(teller.flush(START)) == [
            Line(Tone.REMOVAL, "2 nodes gone, 4 pods moved, 1.5 s", timedelta(seconds=0.1), "on-demand")
        ]
        list(teller.tell([{**ended, "result": "Failed", "detail": "a budget"}], START))
        (line,) = teller.flush(START)
        assert (line.tone, line.text) == (Tone.REFUSAL, "a drain ended: a budget")

    def test_the_first_node_where_it_was_refused_is_a_probe(self) -> None:
        teller = Narrator(load_story())
        refused = entry("scale_up.refused", "eu-west-3b", node_group="spot-m5a", error="NoCapacity", code="Other")
        later = (START + timedelta(seconds=40)).isoformat()
        launched = entry("scale_up.launched", "eu-west-3b", node_group="spot-m5a", launched=1, time=later)
        assert len(list(teller.tell([refused, launched], START))) == 1
        (line,) = teller.flush(START)
        assert line.text.endswith("tier 20, a probe")
        assert teller.refused == {}


def test_the_picture_shows_nodes_and_dry_zones() -> None:
    from rich.console import Console

    zones = [
        ZoneState(ready=2, coming=1, dry=False, refused_ago=None),
        ZoneState(ready=0, coming=0, dry=True, refused_ago=9.4),
    ]
    groups = [GroupState(name="spot-m5", tier=30, market="spot", zones=zones)]
    picture = Picture(
        title="a story", seconds=12.3, zones=["eu-west-3a", "eu-west-3b"], groups=groups, running=4, pending=2,
        calls=5, refusals=1, price=1.714,
    )  # fmt: skip
    console = Console(width=80, file=StringIO())
    with console.capture() as captured:
        console.print(draw(picture))
    text = captured.get()
    for part in (
        "a story   12 s",
        "30",
        "spot-m5",
        "■■□",
        "dry x 9s",
        "4 pods running",
        "2 pending",
        "1 refused",
        "1.71 USD an hour",
    ):
        assert part in text
