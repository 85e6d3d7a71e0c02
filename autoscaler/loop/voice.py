"""The voice: waves and passes to metrics, log lines and events of the cluster.

Everything told is read off the reports; nothing here decides. A dry run has
no recorder: it writes nothing to the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from anyio import CapacityLimiter, to_thread

from autoscaler import clock
from autoscaler.aws.tags import INVALID_TAG
from autoscaler.core.decision import Decision, LaunchResult
from autoscaler.core.model import GroupFault, GroupName, NodeGroup
from autoscaler.core.snapshot import Snapshot
from autoscaler.kubernetes.cluster import ClusterCache, ConfigFault
from autoscaler.kubernetes.events import EventNote, EventRecorder, ObjectRef
from autoscaler.kubernetes.kinds import api_version_of
from autoscaler.kubernetes.tuned import ANNOTATION_INVALID, AnnotationFault
from autoscaler.loop.board import Board
from autoscaler.metrics import Metrics, series
from autoscaler.publish.drains import DrainTeller
from autoscaler.publish.events import WARNING, Anchors, Event, event
from autoscaler.publish.events import ObjectRef as EventAnchor
from autoscaler.publish.numbers import count_blind
from autoscaler.publish.publisher import Publisher
from autoscaler.publish.report import PassReport, WaveReport

log = structlog.get_logger()

MOST_FAULTS = 100  # events about annotations in a pass; a template's mistake is on all of its pods


@dataclass(kw_only=True)
class Speaker:
    """Tells of waves and passes."""

    metrics: Metrics
    publisher: Publisher
    drains: DrainTeller
    anchors: Anchors
    cluster: ClusterCache
    recorder: EventRecorder | None
    board: Board | None = None  # of the status ConfigMap, where it is kept
    _alone: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    _reasons: tuple[str, ...] = ()
    _faults: Mapping[str, ConfigFault | None] = field(default_factory=dict)
    _tags: frozenset[tuple[GroupName, GroupFault]] = frozenset()
    _annotations: frozenset[AnnotationFault] = frozenset()

    async def wave(self, report: WaveReport) -> None:
        """Tell of one wave; fifty thousand waiting pods take a moment, which the caches must not wait for."""
        self._reasons = ()
        self.record(await to_thread.run_sync(self.publisher.tell_wave, report, limiter=self._alone))

    async def failed_later(self, result: LaunchResult, snapshot: Snapshot) -> None:
        """Tell of refusals that came after the answer: what was asked by desired capacity and does not come."""
        launch = replace(result.launch, count=len(result.refusals))
        alone = replace(result, launch=launch, launched=())
        await self.wave(WaveReport(snapshot=snapshot, decision=Decision(at=result.at), results=(alone,)))

    def passed(self, report: PassReport) -> None:
        """Tell of a whole pass, and of configuration that it could not use."""
        self.publisher.tell_pass(report)
        if self.board is not None:
            self.board.take(report)
        self.record(self.drains.gates(report.last.decision))
        cluster = self.cluster
        faults = {
            "priorities": cluster.config_fault,
            "policy": cluster.policy_fault,
            "headroom": cluster.headroom_fault,
        }
        for kind, fault in faults.items():
            if fault is not None:
                if fault != self._faults.get(kind):
                    self.metrics.add(series.CONFIG_FAULTS, kind=kind)
                about = EventAnchor("ConfigMap", fault.namespace, fault.name, fault.uid)
                self.record((event(about, WARNING, fault.reason, fault.detail),))
        self._faults = faults
        self._tell_annotations()
        self._count_tags(report.last.snapshot.groups)

    def _tell_annotations(self) -> None:
        """Tell, on the object itself, which annotation of an application cannot be read."""
        faults = frozenset(self.cluster.tuned.faults.values())
        new = faults - self._annotations
        for _ in new:
            self.metrics.add(series.CONFIG_FAULTS, kind="annotation")
        self._annotations = faults
        # New ones first; of pods only some, as a template's mistake is on all of them.
        ordered = sorted(faults, key=lambda one: (one not in new, one.bearer.kind == "Pod", one))
        for one in ordered[:MOST_FAULTS]:
            about = EventAnchor(one.bearer.kind, one.bearer.namespace, one.bearer.name, one.uid)
            self.record((event(about, WARNING, ANNOTATION_INVALID, one.detail),))

    def _count_tags(self, groups: Iterable[NodeGroup]) -> None:
        """Count tags that cannot be read, each once as long as it stays."""
        tags = frozenset((one.name, fault) for one in groups for fault in one.faults if fault.code == INVALID_TAG)
        for _ in tags - self._tags:
            self.metrics.add(series.CONFIG_FAULTS, kind="tag")
        self._tags = tags

    def blind(self, reasons: Sequence[str]) -> None:
        """Tell, once for each change of the reasons, that nothing can be decided."""
        count_blind(self.metrics)
        if tuple(reasons) != self._reasons:
            self._reasons = tuple(reasons)
            log.warning("pass.impossible", reasons=list(reasons))

    def record(self, found: Iterable[Event]) -> None:
        """Have events written; a dry run writes none."""
        if self.recorder is None:
            return
        at = clock.now()
        for one in found:
            about = ObjectRef(one.kind, one.name, one.namespace, one.uid, api_version_of(one.kind))
            note = EventNote(about=about, reason=one.reason, message=one.message, at=at, is_warning=one.type == WARNING)
            self.recorder.record(note)
