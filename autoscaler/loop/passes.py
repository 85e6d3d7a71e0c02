"""One pass: plan, launch a wave, look again, until nothing more is to be asked.

Each wave starts from the world as it is by then, so a pod that came or went
while AWS was answering counts; what a refusal taught is carried along. A dry
run ends after the first plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio
import structlog
from anyio import to_thread

from autoscaler import clock
from autoscaler.core.decision import Decision, Launch, LaunchResult, Outcome, Removal, Why
from autoscaler.core.model import PodKey
from autoscaler.core.planner import plan
from autoscaler.core.scaleup.waves import fold_results, note_asked
from autoscaler.core.snapshot import Snapshot, Wave
from autoscaler.loop.ledger import Ledger
from autoscaler.loop.ports import Drains, Eyes, Hands, Voice
from autoscaler.loop.served import Served
from autoscaler.publish.report import PassReport, WaveReport, nodes_of

log = structlog.get_logger()

MOST_WAVES = 100  # far above what any list of tiers needs: a pass that gets there has a fault
PARALLEL_CALLS = 40
REMOVAL_RETRY = timedelta(seconds=10)  # after a refusal; nothing else may happen until then


@dataclass(slots=True)
class Course:
    """How a running pass has gone so far."""

    rung_at: float | None  # monotonic: the change that woke it
    waves: int = 0
    launched: int = 0
    reaction: float | None = None
    served: Served = field(default_factory=Served)
    phases: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time taken inside to the phase."""
        began = clock.monotonic()
        try:
            yield
        finally:
            self.phases[name] += clock.monotonic() - began

    def note_launch(self) -> None:
        """The first launch request is about to be sent."""
        self.waves += 1
        if self.reaction is None and self.rung_at is not None:
            self.reaction = clock.monotonic() - self.rung_at


@dataclass(frozen=True, kw_only=True)
class Senses:
    """The outside, as a pass meets it. Without hands it is a dry run; without drains no node is emptied."""

    eyes: Eyes
    voice: Voice
    hands: Hands | None
    drains: Drains | None = None


class Pass:
    """Runs passes; keeps nothing between them but the ledger."""

    def __init__(self, senses: Senses, ledger: Ledger, jitter: Callable[[], float]) -> None:
        self._senses = senses
        self._ledger = ledger
        self._jitter = jitter
        self._calls = anyio.CapacityLimiter(PARALLEL_CALLS)
        self.next_at: datetime | None = None  # when the last decision changes by itself
        self.effort = 0.0  # seconds that the last pass took, without those in which others worked for it

    async def run(self, rung_at: float | None = None) -> bool:
        """Run one pass; return False when there was no sight to decide on.

        `rung_at` is when the change that woke it was seen, monotonic.
        """
        eyes, voice, hands = self._senses.eyes, self._senses.voice, self._senses.hands
        course, wave = Course(rung_at), Wave()
        while True:
            reasons = eyes.blind()
            if reasons:
                voice.blind(reasons)
                return False
            with course.phase("observe"):
                snapshot = replace(eyes.look(clock.now()), wave=wave)
            if self._senses.drains is not None:
                with course.phase("act"):
                    if await self._senses.drains.clean_up(snapshot):
                        continue
            with course.phase("plan"):
                decision = await to_thread.run_sync(plan, snapshot)
            self._ledger.note_decided(decision.scale_down, decision.at)
            results: list[LaunchResult] = []
            if hands is not None:
                with course.phase("act"):
                    results = await self._launch(hands, snapshot, _sane(decision, course), course)
                    wave = self._fold(snapshot, results)
            report = WaveReport(snapshot=snapshot, decision=decision, results=tuple(results))
            with course.phase("publish"):
                await voice.wave(report)
            if results and course.waves < MOST_WAVES:
                continue
            refused = False
            if results:
                log.error("pass.endless", waves=course.waves)
            elif hands is not None:
                with course.phase("act"):
                    refused = await self._remove(hands, snapshot, decision)
            if self._senses.drains is not None:
                self._senses.drains.take(snapshot, decision)
            moments = (decision.next_at, clock.now() + REMOVAL_RETRY if refused else None)
            self.next_at = min((moment for moment in moments if moment is not None), default=None)
            voice.passed(_report(course, report, is_dry=hands is None))
            self.effort = sum(seconds for name, seconds in course.phases.items() if name != "act")
            return True

    async def _launch(
        self, hands: Hands, snapshot: Snapshot, launches: Sequence[Launch], course: Course
    ) -> list[LaunchResult]:
        """Send a wave's calls in parallel and wait for all answers."""
        if not launches:
            return []
        # what was learned while the plan was made stays learned
        self._ledger.memory = note_asked(replace(snapshot, memory=self._ledger.memory), launches).memory
        groups = {group.name: group for group in snapshot.groups}
        results: dict[int, LaunchResult] = {}

        async def send(position: int, launch: Launch) -> None:
            async with self._calls:
                results[position] = await hands.launch(launch, groups[launch.group])

        course.note_launch()
        async with anyio.create_task_group() as tasks:
            for position, launch in enumerate(launches):
                tasks.start_soon(send, position, launch)
        hands.touched({launch.group for launch in launches})
        course.launched += sum(nodes_of(result) for result in results.values())
        course.served.note(results.values())
        return [results[position] for position in sorted(results)]

    def _fold(self, snapshot: Snapshot, results: Sequence[LaunchResult]) -> Wave:
        """Learn from a wave's answers; return where the pass stands."""
        if not results:
            return snapshot.wave
        after = fold_results(replace(snapshot, memory=self._ledger.memory), results, self._jitter())
        self._ledger.memory = after.memory
        self._ledger.note_results(results, after.groups)
        return after.wave

    async def _remove(self, hands: Hands, snapshot: Snapshot, decision: Decision) -> bool:
        """Terminate what is surplus, and what never became a Node; tell whether one was refused."""
        refused: list[Removal] = []
        groups = {group.name: group for group in snapshot.groups}

        async def remove(removal: Removal) -> None:
            async with self._calls:
                if not await hands.remove(removal, groups[removal.group]):
                    refused.append(removal)
                    return
            at = clock.now()
            self._ledger.note_removal(removal, at)
            if removal.reason == "NoNode":
                detail = f"instance {removal.instance} did not become a Node in time"
                self._ledger.memory = self._ledger.memory.group_failed(removal.group, detail, at, snapshot.policy)

        async with anyio.create_task_group() as tasks:
            for removal in decision.removals:
                tasks.start_soon(remove, removal)
        if decision.removals:
            hands.touched({removal.group for removal in decision.removals})
        return bool(refused)


def _sane(decision: Decision, course: Course) -> list[Launch]:
    """Leave out what would buy a second time for pods that this pass has served; surplus alone buys nothing."""
    launches = decision.launches
    twice = course.served.bought_twice(launches, _seeking(decision))
    for one in twice:
        log.error("pass.bought_twice", node_group=one.group, zone=one.zone, count=one.count)
    sane = [one for one in launches if one not in twice]
    return sane if not twice or any(one.pods for one in sane) else []


def _seeking(decision: Decision) -> set[PodKey]:
    """The pods that looked for a place; one that is left alone for now, as not yet judged, joins them later."""
    return {
        key
        for key, verdict in decision.verdicts.items()
        if verdict.outcome is not Outcome.IGNORED and all(reason.why is not Why.TOO_YOUNG for reason in verdict.reasons)
    }


def _report(course: Course, last: WaveReport, *, is_dry: bool) -> PassReport:
    return PassReport(
        last=last,
        waves=course.waves,
        launched=course.launched,
        phases=dict(course.phases),
        reaction=course.reaction,
        dry_run=is_dry,
    )
