"""Log lines: one for each launch, refusal and removal, one summary a pass.

Names are constant, keys equal metric labels where both exist. A launch
without an answer was only planned: this is a dry run. `passed_over` says why
a launch went to its group: which others could not or may not take its pods.
"""

from __future__ import annotations

from collections import Counter

from structlog.typing import FilteringBoundLogger

from autoscaler.core.decision import Decision, Launch, LaunchResult, Outcome, RefusalKind, Verdict, Why
from autoscaler.core.model import PodKey
from autoscaler.publish.reasons import groups_by_reason, identity, join_some
from autoscaler.publish.report import Answer, PassReport, WaveReport, answer_of
from autoscaler.publish.text import spare_line

_LOUD = {RefusalKind.CONFIGURATION, RefusalKind.UNKNOWN, RefusalKind.LIMIT}
_GROUPS = 6
_FATES = 5  # lines a pass; the figures count all


def log_wave(log: FilteringBoundLogger, report: WaveReport) -> None:
    """Tell each launch with its answer, each refusal by class, and each removal."""
    for result in report.results:
        _log_result(log, result, report.decision)
    if not report.results:
        for launch in report.decision.launches:
            log.info(
                "scale_up.planned",
                node_group=launch.group,
                zone=launch.zone,
                count=launch.count,
                cause=str(launch.cause),
                pods=len(launch.pods),
                passed_over=_passed_over(launch, report.decision),
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


def log_spare(log: FilteringBoundLogger, report: PassReport, told: frozenset[str]) -> frozenset[str]:
    """Tell of spare room and floors that are not to be had; what `told` holds is not said again.

    Returns what was told by now.
    """
    found = frozenset(spare_line(one) for one in report.last.decision.spare if one.missing)
    for line in sorted(found - told):
        log.warning("spare_room.not_served", detail=line)
    return found


def log_waiting(log: FilteringBoundLogger, report: WaveReport, told: frozenset[str]) -> frozenset[str]:
    """One line for all pods of a fate that nobody serves; what `told` holds is not said again.

    Says how many, an example, and each reason with its groups. Returns what was told by now.
    """
    if report.decision.undecided:
        return told
    alike: dict[object, list[PodKey]] = {}
    verdicts: dict[object, Verdict] = {}
    for key, verdict in report.decision.verdicts.items():
        if verdict.outcome in (Outcome.WAITING, Outcome.UNSCHEDULABLE):
            alike.setdefault(identity(verdict), []).append(key)
            verdicts[identity(verdict)] = verdict
    now = set()
    for kind, keys in sorted(alike.items(), key=lambda item: (-len(item[1]), min(item[1])))[:_FATES]:
        verdict = verdicts[kind]
        reasons = {str(why): join_some(groups, _GROUPS) for why, groups in groups_by_reason(verdict)}
        own = [str(reason) for reason in verdict.reasons]
        saying = f"{verdict.outcome} {own} {reasons}"
        now.add(saying)
        if saying not in told:
            log.info(
                "pods.not_served",
                outcome=str(verdict.outcome),
                pods=len(keys),
                example=str(min(keys)),
                own_reasons=own,
                reasons=reasons,
            )
    return frozenset(now)


def _passed_over(launch: Launch, decision: Decision) -> dict[str, str]:
    """The groups that the launch's pods did not go to, by reason; a lower tier needs none."""
    verdict = decision.verdicts.get(launch.pods[0]) if launch.pods else None
    found = groups_by_reason(verdict) if verdict is not None else []
    return {str(why): join_some(groups, _GROUPS) for why, groups in found if why is not Why.LOWER_TIER}


def _log_result(log: FilteringBoundLogger, result: LaunchResult, decision: Decision) -> None:
    launch, answer = result.launch, answer_of(result)
    known = log.bind(
        node_group=launch.group,
        zone=launch.zone,
        count=launch.count,
        milliseconds=round(result.seconds * 1000),
        passed_over=_passed_over(launch, decision),
    )
    if answer is Answer.REQUESTED:
        known.info("scale_up.requested", cause=str(launch.cause), pods=len(launch.pods))
    elif answer is not Answer.REFUSED:
        known.info(
            "scale_up.launched",
            launched=len(result.launched),
            instances=[instance.id for instance in result.launched],
            surplus=launch.surplus,
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
