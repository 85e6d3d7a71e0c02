"""A story on the stage: the world changes act by act, the controller answers, the witness watches.

Runs in the caller's thread and looks around twenty times a second; nothing is
waited for without an end. Needs the packages of the extra `demo`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler import clock
from autoscaler.emulator.auditor import Auditor
from autoscaler.emulator.aws.server import EmulatorConfig
from autoscaler.emulator.aws.world import Delays as AwsDelays
from autoscaler.emulator.child import ChildController
from autoscaler.emulator.expectations import Facts, faults
from autoscaler.emulator.interrupt import Interrupt
from autoscaler.emulator.kubernetes.kubelet import Delays as KubeletDelays
from autoscaler.emulator.kubernetes.server import Options
from autoscaler.emulator.narrator import Narrator
from autoscaler.emulator.stories import Act, Group, Pace, Story
from autoscaler.emulator.timeline import GroupState, Line, Picture, Timeline, Tone, ZoneState
from autoscaler.emulator.witness import LAUNCH, TERMINATE, Moment, Witness, by_zone
from autoscaler.emulator.world import CLUSTER_TAG, EmulatedWorld, WorldOptions
from autoscaler.errors import AutoscalerError

LOOK_SECONDS = 0.05
PICTURE_SECONDS = 0.125
LINE_SETTLES = 0.12  # after so long without a log line, a wave is complete
STARTS_WITHIN = 30.0


class StageError(AutoscalerError):
    """The controller did not start, or ended; the message has its last words."""


@dataclass(kw_only=True)
class Stage:
    """One story being played. `began`: monotonic, when its world was begun."""

    world: EmulatedWorld
    child: ChildController
    story: Story
    pace: Pace
    timeline: Timeline
    interrupt: Interrupt
    began: float
    _read: int = 0  # log lines told
    _read_at: float = 0.0
    _shown_at: float = 0.0
    _since: datetime = field(default_factory=clock.now)  # the act's time 0

    def __post_init__(self) -> None:
        self._witness = Witness(self.world)
        self._auditor = Auditor(self.world)
        self._moved = 0  # pods that were evicted
        self._prices = (0.0, 0.0)  # USD an hour, before and after the last return
        self._narrator = Narrator(self.story)

    @classmethod
    @contextmanager
    def open(cls, story: Story, pace: Pace, timeline: Timeline, interrupt: Interrupt) -> Iterator[Stage]:
        """Build the world, start the controller and wait until it is ready; all of it ends with the block."""
        began = clock.monotonic()
        options = WorldOptions(
            aws=EmulatorConfig(delays=AwsDelays(boot=pace.boot)),
            kubernetes=Options(kubelet=KubeletDelays(register=pace.register, ready=pace.ready, start=pace.start)),
        )
        flags = [
            f"--node-group-auto-discovery=asg:tag={CLUSTER_TAG}",
            f"--capacity-backoff={pace.backoff:g}s,{2 * pace.backoff:g}s",
            f"--max-drain-parallelism={story.drains}",
            f"--node-delete-delay-after-taint={pace.taint * 1000:.0f}ms",
        ]
        with EmulatedWorld.start(options) as world:
            for group in story.groups:
                world.aws.create_group(
                    name=group.name, instance_types=[group.type], market=group.market, max=group.max,
                    tags={CLUSTER_TAG: "true"},
                )  # fmt: skip
            world.set_priorities(story.priorities())
            world.protect(story.pod.name, story.pod.missing)
            with ChildController.start(flags, world.environment()) as child:
                stage = cls(
                    world=world, child=child, story=story, pace=pace, timeline=timeline, interrupt=interrupt,
                    began=began,
                )  # fmt: skip
                if not stage._wait(lambda: child.get("/readyz")[0] == 200, STARTS_WITHIN):
                    raise StageError(f"the controller was not ready after {STARTS_WITHIN:g} s: {child.tail()}")
                world.aws.faults.set_latency("*", pace.latency)
                spent = clock.monotonic() - began
                timeline.say(Line(Tone.QUIET, f"Cluster, AWS and controller ready in {spent:.1f} s."))
                yield stage

    def play(self, number: int, act: Act) -> bool:
        """Play one act and judge it; return whether it ended as told."""
        self._say(Tone.TITLE, f"Act {number}: {act.title}. {act.says}")
        refused = self._last_refusal()
        for stock in act.capacity:
            self.world.aws.set_pool(stock.type, stock.zone, stock.market, free=stock.free)
        if act.after_backoff and refused is not None:
            self._await_backoff(refused)
        before = {node.id: node.group for node in self._witness.nodes()}
        evicted, price = self._auditor.evicted, self._price()
        began, self._since = clock.monotonic(), clock.now()
        is_more = act.pods != self._witness.running()
        self.world.deploy(self.story.pod.name, act.pods, cpu=self.story.pod.cpu, memory=self.story.pod.memory)
        if act.hours:
            self.world.age_nodes(timedelta(hours=act.hours))
        moment = self._await_unschedulable(act, began) if is_more else None
        self._wait(lambda: self._witness.running() == act.pods, self.pace.patience)
        at_end = clock.now()
        self._wait(lambda: self._has_ended(act, before), self.pace.patience)
        self._finish_wave()
        if is_more and self._witness.running() == act.pods:
            self._say(Tone.PODS, f"{act.pods} pods running", at_end - self._since)
        facts = self._facts(before, began, moment or self._witness.first_unschedulable(began))
        if facts.gone:
            self._moved += self._auditor.evicted - evicted
            self._prices = (price, self._price())
        return self._judge(act, facts)

    def _facts(self, before: Mapping[str, str], began: float, moment: Moment | None) -> Facts:
        return Facts(
            running=self._witness.running(),
            nodes=self._witness.nodes(),
            before=before,
            calls=self._witness.calls(LAUNCH, began),
            terminations=len(self._witness.calls(TERMINATE, began)),
            unschedulable=moment,
            zones=self._witness.zones,
            broken=len(self._auditor.broken),
            lost=len(self._auditor.lost),
        )

    def totals(self) -> Iterator[str]:
        """The whole story in figures, a sentence each."""
        calls = self._witness.calls(LAUNCH, 0.0)
        refusals = sum(len(call.refusals) for call in calls)
        seconds = clock.monotonic() - self.began
        nodes = Counter(node.group for node in self._witness.nodes() if not node.leaving)
        held = ", ".join(f"{count} {group}" for group, count in nodes.most_common())
        yield (
            f"The story ended as told, in {seconds:.0f} s: {len(calls)} launch calls, {refusals} of them refused; "
            f"nodes: {held}."
        )
        if self._moved:
            before, after = self._prices
            saved = (
                f"; by the story's prices the nodes cost {after:.2f} USD an hour instead of {before:.2f}"
                if before
                else ""
            )
            yield (
                f"On the way back {self._moved} pods moved: none was Unschedulable, no more than "
                f"{self.story.pod.missing} were missing at once, as their PodDisruptionBudget wants{saved}."
            )

    def _price(self) -> float:
        """What all nodes cost now, USD an hour."""
        prices = {group.name: group.price for group in self.story.groups}
        return sum(prices.get(node.group, 0.0) for node in self._witness.nodes() if not node.leaving)

    def _judge(self, act: Act, facts: Facts) -> bool:
        found = list(faults(act, facts))
        for fault in found:
            self._say(Tone.FAULT, fault)
        if found:
            return False
        came = []
        for group in act.expect.nodes:
            zones = by_zone([node for node in facts.new if node.group == group])
            came.append(f"{group} {' '.join(f'{zone[-1]}{count}' for zone, count in sorted(zones.items()))}")
        after = facts.asked_after(act.expect.asked.group if act.expect.asked else None)
        asked = f"asked after {after:.0f} ms" if after is not None else "nothing asked"
        surplus = facts.terminations - facts.gone.total()
        given_back = f", {surplus} given back" if surplus else ""
        figures = f"{len(facts.calls)} calls, {facts.refusals} refused{given_back}"
        gone = ", ".join(f"{count} {group} gone" for group, count in sorted(facts.gone.items()))
        self._say(Tone.PROVED, f"{', '.join(came)}, {gone or asked}; {figures}")
        if act.beside:
            self._say(Tone.BESIDE, act.beside)
        self._wait(lambda: False, self.pace.pause)
        return True

    def _await_backoff(self, refused: float) -> None:
        left = refused + self.pace.backoff - clock.monotonic()
        if left > 0:
            self._say(Tone.QUIET, f"Refused pools may be asked again in {left:.0f} s: waiting.")
            self._wait(lambda: False, left)

    def _await_unschedulable(self, act: Act, began: float) -> Moment | None:
        """From here on the act's time 0 is when the first pod was marked."""
        self._wait(lambda: self._witness.first_unschedulable(began) is not None, self.pace.patience, reads=False)
        moment = self._witness.first_unschedulable(began)
        if moment is not None:
            self._since = moment.wall
            self._say(Tone.PODS, f"{act.pods - self._witness.running()} pods are Unschedulable", timedelta(0))
        return moment

    def _last_refusal(self) -> float | None:
        """When AWS last answered a refusal, monotonic."""
        calls = [call for call in self._witness.calls(LAUNCH, 0.0) if call.refusals]
        return max((call.started + (call.seconds or 0.0) for call in calls), default=None)

    def _has_ended(self, act: Act, before: Mapping[str, str]) -> bool:
        """As many have gone as should, and all is calm."""
        left = {node.id for node in self._witness.nodes()}
        gone = Counter(group for name, group in before.items() if name not in left)
        is_over = all(gone[group] >= count for group, count in act.expect.gone.items())
        return is_over and self._witness.running() == act.pods and self._is_settled()

    def _is_settled(self) -> bool:
        """Every instance is a Ready node or gone, and nothing was asked of AWS for a while."""
        nodes = self._witness.nodes()
        is_calm = all(node.ready and not node.leaving for node in nodes)
        return is_calm and self._witness.is_quiet(2 * self.pace.latency)

    def _wait(self, condition: Callable[[], bool], seconds: float, *, reads: bool = True) -> bool:
        """Look around until the condition holds or the time is up; return whether it holds."""
        deadline = clock.monotonic() + seconds
        while not (holds := condition()) and clock.monotonic() < deadline:
            self.interrupt.check()
            if self.child.returncode is not None:
                raise StageError(f"the controller ended with {self.child.returncode}: {self.child.tail()}")
            if reads:
                self._read_log()
            self._show()
            threading.Event().wait(LOOK_SECONDS)
        return holds

    def _read_log(self) -> None:
        now, entries = clock.monotonic(), self.child.lines[self._read :]
        self._read += len(entries)
        if entries:
            self._read_at = now
        for line in self._narrator.tell(entries, self._since):
            self.timeline.say(line)
        if now - self._read_at > LINE_SETTLES:
            self._finish_wave()

    def _finish_wave(self) -> None:
        for line in self._narrator.flush(self._since):
            self.timeline.say(line)

    def _say(self, tone: Tone, text: str, after: timedelta | None = None) -> None:
        self.timeline.say(Line(tone, text, after))

    def _show(self) -> None:
        now = clock.monotonic()
        if now - self._shown_at < PICTURE_SECONDS:
            return
        self._shown_at = now
        calls, running = self._witness.calls(LAUNCH, 0.0), self._witness.running()
        self.timeline.show(
            Picture(
                title=self.story.title,
                seconds=now - self.began,
                zones=self._witness.zones,
                groups=[self._state(group) for group in self.story.groups],
                running=running,
                pending=len(self._witness.pods()) - running,
                price=self._price(),
                calls=len(calls),
                refusals=sum(len(call.refusals) for call in calls),
            )
        )

    def _state(self, group: Group) -> GroupState:
        nodes = [node for node in self._witness.nodes() if node.group == group.name and not node.leaving]
        ready = by_zone(node for node in nodes if node.ready)
        everything = by_zone(nodes)
        dry, now = self._witness.dry(group.type, group.market), clock.now()
        zones = []
        for zone in self._witness.zones:
            refused = self._narrator.refused.get((group.name, zone))
            ago = None if refused is None else (now - refused).total_seconds()
            coming = everything[zone] - ready[zone]
            zones.append(ZoneState(ready=ready[zone], coming=coming, dry=zone in dry, refused_ago=ago))
        return GroupState(name=group.name, tier=group.tier, market=group.market, zones=zones)
