"""Log lines: one for each launch, refusal and removal, one summary a pass.

Names are constant, keys equal metric labels where both exist. A launch
without an answer was only planned: this is a dry run.
"""

from __future__ import annotations

from collections import Counter

from structlog.typing import FilteringBoundLogger

from autoscaler.core.decision import LaunchResult, Outcome, RefusalKind
from autoscaler.publish.report import Answer, PassReport, WaveReport, answer_of

_LOUD = {RefusalKind.CONFIGURATION, RefusalKind.UNKNOWN, RefusalKind.LIMIT}


def log_wave(log: FilteringBoundLogger, report: WaveReport) -> None:
    """Tell each launch with its answer, each refusal by class, and each removal."""
    for result in report.results:
        _log_result(log, result)
    if not report.results:
        for launch in report.decision.launches:
            log.info(
                "scale_up.planned",
                node_group=launch.group,
                zone=launch.zone,
                count=launch.count,
                cause=str(launch.cause),
                pods=len(launch.pods),
            )
    for removal in report.decision.removals:
        log.info(
            "instance.removal_chosen", node_group=removal.group, instance=removal.instance, reason=removal.reason,
            decrement=removal.decrement,
        )  # fmt: skip


def log_pass(log: FilteringBoundLogger, report: PassReport) -> None:
    """One line that sums the pass up; quiet (debug) when it had nothing to do."""
    decision = report.last.decision
    fates = Counter(verdict.outcome for verdict in decision.verdicts.values())
    figures = {f"pods_{outcome.value.replace('-', '_')}": fates[outcome] for outcome in Outcome if fates[outcome]}
    times = {f"{phase}_ms": round(seconds * 1000, 1) for phase, seconds in report.phases.items()}
    idle = not (report.waves or decision.launches or decision.removals or decision.drains or fates)
    say = log.debug if idle else log.info
    say(
        "pass.finished",
        waves=report.waves,
        launched=report.launched,
        removals=len(decision.removals),
        drains=len(decision.drains),
        dry_run=report.dry_run,
        **figures,
        **times,
    )


def _log_result(log: FilteringBoundLogger, result: LaunchResult) -> None:
    launch, answer = result.launch, answer_of(result)
    known = log.bind(
        node_group=launch.group, zone=launch.zone, count=launch.count, milliseconds=round(result.seconds * 1000)
    )
    if answer is Answer.REQUESTED:
        known.info("scale_up.requested", cause=str(launch.cause), pods=len(launch.pods))
    elif answer is not Answer.REFUSED:
        known.info(
            "scale_up.launched",
            launched=len(result.launched),
            instances=[instance.id for instance in result.launched],
            cause=str(launch.cause),
            pods=len(launch.pods),
        )
    for refusal in result.refusals:
        say = known.warning if refusal.kind in _LOUD else known.info
        say(
            "scale_up.refused",
            error=str(refusal.kind),
            code=refusal.code,
            instance_type=refusal.instance_type,
            refused_zone=refusal.zone,
            detail=refusal.detail,
        )
