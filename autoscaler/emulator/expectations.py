"""Did an act end as told? Judged by what the emulators saw, never by the controller's word.

Pure: facts and an expectation in, faults out, each a sentence with what was
expected and what was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.emulator.aws.journal import Call
from autoscaler.emulator.stories import Act
from autoscaler.emulator.witness import Moment, NodeSeen, by_zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One act as it happened.

    `calls` and `terminations` since its beginning, `before` the instances that
    were there, with their groups, `running` pods at its end, `unschedulable`
    when the first pod of the act was marked so. `broken` budgets and `lost`
    pods are an auditor's.
    """

    running: int
    nodes: Sequence[NodeSeen]
    before: Mapping[str, str]
    calls: Sequence[Call]
    terminations: int
    unschedulable: Moment | None
    zones: Sequence[str]
    broken: int = 0
    lost: int = 0

    @property
    def gone(self) -> Counter[str]:
        """How many of the earlier instances have gone, by group."""
        left = {node.id for node in self.nodes}
        return Counter(group for name, group in self.before.items() if name not in left)

    @property
    def new(self) -> list[NodeSeen]:
        return [node for node in self.nodes if node.id not in self.before and not node.leaving]

    @property
    def refusals(self) -> int:
        return sum(len(call.refusals) for call in self.calls)

    def asked_after(self, group: str | None = None) -> float | None:
        """Milliseconds from Unschedulable to the first request to the group, or to any."""
        began = [call.started for call in self.calls if group in (None, call.group)]
        if self.unschedulable is None or not began:
            return None
        return (min(began) - self.unschedulable.monotonic) * 1000


def faults(act: Act, facts: Facts) -> Iterator[str]:
    """Yield each expectation that did not come true."""
    expect = act.expect
    if facts.running != act.pods:
        yield f"expected {act.pods} pods running; found {facts.running}"
    yield from _node_faults(act, facts)
    yield from _care_faults(act, facts)
    if expect.refusals is not None and facts.refusals != expect.refusals:
        yield f"expected {expect.refusals} refusals; AWS gave {facts.refusals}"
    if expect.calls is not None and len(facts.calls) > expect.calls:
        yield f"expected at most {expect.calls} launch calls; AWS got {len(facts.calls)}"
    if expect.asked is not None:
        found = facts.asked_after(expect.asked.group)
        if found is None or found > expect.asked.within_ms:
            told = "it was not asked" if found is None else f"it was asked after {found:.0f} ms"
            yield f"expected {expect.asked.group} to be asked within {expect.asked.within_ms} ms; {told}"
    if expect.probes is not None:
        for (group, zone), count in first_asks(facts.calls).items():
            if count != expect.probes:
                yield f"expected a probe of {expect.probes} in {group} {zone}; it was asked for {count}"


def _node_faults(act: Act, facts: Facts) -> Iterator[str]:
    expect = act.expect
    found = Counter(node.group for node in facts.new)
    if found != Counter(expect.nodes):
        yield f"expected new nodes {_counts(expect.nodes)}, nothing left over; found {_counts(found)}"
    leaving = sum(node.leaving for node in facts.nodes)
    if leaving or facts.gone != Counter(expect.gone):
        stay = f"{_counts(expect.gone)} to go and all others" if expect.gone else "all nodes"
        yield f"expected {stay} of earlier acts to stay; {_counts(facts.gone)} went, {leaving} are leaving"
    if expect.zones is not None:
        for zone in sorted({node.zone for node in facts.new} - set(expect.zones)):
            yield f"expected no new node in {zone}; found {by_zone(facts.new)[zone]}"
    for group, allowed in expect.skew.items():
        counts = by_zone([node for node in facts.nodes if node.group == group and not node.leaving])
        spread = [counts[zone] for zone in facts.zones]
        if max(spread) - min(spread) > allowed:
            yield f"expected {group} even over the zones, to {allowed}; found {'/'.join(map(str, spread))}"


def _care_faults(act: Act, facts: Facts) -> Iterator[str]:
    """What must never happen to pods on the way."""
    if act.expect.gone and facts.unschedulable is not None:
        yield "expected every pod that moves to have its place; one was Unschedulable"
    if facts.broken:
        yield f"expected the PodDisruptionBudget to hold; {facts.broken} pods went that it wanted to stay"
    if facts.lost:
        yield f"expected every pod to be evicted before its node goes; {facts.lost} ended with it"


def first_asks(calls: Sequence[Call]) -> dict[tuple[str, str], int]:
    """How many each group and zone was asked for by its first call."""
    found: dict[tuple[str, str], int] = {}
    for call in calls:
        zone = call.parameters.get("AvailabilityZones.member.1", "")
        found.setdefault((call.group, zone), int(call.parameters.get("RequestedCapacity", "0")))
    return found


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count) or "none"
