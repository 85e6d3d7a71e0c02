"""The controller's log, turned into the lines of a story: what it decided, why, and how long AWS took.

Calls of one wave to one group share a line. All of it comes from the JSON
lines that every user has, so the reasons are the product's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from autoscaler.emulator.stories import Story
from autoscaler.emulator.timeline import Line, Tone

Entry = dict[str, Any]
SAME_WAVE = timedelta(milliseconds=90)
WORDS = {"InsufficientInstanceCapacity": "no capacity"}
TOLD = ("scale_up.launched", "scale_up.refused", "instance.removed", "drain.ended")
DRAINED = "Drained"  # the reason of a removal that ends a drain, which is told by itself


@dataclass(slots=True)
class Narrator:
    """Reads log lines in order; remembers where capacity was refused."""

    story: Story
    refused: dict[tuple[str, str], datetime] = field(default_factory=dict)
    _wave: list[Entry] = field(default_factory=list)

    def tell(self, entries: Iterable[Entry], since: datetime) -> Iterator[Line]:
        """Yield lines for whole waves; the last one is kept back, as more of it may follow. `since` is time 0."""
        for entry in entries:
            if entry.get("event") not in TOLD or entry.get("reason") == DRAINED:
                continue
            if self._wave and not _belongs(entry, self._wave[0]):
                yield from self.flush(since)
            self._wave.append(entry)

    def flush(self, since: datetime) -> Iterator[Line]:
        """Yield the lines of the wave that was kept back."""
        together: dict[tuple[str, str], list[Entry]] = {}
        for entry in self._wave:
            together.setdefault((entry["event"], entry["node_group"]), []).append(entry)
        lines = [self._line(entries, since) for entries in together.values()]
        for entry in self._wave:
            self._note(entry)
        self._wave.clear()
        yield from lines

    def _note(self, entry: Entry) -> None:
        place = (entry["node_group"], entry.get("zone") or "")
        if entry["event"] == "scale_up.refused" and entry["error"] == "NoCapacity":
            self.refused[place] = _time(entry)
        elif entry["event"] == "scale_up.launched":
            self.refused.pop(place, None)

    def _line(self, entries: list[Entry], since: datetime) -> Line:
        first = entries[0]
        group, spent = first["node_group"], max(entry.get("milliseconds", 0) for entry in entries)
        after = min(_start(entry) for entry in entries) - since
        if first["event"] == "drain.ended":
            return self._drained(entries, after)
        if first["event"] == "instance.removed":
            return Line(Tone.REMOVAL, f"{len(entries)} given back: {first['reason'].lower()}", after, group)
        asked: dict[str, int] = {}
        for entry in entries:
            zone = (entry["zone"] or "?")[-1]
            asked[zone] = asked.get(zone, 0) + entry["count"]
        where = " ".join(f"{zone}{count}" for zone, count in sorted(asked.items()))
        if first["event"] == "scale_up.refused":
            why = WORDS.get(first["code"], first["code"])
            return Line(Tone.REFUSAL, f"{why}, {spent} ms; {self._reason(entries)}", after, group, where)
        count = sum(entry["launched"] for entry in entries)
        nodes = f"{count} node{'s' if count != 1 else ''} in {spent} ms; {self._reason(entries)}"
        return Line(Tone.LAUNCH, nodes, after, group, where)

    def _drained(self, entries: list[Entry], after: timedelta) -> Line:
        """Drains that ended together. One that came to nothing says why."""
        failed = [entry for entry in entries if entry["result"] not in ("Removed", "Gone")]
        if failed:
            return Line(Tone.REFUSAL, f"a drain ended: {failed[0]['detail']}", after, failed[0]["node_group"])
        spent, evicted = max(entry["seconds"] for entry in entries), sum(entry["evicted"] for entry in entries)
        nodes = f"{len(entries)} node{'s' if len(entries) != 1 else ''} gone"
        return Line(Tone.REMOVAL, f"{nodes}, {evicted} pods moved, {spent:.1f} s", after, entries[0]["node_group"])

    def _reason(self, entries: list[Entry]) -> str:
        """Why this group: its tier, what the controller says of those above, and where it was refused before."""
        group = entries[0]["node_group"]
        tier = self.story.tier_of(group)
        above = {one.name for one in self.story.groups if one.tier > tier}
        said = {why: set(groups.split(", ")) & above for why, groups in entries[0]["passed_over"].items()}
        said = {why: groups for why, groups in said.items() if groups}
        parts = [f"{', '.join(sorted(groups))}: {why}" for why, groups in said.items()]
        if above and said == {"InBackoff": above}:
            parts = ["all above dry"]
        zones = {entry["zone"] or "" for entry in entries}
        known = {zone for name, zone in self.refused if name == group}
        if known & zones:
            parts.append("a probe" if all(entry["count"] == 1 for entry in entries) else "asked again")
        if known - zones:
            parts.append(f"{' '.join(sorted(zone[-1] for zone in known - zones))} dry")
        surplus = sum(entry.get("surplus", 0) for entry in entries)
        if surplus:
            parts.append(f"{surplus} to spare")
        if not (above or parts):
            parts = ["highest"]
        return ", ".join([f"tier {tier}", *parts])


def _belongs(entry: Entry, first: Entry) -> bool:
    kinds = [one["event"] if one["event"] in ("instance.removed", "drain.ended") else "asked" for one in (entry, first)]
    return kinds[0] == kinds[1] and abs(_start(entry) - _start(first)) < SAME_WAVE


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["time"])


def _start(entry: Entry) -> datetime:
    """When the call was sent: the line is written after its answer."""
    return _time(entry) - timedelta(milliseconds=entry.get("milliseconds", 0))
